"""A small sound spec whose parts a test can exchange, and its findings."""

from __future__ import annotations

from mialang.diagnostics import Diagnostic
from mialang.diagnostics.render import as_text
from mialang.meaning.audit import Audit
from mialang.meaning.check import check
from mialang.source import Source

PARTS = {
    "imports": """\
import std.image
import std.access { white_box, scores, top_k, label_only }
import std.attack { GMI, LOMMA, BREPMI, MIFace, Yang2019 }
import std.defense { none, negative_label_smoothing, round_scores, truncate_scores, labels_only, noise_scores, dp_sgd }
import std.metric { accuracy, attack_accuracy, knn_distance, feature_distance }
""",
    "data": """\
data secret : image.Digits { split = "train"  classes = 0..4 }
data public : image.Digits { classes = 5..9 }
data unseen : image.Digits { split = "test"  classes = 0..4 }
""",
    "target": "target victim : image.Classifier { model = image.cnn()  trained = secret }",
    "judge": 'judge expert : image.Classifier { model = image.resnet()  trained = image.Digits(split = "train") }',
    "prior": "prior other { images = public }",
    "threat": """\
threat insider {
  target  = victim
  access  = white_box()
  prior   = other
  extent  = prototype(per = class)
  defense = matrix.defense
}
""",
    "matrix": "matrix { defense = [none(), negative_label_smoothing()]  repeat = 5 }",
    "attack": "attack inside { against = insider  use = [GMI(keep = 5)] }",
    "evaluate": """\
evaluate {
  leak    = attack_accuracy(inside, judge = expert, top = [1])
  utility = accuracy(insider.target, unseen)
}
""",
    "gate": """\
gate "private" {
  control leak.gain.top1 >= 40 % where matrix.defense == none()
  require leak.gain.top1 <= 20 % at 95 % confidence where matrix.defense != none()
}
""",
}


def spec(**changed: str) -> str:
    """The text of a sound spec with some parts exchanged; unknown names are added at the end."""
    parts = {**PARTS, **changed}
    return "mia 1\n\n" + "\n".join(parts.values())


def findings(text: str, settings: dict[str, str] | None = None) -> list[Diagnostic]:
    """All findings of a text."""
    return check(Source("audit.mia", text), None, settings)[1]


def codes(text: str, settings: dict[str, str] | None = None) -> list[str]:
    """The codes of all findings of a text."""
    return [finding.code for finding in findings(text, settings)]


def sound(text: str, name: str = "audit.mia") -> Audit:
    """The typed spec of a text without errors."""
    audit, found = check(Source(name, text))
    assert audit is not None
    errors = [as_text(finding) for finding in found if finding.is_error]
    assert errors == [], "\n".join(errors)
    return audit
