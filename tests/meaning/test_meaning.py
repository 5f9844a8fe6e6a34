"""Names, values, modules and the matrix."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mialang.meaning.audit import Matrix
from mialang.meaning.check import check
from mialang.meaning.judgement.whole import instances_of
from mialang.meaning.units import UNITS, Quantity, duration
from mialang.meaning.values import Algebra, Hole, Type, fill
from mialang.source import Source
from tests.specs import PARTS, codes, findings, sound, spec

ROOT = Path(__file__).parents[2]


def test_check_imports_neither_torch_nor_numpy_nor_networkx() -> None:
    program = (
        "import sys; from mialang.cli.main import entry; sys.argv = ['mialang', 'check', 'specs/quickstart.mia']\n"
        "try: entry()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'numpy', 'networkx', 'scipy', 'transformers', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.parametrize(
    "path", sorted([*ROOT.glob("specs/**/*.mia"), *ROOT.glob("tests/good/**/*.mia")]), ids=lambda path: path.stem
)
def test_shipped_specs_are_sound(path: Path) -> None:
    audit, found = check(Source.read(path), path)
    assert audit is not None
    assert [finding.title for finding in found if finding.is_error] == []


def test_the_base_spec_is_sound() -> None:
    assert codes(spec()) == []


def test_checking_grows_linearly() -> None:
    block = 'data d{} : image.Digits {{ split = "train"  classes = 0..4 }}\n'

    def seconds(copies: int) -> float:
        text = spec(extra="".join(block.format(number) for number in range(copies)))
        best = float("inf")
        for _ in range(3):
            start = time.perf_counter()
            assert codes(text) == []
            best = min(best, time.perf_counter() - start)
        return best

    seconds(5)
    assert seconds(800) < 8 * max(seconds(200), 0.02)


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "code", "hint"),
    [
        ({"data": PARTS["data"].replace("classes = 5", "clases = 5")}, "E0203", "did you mean `classes`?"),
        ({"threat": PARTS["threat"].replace("= other", "= othr")}, "E0201", "did you mean `other`?"),
        ({"attack": "attack inside { against = insidr  use = [GMI] }"}, "E0201", "did you mean `insider`?"),
        ({"imports": PARTS["imports"].replace("std.image", "std.imge")}, "E0231", "did you mean `std.image`?"),
        ({"imports": PARTS["imports"].replace("LOMMA", "LOMA")}, "E0202", "did you mean `LOMMA`?"),
        ({"prior": "prior other { imags = public }"}, "E0203", "did you mean `images`?"),
        ({"matrix": "matrx { repeat = 5 }"}, "E0220", "did you mean `matrix`?"),
        ({"threat": PARTS["threat"].replace("extent  =", "extnt =")}, "E0203", "did you mean `extent`?"),
        ({"gate": 'gate "g" { require leek.top1 <= 10 % }'}, "E0601", "did you mean `leak`?"),
        ({"gate": 'gate "g" { require leak.top5 <= 10 % }'}, "E0602", "did you mean `top1`?"),
    ],
)  # fmt: skip
def test_a_slip_is_answered_with_the_nearest_word(changed: dict[str, str], code: str, hint: str) -> None:
    found = [finding for finding in findings(spec(**changed)) if finding.code == code]
    assert found
    assert hint in found[0].helps


def test_a_value_of_another_sort_is_answered_with_the_words_that_belong_there() -> None:
    text = spec(data=PARTS["data"].replace('split = "train"', "split = 3"))
    (finding,) = [each for each in findings(text) if each.code == "E0210"]
    assert all(f"`{word}`" in " ".join((finding.title, *finding.helps)) for word in ("train", "test", "all"))


def test_a_finding_caused_by_an_earlier_one_is_suppressed() -> None:
    assert codes(spec(data=PARTS["data"].replace("image.Digits { split", "image.Digts { split", 1))) == ["E0202"]
    assert codes(spec(target="target victim : image.Classifier { model = image.cn()  trained = secret }")) == ["E0202"]


def test_names_that_need_themselves() -> None:
    assert "E0232" in codes(spec(extra="let a = b\nlet b = a\n"))
    assert "E0206" in codes(spec(extra="let victim = 3\n"))


# -- modules -------------------------------------------------------------------------------------------------------


def test_files_import_each_other_by_relative_path(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "data.mia").write_text(
        'import std.image\ndata secret : image.Digits { split = "train"  classes = 0..4 }\n'
    )
    text = spec(imports=PARTS["imports"] + 'import "shared/data.mia" as shared\n',
                data=PARTS["data"].split("\n", 1)[1], target=PARTS["target"].replace("trained = secret", "trained = shared.secret"))  # fmt: skip
    main = tmp_path / "audit.mia"
    main.write_text(text)
    audit, found = check(Source.read(main), main)
    assert [finding.title for finding in found] == []
    assert audit is not None


def test_a_circle_of_imports_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "a.mia").write_text('import "b.mia" as b\nlet x = 1\n')
    (tmp_path / "b.mia").write_text('import "a.mia" as a\nlet y = 2\n')
    _, found = check(Source.read(tmp_path / "a.mia"), tmp_path / "a.mia")
    assert "E0230" in [finding.code for finding in found]


def test_a_package_offers_modules_through_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mialang.meaning import library

    package = tmp_path / "acme_attacks"
    package.mkdir()
    (package / "__init__.py").write_text(
        "raise RuntimeError('the package must not be imported to read its .mia files')"
    )
    page = (ROOT / "stdlib" / "attack" / "GMI.mia").read_text().replace("recipe GMI", "recipe AcmeGMI")
    (package / "AcmeGMI.mia").write_text(page)
    info = tmp_path / "acme_attacks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-attacks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mialang.library]\nacme = acme_attacks\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    library.package_library.cache_clear()
    library.files_of.cache_clear()
    text = spec(
        imports=PARTS["imports"] + "import acme { AcmeGMI }\n",
        attack="attack inside { against = insider  use = [AcmeGMI(keep = 5)] }",
    )
    assert codes(text) == []
    library.package_library.cache_clear()
    library.files_of.cache_clear()


def test_a_parameter_can_be_set_from_outside() -> None:
    text = spec(
        extra="param epochs : int(1..) = 20\n", target=PARTS["target"].replace("trained", "epochs = epochs  trained")
    )
    assert codes(text, {"epochs": "3"}) == []
    assert codes(text, {"epochs": "0"}) == ["E0211"]
    assert codes(text, {"epochs": "many"}) == ["E0201"]
    assert codes(text, {"epoch": "3"}) == ["E0203"]


# -- matrix --------------------------------------------------------------------------------------------------------


def test_every_applicable_covers_the_imported_recipes_that_fit() -> None:
    audit = sound(spec(attack="attack inside { against = insider  use = every(applicable) }",
                       gate='gate "g" { require leak.gain.top1 <= 90 % }'))  # fmt: skip
    assert {instance.name for instance in instances_of(audit, audit.attacks["inside"])} == {
        "GMI",
        "LOMMA",
        "BREPMI",
        "MIFace",
        "Yang2019",
    }
    threat = PARTS["threat"].replace("white_box()", "label_only()")
    audit = sound(spec(attack="attack inside { against = insider  use = every(applicable) }", threat=threat,
                       gate='gate "g" { require leak.gain.top1 <= 90 % }'))  # fmt: skip
    assert {instance.name for instance in instances_of(audit, audit.attacks["inside"])} == {"BREPMI"}


axes = st.dictionaries(
    st.sampled_from("abc"), st.lists(st.integers(0, 9), min_size=1, max_size=3, unique=True).map(tuple), min_size=1
)


@given(axes, st.integers(0, 9))
def test_cells_are_the_product_without_what_is_skipped(values: dict[str, tuple[int, ...]], dropped: int) -> None:
    name = min(values)
    skip = Algebra("==", (Hole("axis", name, Type("int")), dropped), "condition")
    whole, some = Matrix(values), Matrix(values, skip=skip)
    product = 1
    for axis in values.values():
        product *= len(axis)
    assert len(list(whole.cells())) == product
    kept = list(some.cells())
    assert [cell for cell in whole.cells() if values[name][cell[name]] != dropped] == kept
    projected = {tuple(sorted(cell.items())) for cell in some.cells(frozenset({name}))}
    assert projected == {((name, cell[name]),) for cell in kept}


@given(st.integers(-5, 5), st.integers(-5, 5), st.sampled_from("+-*"))
def test_filling_holes_computes_what_was_left_open(left: int, right: int, sign: str) -> None:
    open_ = Algebra(sign, (Hole("axis", "a", Type("int")), right), "number")
    assert fill(open_, {("axis", "a"): left}) == {"+": left + right, "-": left - right, "*": left * right}[sign]


@given(st.floats(0, 1e6), st.sampled_from(sorted(UNITS)))
def test_units_convert_to_base_units(number: float, unit: str) -> None:
    quantity = Quantity.of(number, unit)
    assert quantity.dimension == UNITS[unit][0]
    assert quantity.value == pytest.approx(number * UNITS[unit][1], rel=1e-6, abs=1e-9)
    assert str(quantity)


def test_durations_read_well() -> None:
    assert [duration(seconds) for seconds in (0.0042, 3, 90, 5400, 200_000)] == [
        "4.2 ms",
        "3 s",
        "1.5 min",
        "1.5 h",
        "2.31 d",
    ]
