"""fullclip classify: pictures and a list of words in, the most fitting words out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fullclip.cli.output import Json, note, show_json, show_table

if TYPE_CHECKING:
    import numpy as np

_BAR_WIDTH = 24


def classify(
    images: Annotated[list[str], typer.Argument(help="Files, folders, globs, or - for a list of files on stdin.")],
    model: Annotated[str, typer.Option(help="A name from `fullclip models list`, a folder or a file.")] = "openai/ViT-B-32",
    labels: Annotated[str, typer.Option(help="The classes, separated by commas.")] = "",
    labels_file: Annotated[Path | None, typer.Option(help="A file with one class a line.")] = None,
    template: Annotated[list[str] | None, typer.Option(help="A sentence with {} for the label; may be repeated.")] = None,
    templates: Annotated[str, typer.Option(help="A set of templates: label, photo or seven.")] = "photo",
    top: Annotated[int, typer.Option(min=1, help="How many labels to show for each image.")] = 5,
    json: Json = False,
) -> None:
    """Say which of the given words fits each image best."""
    from fullclip.core.config import lookup
    from fullclip.inference import load
    from fullclip.zeroshot.classifier import ZeroShotClassifier
    from fullclip.zeroshot.prompts import TEMPLATE_SETS, check_labels, check_templates

    names = read_labels(labels, labels_file)
    chosen = template or list(lookup(TEMPLATE_SETS, templates, what="set of templates"))
    check_labels(names)
    check_templates(chosen)
    paths = find_images(images)
    classifier = ZeroShotClassifier(load(model), labels=names, templates=chosen)
    embeddings, kept, errors = classifier.encoder.encode_readable_images(paths)
    for error in errors:
        note(f"skipped: {error}")
    if not kept:
        raise ValueError(f"none of {len(paths)} images could be read")
    probabilities = classifier.probabilities(embeddings)
    answers = [_answer(paths[i], row, names, top) for i, row in zip(kept, probabilities, strict=True)]
    if json:
        show_json({"answers": answers, "skipped": [str(error) for error in errors]})
        return
    for answer in answers:
        rows = [(label["label"], f"{label['probability']:.1%}", _bar(label["probability"])) for label in answer["labels"]]
        show_table(["label", "probability", ""], rows, title=answer["image"])
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


def _answer(path: str, probabilities: "np.ndarray", labels: list[str], top: int) -> dict[str, Any]:
    best = probabilities.argsort()[::-1][:top]
    return {"image": path, "labels": [{"label": labels[i], "probability": float(probabilities[i])} for i in best]}


def _bar(share: float) -> str:
    eighths = round(share * _BAR_WIDTH * 8)
    return "█" * (eighths // 8) + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[eighths % 8]
