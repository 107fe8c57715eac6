"""A fitted threshold as a file: what it was fitted for stands in it, and it is refused for anything else.

A threshold is a number on one model's scale, for one list of labels in one set of sentences.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fullclip.core.config import from_dict, to_dict
from fullclip.core.storage import atomic_file
from fullclip.zeroshot.classifier import ZeroShotClassifier
from fullclip.zeroshot.outlier import Method, OutlierDetector

_VERSION = 1  # a higher one where a score changes, or the default words do


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The JSON of a threshold. `negatives` are the other words where they were not the default ones; `model` is the fingerprint
    of the weights, or whatever name the one who saves and the one who loads agree on.
    """

    version: int
    model: str
    method: Method
    labels: tuple[str, ...]
    templates: tuple[str, ...]
    negatives: tuple[str, ...] | None
    threshold: float


def save_threshold(detector: OutlierDetector, path: Path, *, model: str) -> None:
    """Write a detector's threshold and what it was fitted for. ValueError where it has none."""
    if detector.threshold is None:
        raise ValueError(f"{detector.method} has no threshold to keep: fit it on pictures that are known to be of the labels")
    kept = Kept(
        version=_VERSION,
        model=model,
        method=detector.method,
        labels=detector.classifier.labels,
        templates=detector.classifier.templates,
        negatives=detector.offered,
        threshold=detector.threshold,
    )
    with atomic_file(path, "w") as file:
        json.dump(to_dict(kept), file, indent=1, ensure_ascii=False)


def load_threshold(path: Path, classifier: ZeroShotClassifier, *, model: str, method: Method | None = None) -> OutlierDetector:
    """The detector that was saved, for the same classifier. ValueError where the file is damaged, or was fitted for another
    model, other labels or templates, or another method than the one asked for (None: whichever it is).
    """
    try:
        kept = from_dict(Kept, json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; fit a threshold on pictures of the labels first") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: no threshold of a rejection ({error}); fit it again") from None
    if kept.version != _VERSION:
        raise ValueError(f"{path}: its format is version {kept.version}, this is version {_VERSION}; fit it again")
    if method not in (None, kept.method):
        raise ValueError(f"{path}: its threshold is of {kept.method}, not of {method}; ask for that one or fit it again")
    if kept.model != model:
        raise ValueError(f"{path}: its threshold was fitted for another model; fit it again for this one")
    for what, theirs, ours in (
        ("labels", kept.labels, classifier.labels),
        ("templates", kept.templates, classifier.templates),
    ):
        if set(theirs) != set(ours):
            raise ValueError(f"{path}: its threshold was fitted for other {what} ({_first(theirs)}); fit it again for these")
    detector = OutlierDetector(classifier, kept.method, negatives=kept.negatives)
    detector.threshold = kept.threshold
    return detector


def _first(words: Sequence[str], number: int = 5) -> str:
    return ", ".join(words[:number]) + (f" and {len(words) - number} more" if len(words) > number else "")
