"""Text data: what files hold, what is counted, and personal data that belong to nobody."""

from __future__ import annotations

import gzip
import json
import re

import pytest

from mialang.operators.errors import OperatorError
from mialang.operators.run import Run
from mialang.operators.text import datasets
from mialang.operators.text.personal import FAMILY, GIVEN, personal


def run(folder=None):
    return Run(seed=0, data=folder)


def test_blank_and_undecodable_lines_are_counted(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\n\n  \r\ntwo\n\xff\xfe broken\nTWO\n")
    given = run(tmp_path)
    made = datasets.lines(path="a.txt", unique=False, limit=None, run=given)
    assert made.lines == ("one", "two", "TWO")
    assert given.notes == {"lines_not_utf8": 1, "lines_blank": 2, "records_repeated": 0, "records": 3}
    once = run(tmp_path)
    assert datasets.lines(path="a.txt", unique=True, limit=None, run=once).lines == ("one", "two")
    assert once.notes["records_repeated"] == 1


def test_a_file_without_text_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\n \n")
    with pytest.raises(OperatorError, match="holds no text"):
        datasets.lines(path="a.txt", unique=False, limit=None, run=run(tmp_path))


def test_jsonl_has_fields_and_labels(tmp_path):
    rows = [{"body": "x", "sort": "ham"}, {"body": "y", "sort": "eggs"}, {"body": "z", "sort": "ham"}]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    made = datasets.jsonl(path="a.jsonl.gz", field="body", label="sort", unique=False, limit=None, run=run(tmp_path))
    assert made.lines == ("x", "y", "z")
    assert made.labels.tolist() == [1, 0, 1]
    assert made.names == {0: "eggs", 1: "ham"}


@pytest.mark.parametrize("line", ["{", '{"text": 1}', "[]", '{"other": "x"}'])
def test_jsonl_names_the_line_that_is_wrong(tmp_path, line):
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n' + line)
    with pytest.raises(OperatorError, match="line 2"):
        datasets.jsonl(path="a.jsonl", field="text", label=None, unique=False, limit=None, run=run(tmp_path))


def test_csv_has_columns(tmp_path):
    (tmp_path / "a.csv").write_text('text;n\n"one; two";4\nthree;5\n;6\n')
    given = {"column": "text", "separator": ";", "unique": False, "limit": None}
    noted = run(tmp_path)
    made = datasets.table(path="a.csv", label="n", run=noted, **given)
    assert made.lines == ("one; two", "three")
    assert made.labels.tolist() == [4, 5]
    assert noted.notes["lines_blank"] == 1
    with pytest.raises(OperatorError, match="no column `body`"):
        datasets.table(path="a.csv", label=None, run=run(tmp_path), **(given | {"column": "body"}))


def persona(tmp_path, half, lines):
    dialogue = {"your_persona": ["my persona: i fish."], "partner_persona": ["my persona: i sail."], "conv": lines}
    (tmp_path / f"personachat_{half}.json").write_text(json.dumps([dialogue]))


def test_personachat_has_each_record_once(tmp_path):
    persona(tmp_path, "dev", ["hello", "Hello ", "how are you ?"])
    persona(tmp_path, "test", ["hello", "fine"])
    given = {"part": "utterances", "limit": None, "path": None}
    assert datasets.personachat(split="dev", run=run(tmp_path), **given).lines == ("hello", "how are you ?")
    assert len(datasets.personachat(split="all", run=run(tmp_path), **given)) == 3
    told = datasets.personachat(split="dev", run=run(tmp_path), **(given | {"part": "personas"}))
    assert told.lines == ("i fish.", "i sail.")


def test_quarters_share_out_the_speeches(tmp_path):
    speeches = [f"Speaker {n}:\nWords of speech {n}." for n in range(40)]
    (tmp_path / "tinyshakespeare.txt").write_text("\n\n".join(speeches))
    given = {"by": "speech", "limit": None, "path": None}
    parts = [datasets.tinyshakespeare(quarters=[n], run=run(tmp_path), **given).lines for n in (1, 2, 3, 4)]
    assert [line for part in parts for line in part] == speeches
    assert all(8 <= len(part) <= 12 for part in parts)
    with pytest.raises(OperatorError, match="no quarter 5"):
        datasets.tinyshakespeare(quarters=[5], run=run(tmp_path), **given)


def test_nobody_is_both_in_train_and_in_test():
    def people(split):
        made = personal(split=split, records=600, seed=3, run=run()).lines
        return {
            name for line in made for name in re.findall(rf"\b(?:{'|'.join(GIVEN)}) (?:{'|'.join(FAMILY)})\b", line)
        }

    train, test = people("train"), people("test")
    assert len(train) > 400
    assert len(test) > 400
    assert not train & test


def test_personal_data_belong_to_nobody():
    text = "\n".join(personal(split="all", records=800, seed=5, run=run()).lines)
    assert all(mail.endswith("@example.org") for mail in re.findall(r"\S+@[a-z.]+[a-z]", text))
    assert set(re.findall(r"\d{3}-\d{2}-\d{4}", text)) == set(re.findall(r"000-\d{2}-\d{4}", text))
    assert all(re.fullmatch(r"555-01\d\d", number) for number in re.findall(r"\b\d{3}-\d{4}\b(?!-)", text))
    assert len(set(GIVEN)) == len(set(FAMILY)) == 100


def test_equal_seeds_give_equal_sentences():
    one, same, other = (personal(split="all", records=50, seed=seed, run=run()).lines for seed in (1, 1, 2))
    assert one == same != other
    assert len(set(one)) == 50
