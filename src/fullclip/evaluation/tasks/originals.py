"""Sets in the files that their authors publish: CIFAR-10 and -100 (python and binary versions), MNIST-style idx, STL-10; and
two that Python packages carry: scikit-learn's digits, photographs of solar cells (elpv-dataset).

Nothing in a file is run: the pickles of CIFAR's python version are read with a list of the three names they need.
"""

import gzip
import importlib.util
import io
import pickle
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from fullclip.core.extras import require
from fullclip.evaluation.tasks.arrays import ArraySplit
from fullclip.evaluation.tasks.files import File, FileSplit
from fullclip.evaluation.tasks.task import Split

Pixels = UInt8[np.ndarray, "n height width channels"]


def read_original(folder: Path) -> tuple[str, dict[str, Split]] | None:
    """(the known set that the original files in a folder look like, its splits), or None where it holds none of these; any idx
    files look like MNIST. ValueError for a file that is torn.
    """
    for reader in (_cifar_binary, _cifar_python, _idx, _stl10):
        found = reader(folder)
        if found is not None:
            return found
    return None


def digits() -> dict[str, Split]:
    """scikit-learn's handwritten digits, 8 x 8 pixels of 17 levels: every fourth is of the test split, the rest of train."""
    found = require("sklearn.datasets", extra="eval").load_digits()
    pixels, labels = np.round(found.images * (255 / 16)).astype(np.uint8), found.target.astype(np.int64)
    test = np.arange(len(labels)) % 4 == 3
    return {"train": ArraySplit(pixels[~test], labels[~test]), "test": ArraySplit(pixels[test], labels[test])}


def solar_cells() -> dict[str, Split] | None:
    """Electroluminescence photographs of solar cells (Buerhop-Lukpin et al. 2018), functional or defective; None where the
    package elpv-dataset is not there.

    The experts' probabilities of a defect, 0, 1/3, 2/3 and 1, are rounded: 2/3 is defective. Every fourth cell is of the test
    split, the rest of train.
    """
    found = importlib.util.find_spec("elpv_dataset")
    if found is None or not found.submodule_search_locations:
        return None
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


def _cifar_binary(folder: Path) -> tuple[str, dict[str, Split]] | None:
    """Records of one label (CIFAR-100: a coarse one, then a fine one) and 3,072 bytes, colour by colour."""
    ten = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
    hundred = {"train": ["train.bin"], "test": ["test.bin"]}
    for name, names, num_labels in (("cifar10", ten, 1), ("cifar100", hundred, 2)):
        found = {split: [folder / file for file in files if (folder / file).is_file()] for split, files in names.items()}
        if found["test"]:
            _complete(found["train"], names["train"], folder)
            return name, {split: _records(paths, num_labels) for split, paths in found.items() if paths}
    return None


def _complete(found: list[Path], wanted: list[str], folder: Path) -> None:
    missing = sorted(set(wanted) - {path.name for path in found})
    if found and missing:
        raise ValueError(
            f"{folder}: {missing[0]} is not there, but other parts of the train split are; unpack the archive again"
        )


def _records(paths: list[Path], num_labels: int) -> Split:
    size, parts = num_labels + 3072, []
    for path in paths:
        data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        if len(data) == 0 or len(data) % size:
            raise ValueError(f"{path}: {len(data):,} bytes are not whole records of {size:,}; unpack the archive again")
        parts.append(data.reshape(-1, size))
    records = np.concatenate(parts)
    return ArraySplit(_planes(records[:, num_labels:]), records[:, num_labels - 1].astype(np.int64))


def _planes(rows: UInt8[np.ndarray, "n values"], *, side: int = 32) -> Pixels:
    return np.ascontiguousarray(rows.reshape(-1, 3, side, side).transpose(0, 2, 3, 1))


class _Arrays(pickle.Unpickler):
    """A pickle of dictionaries, texts, lists and numpy arrays; anything else in it is refused."""

    def find_class(self, module: str, name: str) -> Any:
        rebuild = np.empty(0).__reduce__()[0]  # numpy has moved it from one private module to another
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): rebuild,
            ("numpy._core.multiarray", "_reconstruct"): rebuild,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return allowed[(module, name)]


def _cifar_python(folder: Path) -> tuple[str, dict[str, Split]] | None:
    ten = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
    hundred = {"train": ["train"], "test": ["test"]}
    for name, names, label in (("cifar10", ten, b"labels"), ("cifar100", hundred, b"fine_labels")):
        found = {split: [folder / file for file in files if (folder / file).is_file()] for split, files in names.items()}
        if found["test"]:
            _complete(found["train"], names["train"], folder)
            return name, {split: _unpickled(paths, label) for split, paths in found.items() if paths}
    return None


def _unpickled(paths: list[Path], label: bytes) -> Split:
    pixels, labels = [], []
    for path in paths:
        try:
            told = _Arrays(io.BytesIO(path.read_bytes()), encoding="bytes").load()
            rows = np.asarray(told[b"data"], dtype=np.uint8)
            pixels.append(_planes(rows.reshape(-1, 3072)))
            labels.append(np.asarray(told[label], dtype=np.int64))
        except Exception as error:  # a damaged pickle can raise nearly anything
            raise ValueError(f"{path}: no batch of CIFAR's python version ({type(error).__name__}: {error})") from None
    return ArraySplit(np.concatenate(pixels), np.concatenate(labels))


def _idx(folder: Path) -> tuple[str, dict[str, Split]] | None:
    """MNIST's format: `train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte` and so on, with or without .gz."""
    found: dict[str, Split] = {}
    for split, start in (("train", "train"), ("test", "t10k")):
        images, labels = _one(folder, f"{start}-images", 3), _one(folder, f"{start}-labels", 1)
        if (images is None) != (labels is None):
            raise ValueError(f"{images or labels}: the {'labels' if labels is None else 'images'} of this split are not there")
        if images is not None and labels is not None:
            found[split] = ArraySplit(read_idx(images), read_idx(labels).astype(np.int64))
    return ("mnist", found) if "test" in found else None


def _one(folder: Path, name: str, axes: int) -> Path | None:
    endings = (f"-idx{axes}-ubyte", f".idx{axes}-ubyte")
    there = [folder / f"{name}{ending}{packed}" for ending in endings for packed in ("", ".gz")]
    return next((path for path in there if path.is_file()), None)


def read_idx(path: Path) -> UInt8[np.ndarray, "*axes"]:
    """An idx file of bytes, of any number of axes; ValueError where its header does not fit what follows."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise ValueError(f"{path}: cannot be unpacked ({error}); fetch it again") from None
    if len(data) < 4 or data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * data[3]:
        raise ValueError(f"{path}: not an idx file of bytes (it begins with {data[:4]!r})")
    shape = struct.unpack(f">{data[3]}I", data[4 : 4 + 4 * data[3]])
    if len(data) - 4 - 4 * data[3] != int(np.prod(shape, dtype=object)):
        raise ValueError(
            f"{path}: its header says {list(shape)}, but {len(data) - 4 - 4 * data[3]:,} bytes follow; fetch it again"
        )
    return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def _stl10(folder: Path) -> tuple[str, dict[str, Split]] | None:
    """96 x 96 pixels, colour by colour, each column by column; labels from 1."""
    found: dict[str, Split] = {}
    for split in ("train", "test"):
        images, labels = folder / f"{split}_X.bin", folder / f"{split}_y.bin"
        if not images.is_file() or not labels.is_file():
            continue
        data = np.frombuffer(images.read_bytes(), dtype=np.uint8)
        if len(data) == 0 or len(data) % (3 * 96 * 96):
            raise ValueError(f"{images}: {len(data):,} bytes are not whole pictures of 3 x 96 x 96; unpack the archive again")
        pixels = np.ascontiguousarray(data.reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1))
        found[split] = ArraySplit(pixels, np.frombuffer(labels.read_bytes(), dtype=np.uint8).astype(np.int64) - 1)
    return ("stl10", found) if "test" in found else None


PACKAGED: Mapping[str, Callable[[], dict[str, Split] | None]] = {"digits": digits, "solar_cells": solar_cells}
