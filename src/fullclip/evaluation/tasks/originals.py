"""Sets in the files that their authors publish: CIFAR-10 and -100 (python and binary versions), MNIST-style idx, EMNIST,
STL-10, SVHN, FER2013. Those that are images with lists of them: listed.py.

Nothing in a file is run: the pickles of CIFAR's python version are read with a list of the few names they need.
"""

import csv
import gzip
import io
import pickle
import re
import struct
import zlib
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from fullclip.evaluation.tasks.arrays import ArraySplit
from fullclip.evaluation.tasks.listed import Original, read_listed, read_matlab
from fullclip.evaluation.tasks.task import Split

Pixels = UInt8[np.ndarray, "n height width channels"]

# What nobody else's digits begin with: Fashion-MNIST, KMNIST and others have files of the same names.
_MNIST = {"train": [5, 0, 4, 1, 9, 2, 1, 3, 1, 4], "test": [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]}


def read_original(folder: Path) -> Original | None:
    """The set that the original files in a folder are, or None where it holds none of these. ValueError for a file that is
    torn, or not there while another part of it is.
    """
    for reader in (_cifar_binary, _cifar_python, _idx, _emnist, _stl10, _svhn, _fer2013, read_listed):
        found = reader(folder)
        if found is not None:
            return found
    return None


def _cifar_binary(folder: Path) -> Original | None:
    """Records of one label (CIFAR-100: a coarse one, then a fine one) and 3,072 bytes, colour by colour."""
    ten = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
    hundred = {"train": ["train.bin"], "test": ["test.bin"]}
    for name, names, num_labels in (("cifar10", ten, 1), ("cifar100", hundred, 2)):
        found = {split: [folder / file for file in files if (folder / file).is_file()] for split, files in names.items()}
        if found["test"]:
            _complete(found["train"], names["train"], folder)
            splits = {split: _records(paths, num_labels) for split, paths in found.items() if paths}
            return Original(known=name, splits=splits)
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
            ("_codecs", "encode"): _latin_1,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return allowed[(module, name)]


def _latin_1(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding!r}")
    return text.encode("latin-1")


def _cifar_python(folder: Path) -> Original | None:
    ten = {"train": [f"data_batch_{i}" for i in range(1, 6)], "test": ["test_batch"]}
    hundred = {"train": ["train"], "test": ["test"]}
    for name, names, label in (("cifar10", ten, b"labels"), ("cifar100", hundred, b"fine_labels")):
        found = {split: [folder / file for file in files if (folder / file).is_file()] for split, files in names.items()}
        if found["test"]:
            _complete(found["train"], names["train"], folder)
            splits = {split: _unpickled(paths, label) for split, paths in found.items() if paths}
            return Original(known=name, splits=splits)
    return None


def _unpickled(paths: list[Path], label: bytes) -> Split:
    pixels, labels = [], []
    for path in paths:
        try:
            told = _Arrays(io.BytesIO(path.read_bytes()), encoding="bytes").load()
            rows = np.asarray(told[b"data"], dtype=np.uint8)
            pixels.append(_planes(rows.reshape(-1, 3072)))
            labels.append(np.asarray(told[label], dtype=np.int64))
            if len(labels[-1]) != len(pixels[-1]):
                raise ValueError(f"{len(pixels[-1])} pictures, {len(labels[-1])} labels")
        except Exception as error:  # a damaged pickle can raise nearly anything
            raise ValueError(f"{path}: no batch of CIFAR's python version ({type(error).__name__}: {error})") from None
    return ArraySplit(np.concatenate(pixels), np.concatenate(labels))


def _idx(folder: Path) -> Original | None:
    """MNIST's format: `train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte` and so on, with or without .gz. Of which set they are
    is known of MNIST's own alone.
    """
    found, digits = dict[str, Split](), True
    for split, start in (("train", "train"), ("test", "t10k")):
        images, labels = _pair(folder, start)
        if images is not None and labels is not None:
            numbers = read_idx(labels).astype(np.int64)
            found[split] = ArraySplit(_pictures(images), numbers)
            digits = digits and numbers[:10].tolist() == _MNIST[split]
    return Original(known="mnist" if digits else "", splits=found) if "test" in found else None


def _pictures(path: Path) -> UInt8[np.ndarray, "n height width"]:
    pixels = read_idx(path)
    if pixels.ndim != 3:
        raise ValueError(f"{path}: {list(pixels.shape)} is no list of pictures, [n, height, width]")
    return pixels


def _pair(folder: Path, start: str) -> tuple[Path | None, Path | None]:
    images, labels = _one(folder, f"{start}-images", 3), _one(folder, f"{start}-labels", 1)
    if (images is None) != (labels is None):
        raise ValueError(f"{images or labels}: the {'labels' if labels is None else 'images'} of this split are not there")
    return images, labels


def _emnist(folder: Path) -> Original | None:
    """The same with other names, of each character set one pair of files; pictures lie on their sides, and a table says which
    character a label is.
    """
    tables = sorted(folder.glob("emnist-*-mapping.txt"))
    if len(tables) > 1:
        sets = ", ".join(path.name.split("-")[1] for path in tables)
        raise ValueError(f"{folder} has several sets of EMNIST ({sets}); put the one that is meant into a folder of its own")
    for table in tables:
        splits, kind = dict[str, Split](), table.name.split("-")[1]
        rows = [line.split() for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not all(len(row) > 1 and all(re.fullmatch("[0-9]+", number) for number in row) for row in rows) or not rows:
            raise ValueError(f"{table}: a line is a label and the codes of its characters")
        first = min(int(row[0]) for row in rows)  # letters count from 1
        names = {int(row[0]) - first: tuple(dict.fromkeys(chr(int(code)) for code in row[1:])) for row in rows}
        for split in ("train", "test"):
            images, labels = _pair(folder, f"emnist-{kind}-{split}")
            if images is not None and labels is not None:
                upright = np.ascontiguousarray(_pictures(images).transpose(0, 2, 1))
                splits[split] = ArraySplit(upright, read_idx(labels).astype(np.int64) - first)
        if "test" in splits:
            return Original(known="", splits=splits, classes=_spoken([names[label] for label in sorted(names)]))
    return None


def _spoken(characters: list[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Letters that differ in case alone are one word to CLIP, so capitals are called so."""
    small = {name for names in characters for name in names if name.islower()}
    both = {name for names in characters for name in names if name.isupper() and name.lower() in small}
    return tuple(
        tuple(f"capital {name}" if name in both and len(names) == 1 else name for name in names) for names in characters
    )


def _one(folder: Path, name: str, axes: int) -> Path | None:
    endings = (f"-idx{axes}-ubyte", f".idx{axes}-ubyte")
    there = [folder / f"{name}{ending}{packed}" for ending in endings for packed in ("", ".gz")]
    return next((path for path in there if path.is_file()), None)


def read_idx(path: Path) -> UInt8[np.ndarray, "*axes"]:
    """An idx file of bytes, of any number of axes; ValueError where its header does not fit what follows."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: cannot be unpacked ({error}); fetch it again") from None
    if len(data) < 4 or data[:3] != b"\0\0\x08" or len(data) < 4 + 4 * data[3]:
        raise ValueError(f"{path}: not an idx file of bytes (it begins with {data[:4]!r})")
    shape = struct.unpack(f">{data[3]}I", data[4 : 4 + 4 * data[3]])
    if len(data) - 4 - 4 * data[3] != int(np.prod(shape, dtype=object)):
        raise ValueError(
            f"{path}: its header says {list(shape)}, but {len(data) - 4 - 4 * data[3]:,} bytes follow; fetch it again"
        )
    return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * data[3]).reshape(shape)


def _stl10(folder: Path) -> Original | None:
    """96 x 96 pixels, colour by colour, each column by column; labels from 1."""
    found: dict[str, Split] = {}
    for split in ("train", "test"):
        images, labels = folder / f"{split}_X.bin", folder / f"{split}_y.bin"
        if images.is_file() != labels.is_file():
            raise ValueError(f"{images if labels.is_file() else labels} is not there, but its other half is; unpack it again")
        if not images.is_file():
            continue
        data = np.frombuffer(images.read_bytes(), dtype=np.uint8)
        if len(data) == 0 or len(data) % (3 * 96 * 96):
            raise ValueError(f"{images}: {len(data):,} bytes are not whole pictures of 3 x 96 x 96; unpack the archive again")
        pixels = np.ascontiguousarray(data.reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1))
        found[split] = ArraySplit(pixels, np.frombuffer(labels.read_bytes(), dtype=np.uint8).astype(np.int64) - 1)
    return Original(known="stl10", splits=found) if "test" in found else None


def _svhn(folder: Path) -> Original | None:
    """Street View House Numbers, cropped digits: `test_32x32.mat` with X [32, 32, 3, n] and y, in which 10 is the digit 0."""
    found: dict[str, Split] = {}
    for split in ("train", "test"):
        path = folder / f"{split}_32x32.mat"
        if path.is_file():
            told = read_matlab(path, "X", "y")
            pixels = np.ascontiguousarray(told["X"].transpose(3, 0, 1, 2))
            found[split] = ArraySplit(pixels, told["y"].reshape(-1).astype(np.int64) % 10)
    return Original(known="mnist", splits=found) if "test" in found else None


def _fer2013(folder: Path) -> Original | None:
    """A table: the number of an emotion, 48 x 48 grey values, and the part of the contest, the last of which is the test."""
    path = next((path for path in (folder / "fer2013.csv", folder / "icml_face_data.csv") if path.is_file()), None)
    if path is None:
        return None
    splits = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
    pixels, labels = defaultdict[str, list[np.ndarray]](list), defaultdict[str, list[int]](list)
    with path.open(encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.DictReader(file, skipinitialspace=True), 1):
            try:
                split, values = splits[row["Usage"]], np.array(row["pixels"].split(), dtype=np.uint8)
                pixels[split].append(values.reshape(48, 48))
                labels[split].append(int(row["emotion"]))
            except (KeyError, ValueError, AttributeError, OverflowError) as error:
                raise ValueError(f"{path}: row {number} is no emotion, pixels and Usage ({error}); fetch it again") from None
    made = {split: ArraySplit(np.stack(pixels[split]), np.array(labels[split])) for split in splits.values() if labels[split]}
    return Original(known="fer2013", splits=dict(made))
