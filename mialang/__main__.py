"""`python -m mialang` is `mialang`."""

from mialang.cli.main import entry

if __name__ == "__main__":
    entry()
