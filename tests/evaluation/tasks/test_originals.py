"""Sets in their authors' files: written here as each format's description says, pixel by pixel, and read back."""

import gzip
import io
import os
import pickle
import struct
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from fullclip.evaluation.datasets import class_names
from fullclip.evaluation.tasks.arrays import ArraySplit
from fullclip.evaluation.tasks.find import find_task
from fullclip.evaluation.tasks.originals import read_idx
from fullclip.evaluation.tasks.task import Split

MNIST_LABELS = {"train": [5, 0, 4, 1, 9, 2, 1, 3, 1, 4], "t10k": [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]}


def read(split: Split) -> tuple[np.ndarray, list[int]]:
    found = list(split.read(range(len(split))))
    return np.stack([one.image for one in found]), [label for one in found for label in one.labels]


def colours(number: int, side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (number, side, side, 3)).astype(np.uint8)


def rows_of(pixels: np.ndarray) -> list[bytes]:
    """All red values row by row, then green, then blue, of each picture."""
    return [
        b"".join(bytes([int(picture[y, x, c]) for y in range(32) for x in range(32)]) for c in range(3)) for picture in pixels
    ]


# CIFAR


def cifar(
    folder: Path, form: str, name: str, parts: dict[str, str], *, seed: int = 0
) -> dict[str, tuple[np.ndarray, list[int]]]:
    """Files with three pictures each; what is in them, file by file."""
    folder.mkdir(exist_ok=True)
    told = {}
    for place, (part, ending) in enumerate(parts.items()):
        pixels, most = colours(3, 32, seed + place), int(name[5:])
        labels = np.random.default_rng(place).integers(0, most, 3).tolist()
        told[part] = (pixels, labels)
        if form == "binary":
            coarse = [b"\x07"] if name == "cifar100" else [b""]
            data = b"".join(coarse[0] + bytes([label]) + row for label, row in zip(labels, rows_of(pixels), strict=True))
            (folder / f"{part}{ending}").write_bytes(data)
            continue
        values = np.stack([np.frombuffer(row, dtype=np.uint8) for row in rows_of(pixels)])
        keys = {b"data": values, b"batch_label": b"x", b"filenames": [b"a.png"] * 3}
        keys |= {b"labels": labels} if name == "cifar10" else {b"fine_labels": labels, b"coarse_labels": [0] * 3}
        (folder / f"{part}{ending}").write_bytes(written(keys))
    return told


class OfPython2(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, and so as the published files are."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, text: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(text)) + text)
        self.memoize(text)

    dispatch[bytes] = save_bytes


def written(told: dict) -> bytes:
    file = io.BytesIO()
    OfPython2(file, protocol=2).dump(told)
    return file.getvalue().replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")


FORMS = {
    ("cifar10", "python"): {**{f"data_batch_{i}": "" for i in range(1, 6)}, "test_batch": ""},
    ("cifar10", "binary"): {**{f"data_batch_{i}": ".bin" for i in range(1, 6)}, "test_batch": ".bin"},
    ("cifar100", "python"): {"train": "", "test": ""},
    ("cifar100", "binary"): {"train": ".bin", "test": ".bin"},
}


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_cifar(tmp_path, name, form):
    told = cifar(tmp_path / "batches", form, name, FORMS[name, form])
    task = find_task(str(tmp_path / "batches"))
    assert (task.classes, task.kind, task.metric, len(task.templates)) == (class_names(name), "classification", "accuracy", 18)
    *train, test = told.values()
    for split, parts in (("train", train), ("test", [test])):
        pixels, labels = read(task.splits[split])
        np.testing.assert_array_equal(pixels, np.concatenate([part[0] for part in parts]))
        assert labels == [label for part in parts for label in part[1]]


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_batch_that_python_3_has_written(tmp_path, protocol):
    told = {b"data": np.arange(3072, dtype=np.uint8)[None].repeat(2, axis=0), b"labels": [7, 3]}
    (tmp_path / "test_batch").write_bytes(pickle.dumps(told, protocol=protocol))
    pixels, labels = read(find_task(str(tmp_path)).splits["test"])
    assert (labels, pixels[1, 2, 5].tolist()) == ([7, 3], [(2 * 32 + 5 + c * 1024) % 256 for c in range(3)])


def test_the_folder_around_the_files_is_the_set_too(tmp_path):
    cifar(tmp_path / "cifar-10-batches-py", "python", "cifar10", FORMS["cifar10", "python"])
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"x")
    assert find_task(str(tmp_path)).classes == class_names("cifar10")


def test_the_test_part_alone(tmp_path):
    cifar(tmp_path / "c", "python", "cifar10", {"test_batch": ""})
    assert find_task(str(tmp_path / "c")).splits.keys() == {"test"}


def test_numbers_of_classes_of_ones_own(tmp_path):
    told = cifar(tmp_path / "c", "binary", "cifar10", {"test_batch": ".bin"})
    (tmp_path / "c/classnames.txt").write_text("".join(f"thing {i}\n" for i in range(10)))
    assert find_task(str(tmp_path / "c")).class_names[9] == "thing 9"
    (tmp_path / "c/classnames.txt").write_text("one\ntwo\n")
    wrong = next(label for label in told["test_batch"][1] if label > 1)
    with pytest.raises(ValueError, match=f"the split test has the label {wrong}, but there are 2 classes, from 0"):
        find_task(str(tmp_path / "c"))


class Harm:
    """Would remove a file if it were unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = str(victim)

    def __reduce__(self):
        return os.remove, (self.victim,)


def test_a_pickle_that_would_run_something_is_refused(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("here")
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "test_batch").write_bytes(pickle.dumps({b"data": Harm(victim), b"labels": [0]}))
    with pytest.raises(
        ValueError, match=r"test_batch: no batch of CIFAR's python version \(UnpicklingError: it asks for posix.remove"
    ):
        find_task(str(folder))
    assert victim.exists()


@pytest.mark.faults
@pytest.mark.parametrize(
    ("name", "form", "damage", "part"),
    [
        (
            "cifar10",
            "binary",
            lambda f: (f / "test_batch.bin").write_bytes(bytes(100)),
            "100 bytes are not whole records of 3,073",
        ),
        (
            "cifar100",
            "binary",
            lambda f: (f / "train.bin").write_bytes(b""),
            "train.bin: 0 bytes are not whole records of 3,074",
        ),
        ("cifar10", "binary", lambda f: (f / "data_batch_3.bin").unlink(), "data_batch_3.bin is not there, but other parts"),
        ("cifar10", "python", lambda f: (f / "data_batch_1").unlink(), "data_batch_1 is not there"),
        (
            "cifar10",
            "python",
            lambda f: (f / "test_batch").write_bytes((f / "test_batch").read_bytes()[:500]),
            "test_batch: no batch",
        ),
        ("cifar100", "python", lambda f: (f / "test").write_bytes(b""), "test: no batch of CIFAR's python version"),
        ("cifar100", "python", lambda f: (f / "train").write_bytes(pickle.dumps({b"data": 1})), "train: no batch"),
        (
            "cifar10",
            "python",
            lambda f: (f / "test_batch").write_bytes(pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, 2)),
            "2 pictures, 1 labels",
        ),
        (
            "cifar10",
            "python",
            lambda f: (f / "test_batch").write_bytes(
                pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}, 2)
            ),
            "the split test has the label 10, but there are 10 classes",
        ),
    ],
)
def test_cifar_that_is_torn(tmp_path, name, form, damage, part):
    cifar(tmp_path / "c", form, name, FORMS[name, form])
    damage(tmp_path / "c")
    with pytest.raises(ValueError) as found:
        find_task(str(tmp_path / "c"))
    assert part in str(found.value)
    assert "\n" not in str(found.value)


# idx


def idx(path: Path, values: np.ndarray) -> None:
    """The magic number (two zeros, 8 for bytes, the number of axes), each axis, the values: all big-endian."""
    header = bytes([0, 0, 8, values.ndim]) + b"".join(struct.pack(">I", size) for size in values.shape)
    data = header + bytes(values.astype(np.uint8).ravel().tolist())
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def digits(folder: Path, labels: dict[str, list[int]], *, joint: str = "-", packed: str = "") -> dict[str, np.ndarray]:
    told = {}
    for seed, (part, numbers) in enumerate(labels.items()):
        told[part] = np.random.default_rng(seed).integers(0, 256, (len(numbers), 28, 28))
        idx(folder / f"{part}-images{joint}idx3-ubyte{packed}", told[part])
        idx(folder / f"{part}-labels{joint}idx1-ubyte{packed}", np.array(numbers))
    return told


@pytest.mark.parametrize("joint", ["-", "."])
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_mnist(tmp_path, joint, packed):
    told = (
        digits(tmp_path / "MNIST/raw", MNIST_LABELS, joint=joint, packed=packed) if (tmp_path / "MNIST").mkdir() is None else {}
    )
    task = find_task(str(tmp_path))
    assert (task.class_names, task.templates) == (tuple("0123456789"), ('a photo of the number: "{c}".',))
    for split, part in (("train", "train"), ("test", "t10k")):
        pixels, labels = read(task.splits[split])
        assert labels == MNIST_LABELS[part]
        for channel in range(3):
            np.testing.assert_array_equal(pixels[..., channel], told[part])


def test_files_like_mnists_of_another_set_need_names(tmp_path):
    digits(tmp_path / "fashion", {"t10k": [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]})
    with pytest.raises(ValueError, match=r"of which set are these files\? Write classnames.txt beside them"):
        find_task(str(tmp_path / "fashion"))
    names = "T-shirt/top Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag Ankle_boot"
    (tmp_path / "fashion/classnames.txt").write_text("\n".join(names.split()))
    assert find_task(str(tmp_path / "fashion")).class_names[-1] == "Ankle boot"
    assert find_task(str(tmp_path / "fashion")).templates == ()


def test_emnist(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 28, 28))
    folder = tmp_path / "e"
    idx(folder / "emnist-letters-test-images-idx3-ubyte.gz", pictures)
    idx(folder / "emnist-letters-test-labels-idx1-ubyte.gz", np.array([1, 26, 2]))
    (folder / "emnist-letters-mapping.txt").write_text("".join(f"{i} {64 + i} {96 + i}\n" for i in range(1, 27)))
    task = find_task(str(folder))
    assert (len(task.classes), task.classes[:2]) == (26, (("A", "a"), ("B", "b")))
    pixels, labels = read(task.splits["test"])
    assert labels == [0, 25, 1]
    for each, picture in zip(pixels, pictures, strict=True):
        np.testing.assert_array_equal(each[..., 0], picture.T)
    (folder / "emnist-digits-mapping.txt").write_text("0 48\n")
    with pytest.raises(ValueError, match=r"several sets of EMNIST \(digits, letters\)"):
        find_task(str(folder))


@pytest.mark.faults
@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "not an idx file of bytes"),
        (b"\0\0\x0d\1\0\0\0\1x", "not an idx file of bytes"),
        (b"\0\0\x08\3\0\0\0\1", "not an idx file of bytes"),
        (b"\0\0\x08\1\0\0\0\5abc", r"its header says \[5\], but 3 bytes follow"),
        (b"\0\0\x08\1\0\0\0\1abc", r"its header says \[1\], but 3 bytes follow"),
        (b"\0\0\x08\4" + b"\xff" * 16, r"its header says \[4294967295, .* but 0 bytes follow"),
    ],
)
def test_idx_files_that_are_torn(tmp_path, data, part):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ValueError, match=f"x: {part}"):
        read_idx(tmp_path / "x")


@pytest.mark.faults
def test_mnist_that_is_torn(tmp_path):
    folder = tmp_path / "m"
    digits(folder, MNIST_LABELS, packed=".gz")
    whole = (folder / "t10k-images-idx3-ubyte.gz").read_bytes()
    for damaged in (whole[:300], b"x" + whole, whole[:40] + b"\xff" * 200 + whole[240:]):
        (folder / "t10k-images-idx3-ubyte.gz").write_bytes(damaged)
        with pytest.raises(ValueError, match="cannot be unpacked"):
            find_task(str(folder))
    (folder / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(ValueError, match=r"t10k-labels-idx1-ubyte.gz: the images of this split are not there"):
        find_task(str(folder))
    digits(folder, {"t10k": MNIST_LABELS["t10k"]}, packed=".gz")
    idx(folder / "t10k-labels-idx1-ubyte.gz", np.array([7, 2]))
    with pytest.raises(ValueError, match="10 pictures, but 2 labels"):
        find_task(str(folder))
    idx(folder / "t10k-images-idx3-ubyte.gz", np.zeros((2, 28)))
    with pytest.raises(ValueError, match=r"\[2, 28\] is no list of pictures"):
        find_task(str(folder))


# STL-10, SVHN, FER2013


def stl10(folder: Path, part: str, labels: list[int]) -> np.ndarray:
    """Colour by colour, and in each column by column; labels from 1."""
    pixels = colours(len(labels), 96, len(labels))
    folder.mkdir(exist_ok=True)
    (folder / f"{part}_X.bin").write_bytes(
        b"".join(picture[:, x, c].tobytes() for picture in pixels for c in range(3) for x in range(96))
    )
    (folder / f"{part}_y.bin").write_bytes(bytes(label + 1 for label in labels))
    return pixels


def test_stl10(tmp_path):
    folder = tmp_path / "stl10_binary"
    told = {part: stl10(folder, part, labels) for part, labels in {"train": [3, 0], "test": [9, 0, 4]}.items()}
    task = find_task(str(tmp_path))
    assert task.classes == class_names("stl10")
    assert read(task.splits["test"])[1] == [9, 0, 4]
    for part, pixels in told.items():
        np.testing.assert_array_equal(read(task.splits[part])[0], pixels)
    (folder / "train_y.bin").unlink()
    with pytest.raises(ValueError, match=r"train_y.bin is not there, but its other half is"):
        find_task(str(tmp_path))
    (folder / "train_X.bin").unlink()
    (folder / "test_y.bin").write_bytes(bytes([10, 1, 0]))
    with pytest.raises(ValueError, match="the split test has the label -1, but there are 10 classes"):
        find_task(str(tmp_path))
    (folder / "test_X.bin").write_bytes(bytes(5000))
    with pytest.raises(ValueError, match="5,000 bytes are not whole pictures of 3 x 96 x 96"):
        find_task(str(tmp_path))


def test_svhn(tmp_path):
    savemat = pytest.importorskip("scipy.io").savemat
    pixels = colours(4, 32)
    savemat(
        tmp_path / "test_32x32.mat", {"X": pixels.transpose(1, 2, 3, 0), "y": np.array([[10], [1], [9], [10]], dtype=np.uint8)}
    )
    task = find_task(str(tmp_path))
    found, labels = read(task.splits["test"])
    np.testing.assert_array_equal(found, pixels)
    assert [task.class_names[label] for label in labels] == ["0", "1", "9", "0"]
    (tmp_path / "test_32x32.mat").write_bytes(b"rubbish")
    with pytest.raises(ValueError, match=r"test_32x32.mat: not a .mat file that can be read"):
        find_task(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "header"), [("fer2013.csv", "emotion,pixels,Usage"), ("icml_face_data.csv", "emotion, Usage, pixels")]
)
def test_fer2013(tmp_path, name, header):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 48, 48))
    usages = ["Training", "PublicTest", "PrivateTest", "PrivateTest"]
    told = [
        {"emotion": str(i + 3), "pixels": " ".join(map(str, each.ravel())), "Usage": use}
        for i, (each, use) in enumerate(zip(pixels, usages, strict=True))
    ]
    columns = [column.strip() for column in header.split(",")]
    (tmp_path / name).write_text("\n".join([header, *(",".join(row[column] for column in columns) for row in told)]))
    task = find_task(str(tmp_path))
    assert {split: len(part) for split, part in task.splits.items()} == {"train": 1, "validation": 1, "test": 2}
    found, labels = read(task.splits["test"])
    np.testing.assert_array_equal(found[..., 1], pixels[2:])
    assert [task.class_names[label] for label in labels] == ["surprised", "neutral"]
    (tmp_path / name).write_text(f"{header}\n" + ",".join({**told[0], "pixels": "1 2 3"}[column] for column in columns))
    with pytest.raises(ValueError, match="row 1 is no emotion, pixels and Usage"):
        find_task(str(tmp_path))


# In memory


def test_arrays_are_read_from_anywhere_and_told_apart():
    pixels, labels = colours(5, 4), np.arange(5)
    split = ArraySplit(pixels, labels)
    assert [one.key for one in split.read(range(2, 4))] == ["000002", "000003"]
    other = pixels.copy()
    other[3, 1, 1, 1] ^= 1
    same = {split.digest(), ArraySplit(pixels.copy(), labels.astype(np.int32)).digest()}
    assert len(same) == 1
    assert len(same | {ArraySplit(other, labels).digest(), ArraySplit(pixels, labels[::-1]).digest()}) == 3
    with pytest.raises(ValueError, match="5 pictures, but 4 labels: a file of another set"):
        ArraySplit(pixels, labels[:4])
