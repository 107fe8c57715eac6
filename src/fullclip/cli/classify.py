"""fullclip classify: pictures and a list of words in, the most fitting words out, or that none of them fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fullclip.cli.output import Json, note, show_json, show_table

if TYPE_CHECKING:
    import numpy as np

    from fullclip.inference import Encoder
    from fullclip.zeroshot.classifier import ZeroShotClassifier
    from fullclip.zeroshot.outlier import Method, OutlierDetector

NONE = "none of these"
_BAR_WIDTH = 24


def classify(
    images: Annotated[list[str], typer.Argument(help="Files, folders, globs, or - for a list of files on stdin.")],
    model: Annotated[str, typer.Option(help="A name from `fullclip models list`, a folder or a file.")] = "small",
    labels: Annotated[str, typer.Option(help="The classes, separated by commas.")] = "",
    labels_file: Annotated[Path | None, typer.Option(help="A file with one class a line.")] = None,
    template: Annotated[list[str] | None, typer.Option(help="A sentence with {} for the label; may be repeated.")] = None,
    templates: Annotated[str, typer.Option(help="A set of templates: label, photo or seven.")] = "photo",
    top: Annotated[int, typer.Option(min=1, help="How many labels to show for each image.")] = 5,
    reject: Annotated[
        bool, typer.Option("--reject", help=f'Answer "{NONE}" for images that are like none of the labels.')
    ] = False,
    reject_fit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGES", help="With --reject: images that are known to be of the labels, to fit the threshold on."
        ),
    ] = None,
    false_positive_rate: Annotated[
        float | None, typer.Option(help="With --reject-fit: the share of such images that may be rejected.  [default: 0.05]")
    ] = None,
    reject_method: Annotated[
        str | None,
        typer.Option(help="negative_labels, or concept_matching or energy, which need a fit.  [default: negative_labels]"),
    ] = None,
    threshold_file: Annotated[
        Path | None, typer.Option(help="With --reject: where a fitted threshold is kept by --reject-fit, and read without it.")
    ] = None,
    json: Json = False,
) -> None:
    """Say which of the given words fits each image best, and with --reject whether any does."""
    from fullclip.core.config import lookup
    from fullclip.inference import load
    from fullclip.zeroshot.classifier import ZeroShotClassifier
    from fullclip.zeroshot.prompts import TEMPLATE_SETS, check_labels, check_templates

    names = read_labels(labels, labels_file)
    chosen = template or list(lookup(TEMPLATE_SETS, templates, what="set of templates"))
    check_labels(names)
    check_templates(chosen)
    wish = _Rejection(fit=tuple(reject_fit or ()), rate=false_positive_rate, method=reject_method, file=threshold_file)
    wish.check(reject, num_labels=len(names))
    paths = find_images(images)
    encoder = load(model)
    classifier = ZeroShotClassifier(encoder, labels=names, templates=chosen, scale=encoder.scale)
    detector = wish.detector(classifier) if reject else None
    embeddings, kept, errors = _readable(classifier.encoder, paths, "skipped")
    if not kept:
        raise ValueError(f"none of {len(paths)} images could be read")
    probabilities = classifier.probabilities(embeddings)
    answers = [_answer(paths[i], row, names, top) for i, row in zip(kept, probabilities, strict=True)]
    if detector is not None:
        answers = [answer | verdict for answer, verdict in zip(answers, _verdicts(detector, embeddings), strict=True)]
    if json:
        show_json({"answers": answers, "skipped": errors})
        return
    for answer in answers:
        show_table(["label", "probability", ""], _rows(answer), title=answer["image"])
    if errors:
        note(f"{len(answers)} images classified, {len(errors)} skipped")


def read_labels(labels: str, labels_file: Path | None) -> list[str]:
    """Labels as typed or from a file; white space around them and empty lines of a file do not count."""
    if bool(labels) == bool(labels_file):
        raise ValueError("give the classes either as --labels dog,cat or as --labels-file FILE")
    if labels_file:
        try:
            lines = labels_file.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise ValueError(f"{labels_file}: not UTF-8 ({error.reason} at byte {error.start}); convert it") from None
        return [line.strip() for line in lines if line.strip()]
    return [label.strip() for label in labels.split(",")]


def find_images(patterns: list[str]) -> list[str]:
    """Files as they are, all images of a folder, matches of a glob, lines of stdin for `-`; ValueError for nothing."""
    import glob
    import sys

    from fullclip.preprocess.image import IMAGE_EXTENSIONS

    found: dict[str, None] = {}
    for pattern in patterns:
        if not pattern:
            raise ValueError("one of the images has an empty name; is a variable of your shell not set?")
        if pattern == "-":
            matches = [line.strip() for line in sys.stdin if line.strip()]
        elif Path(pattern).is_dir():
            files = sorted(Path(pattern).rglob("*"))
            matches = [str(file) for file in files if file.suffix.lower().lstrip(".") in IMAGE_EXTENSIONS]
        elif glob.has_magic(pattern) and not Path(pattern).exists():
            matches = sorted(glob.glob(pattern, recursive=True))
        else:
            matches = [pattern]  # a missing file is one image skipped, not the end of a long list
        if not matches:
            raise ValueError(f"no images in {pattern!r}")
        found.update(dict.fromkeys(matches))
    return list(found)


@dataclass(frozen=True, kw_only=True)
class _Rejection:
    """What the options of --reject say."""

    fit: tuple[str, ...]
    rate: float | None
    method: str | None
    file: Path | None

    def check(self, reject: bool, *, num_labels: int) -> None:
        """ValueError for options that do not go together, before a model is opened."""
        from fullclip.zeroshot.outlier import check_method, fewest_pictures

        given = {
            "--reject-fit": self.fit,
            "--false-positive-rate": self.rate,
            "--reject-method": self.method,
            "--threshold-file": self.file,
        }
        alone = [name for name, value in given.items() if value not in (None, ())]
        if not reject and alone:
            raise ValueError(f"{alone[0]} says how to reject: add --reject")
        if self.method is not None or self.fit:
            check_method(self.chosen, num_labels=num_labels)
        if self.rate is not None:
            fewest_pictures(self.rate)
        if self.rate is not None and not self.fit:
            raise ValueError("--false-positive-rate is for a threshold to be fitted: add --reject-fit IMAGES")
        if self.fit or not reject:
            return
        if self.file is not None and not self.file.is_file():
            raise ValueError(f"{self.file}: no such file; --reject-fit IMAGES beside it fits a threshold and keeps it there")
        if self.file is None and self.chosen != "negative_labels":
            raise ValueError(f"{self.chosen} has no threshold of its own: add --reject-fit IMAGES, images of the labels")

    @property
    def chosen(self) -> "Method":
        from fullclip.zeroshot.outlier import METHODS

        found: Any = self.method or METHODS[0]  # check_method knows whether it is one
        return found  # type: ignore[no-any-return]

    def detector(self, classifier: "ZeroShotClassifier") -> "OutlierDetector":
        """With a threshold: its own, one from a file, or one that is fitted, and kept where there is a file for it."""
        from fullclip.evaluation.features.backbone import ClipBackbone
        from fullclip.zeroshot.outlier import DEFAULT_RATE, OutlierDetector
        from fullclip.zeroshot.threshold import load_threshold, save_threshold

        encoder = classifier.encoder
        model = "" if self.file is None else ClipBackbone(encoder, name="").fingerprint
        if self.file is not None and not self.fit:
            return load_threshold(self.file, classifier, model=model, method=self.chosen if self.method else None)
        detector = OutlierDetector(classifier, self.chosen)
        if self.fit:
            rate = DEFAULT_RATE if self.rate is None else self.rate
            embeddings, _, _ = _readable(encoder, find_images(list(self.fit)), "not fitted on")
            detector.fit(embeddings, false_positive_rate=rate)
            note(f"threshold {detector.threshold:.4g}, fitted on {len(embeddings)} images to reject {rate:.3g} of such")
        if self.file is not None:
            save_threshold(detector, self.file, model=model)
        return detector


def _readable(encoder: "Encoder", paths: list[str], what: str) -> "tuple[np.ndarray, list[int], list[str]]":
    """The embeddings of the images that can be read, their places, and the errors of the others, which are noted as `what`."""
    embeddings, kept, errors = encoder.encode_readable_images(paths)
    for error in errors:
        note(f"{what}: {error}")
    return embeddings, kept, [str(error) for error in errors]


def _verdicts(detector: "OutlierDetector", embeddings: "np.ndarray") -> list[dict[str, Any]]:
    """What an answer says beside its labels."""
    scores, rejected = detector.scores(embeddings), detector.predict(embeddings)
    return [
        {"rejected": no, "outlier_score": score, "threshold": detector.threshold}
        for no, score in zip(rejected.tolist(), scores.tolist(), strict=True)
    ]


def _answer(path: str, probabilities: "np.ndarray", labels: list[str], top: int) -> dict[str, Any]:
    best = probabilities.argsort()[::-1][:top]
    return {"image": path, "labels": [{"label": labels[i], "probability": float(probabilities[i])} for i in best]}


def _rows(answer: dict[str, Any]) -> list[Sequence[str]]:
    """The lines of an answer's table."""
    rows: list[Sequence[str]] = []
    if answer.get("rejected"):
        rows.append((NONE, "–", f"score {answer['outlier_score']:.4g}, above {answer['threshold']:.4g}"))
    return rows + [(one["label"], f"{one['probability']:.1%}", _bar(one["probability"])) for one in answer["labels"]]


def _bar(share: float) -> str:
    eighths = round(share * _BAR_WIDTH * 8)
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]
