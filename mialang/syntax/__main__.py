"""`python -m mialang.syntax` writes the tables of the grammar anew."""

from pathlib import Path

from mialang.syntax import grammar

if __name__ == "__main__":
    Path(grammar.__file__).with_name(grammar.TABLES).write_text(grammar.tables(), encoding="utf-8")
