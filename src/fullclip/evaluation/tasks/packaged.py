"""Two sets that Python packages carry: scikit-learn's digits, and photographs of solar cells (elpv-dataset)."""

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fullclip.core.extras import require
from fullclip.evaluation.tasks.arrays import ArraySplit
from fullclip.evaluation.tasks.files import File, FileSplit
from fullclip.evaluation.tasks.task import Split


@dataclass(frozen=True, kw_only=True)
class Packaged:
    """The module that has to be there, the known set whose words fit, and how the splits are read."""

    module: str
    words: str
    read: Callable[[], dict[str, Split]]


def digits() -> dict[str, Split]:
    """scikit-learn's handwritten digits, 8 x 8 pixels of 17 levels: every fourth is of the test split, the rest of train."""
    found = require("sklearn.datasets", extra="eval").load_digits()
    pixels, labels = np.round(found.images * (255 / 16)).astype(np.uint8), found.target.astype(np.int64)
    test = np.arange(len(labels)) % 4 == 3
    return {"train": ArraySplit(pixels[~test], labels[~test]), "test": ArraySplit(pixels[test], labels[test])}


def solar_cells() -> dict[str, Split]:
    """Electroluminescence photographs of solar cells (Buerhop-Lukpin et al. 2018), functional or defective.

    The experts' probabilities of a defect, 0, 1/3, 2/3 and 1, are rounded: 2/3 is defective. Every fourth cell is of the test
    split, the rest of train.
    """
    found = importlib.util.find_spec("elpv_dataset")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("this needs the package 'elpv-dataset': pip install elpv-dataset")
    folder = Path(found.submodule_search_locations[0]) / "data"
    files: dict[str, list[File]] = {"train": [], "test": []}
    for number, line in enumerate((folder / "labels.csv").read_text(encoding="utf-8").split("\n")):
        parts = line.split()
        if parts:
            place = files["test" if number % 4 == 3 else "train"]
            place.append(
                File(path=folder / parts[0], key=parts[0], labels=(int(float(parts[1]) > 0.5),), meta={"cell": parts[2]})
            )
    return {split: FileSplit(listed) for split, listed in files.items()}


PACKAGED: Mapping[str, Packaged] = {
    "digits": Packaged(module="sklearn", words="mnist", read=digits),
    "solar_cells": Packaged(module="elpv_dataset", words="solar_cells", read=solar_cells),
}
