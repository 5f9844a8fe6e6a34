# The two commands a newcomer needs: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint types check clean

demo: $(READY)  ## run the quickstart audit and say where its report is; a failed gate is an answer, not a failure
	@$(BIN)/mialang run specs/quickstart.mia --on processes --reveal; code=$$?; \
	if [ $$code -eq 0 ] || [ $$code -eq 1 ] || [ $$code -eq 3 ]; then exit 0; else exit $$code; fi

test: $(READY)  ## run the tests, one worker a core
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

lint: $(READY)  ## style of code and of .mia files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mialang fmt --check $$(git ls-files '*.mia' | grep -v '^tests/bad/')

types: $(READY)  ## types
	$(BIN)/mypy

check: lint types test  ## everything that CI runs

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("mialang needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,ray]'
	@touch $(READY)

clean:
	rm -rf $(VENV) .mialang build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
