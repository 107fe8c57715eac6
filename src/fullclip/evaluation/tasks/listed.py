"""Sets whose authors publish images beside lists of them: what is of which split, and of which class.

An image that a list names and that is not there is counted when it is read. A class that a list names has to be one of ours.
"""

import csv
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fullclip.core.extras import require
from fullclip.evaluation.datasets import class_names, imagenet_wordnet_ids
from fullclip.evaluation.tasks.files import File, FileSplit, images_in, key_of
from fullclip.evaluation.tasks.task import Split

# (the image, as the list writes it; the number or name of its class)
Listed = Iterable[tuple[str, int | str]]


@dataclass(frozen=True, kw_only=True)
class Original:
    """A set in its authors' files: the known set whose words fit ("" for none), its splits, and its classes where these are not
    the known set's.
    """

    known: str
    splits: Mapping[str, Split]
    classes: tuple[tuple[str, ...], ...] = ()


def read_listed(folder: Path) -> Original | None:
    """The set whose lists a folder holds, or None; ValueError for a list that cannot be what it is called."""
    for reader in _READERS:
        found = reader(folder)
        if found is not None:
            return found
    return None


def read_matlab(path: Path, *names: str) -> dict[str, Any]:
    """Variables of a .mat file; ValueError where it is damaged or has others."""
    loadmat = require("scipy.io", extra="eval").loadmat
    try:
        found = loadmat(str(path), squeeze_me=True)
    except Exception as error:  # a damaged file can raise nearly anything
        raise ValueError(f"{path}: not a .mat file that can be read ({type(error).__name__}: {error})") from None
    missing = [name for name in names if name not in found]
    if missing:
        raise ValueError(f"{path}: no variable {missing[0]}; is it of another set?")
    return {name: found[name] for name in names}


def _food101(folder: Path) -> Original | None:
    """meta/test.txt has lines `apple_pie/1005649`."""

    def rows(path: Path) -> Listed:
        return ((f"{line}.jpg", line.split("/")[0]) for line in _lines(path))

    return _by_lists(folder, "food101", {"train": "meta/train.txt", "test": "meta/test.txt"}, rows)


def _dtd(folder: Path) -> Original | None:
    """labels/test1.txt, the first of ten partitions, has lines `banded/banded_0002.jpg`."""

    def rows(path: Path) -> Listed:
        return ((line, line.split("/")[0]) for line in _lines(path))

    lists = {"train": "labels/train1.txt", "validation": "labels/val1.txt", "test": "labels/test1.txt"}
    return _by_lists(folder, "dtd", lists, rows)


def _oxford_pets(folder: Path) -> Original | None:
    """annotations/test.txt has lines `Abyssinian_201 1 1 1`: an image, the class from 1, and what else it is."""

    def rows(path: Path) -> Listed:
        for line in _lines(path):
            name, label, *_ = line.split()
            yield f"{name}.jpg", int(label) - 1

    lists = {"train": "annotations/trainval.txt", "test": "annotations/test.txt"}
    return _by_lists(folder, "oxford_pets", lists, rows)


def _fgvc_aircraft(folder: Path) -> Original | None:
    """images_variant_test.txt has lines `1514522 707-320`."""

    def rows(path: Path) -> Listed:
        for line in _lines(path):
            name, variant = line.split(" ", 1)
            yield f"{name}.jpg", variant

    lists = {"train": "train", "validation": "val", "test": "test"}
    base = folder / "data" if (folder / "data/images_variant_test.txt").is_file() else folder
    return _by_lists(base, "fgvc_aircraft", {split: f"images_variant_{name}.txt" for split, name in lists.items()}, rows)


def _sun397(folder: Path) -> Original | None:
    """Testing_01.txt, the first of ten partitions, has lines `/a/airport_terminal/sun_aaybhkzofnbyvaoi.jpg`."""

    def rows(path: Path) -> Listed:
        for line in _lines(path):
            yield line.lstrip("/"), line.lstrip("/").partition("/")[2].rpartition("/")[0]

    return _by_lists(folder, "sun397", {"train": "Training_01.txt", "test": "Testing_01.txt"}, rows, images=".")


def _gtsrb(folder: Path) -> Original | None:
    """The contest's Final_Test/Images/GT-final_test.csv, between semicolons; or Test.csv, as Kaggle has it."""

    def rows(path: Path) -> Listed:
        for row in _table(path, "Filename", "ClassId", delimiter=";"):
            yield row["Filename"], int(row["ClassId"])

    def kaggles(path: Path) -> Listed:
        return ((row["Path"], int(row["ClassId"])) for row in _table(path, "Path", "ClassId"))

    test = next(
        (folder / place for place in ("Final_Test/Images", "GTSRB/Final_Test/Images") if (folder / place).is_dir()), None
    )
    if test is None:
        return _by_lists(folder, "gtsrb", {"train": "Train.csv", "test": "Test.csv"}, kaggles, images=".")
    found = _by_lists(test, "gtsrb", {"test": "GT-final_test.csv"}, rows, images=".")
    train = test.parents[1] / "Final_Training/Images"
    if found is None or not train.is_dir():
        return found
    files = [File(path=path, key=key_of(path, train), labels=(int(path.parent.name),)) for path in images_in(train)]
    return Original(known="gtsrb", splits={"train": FileSplit(files), **found.splits}) if files else found


def _imagenet(folder: Path) -> Original | None:
    """ILSVRC2012 as Kaggle has it: the validation images in one folder, LOC_val_solution.csv with `n03995372 85 1 499 272`."""
    base = folder / "ILSVRC/Data/CLS-LOC"
    table = folder / "LOC_val_solution.csv"
    if not table.is_file() or not base.is_dir():
        return None
    numbers = {name: number for number, name in enumerate(imagenet_wordnet_ids())}
    rows = _table(table, "ImageId", "PredictionString")
    found = [(f"{row['ImageId']}.JPEG", str(row["PredictionString"]).split()[0]) for row in rows]
    splits: dict[str, Split] = {"test": _files(found, numbers, base / "val", table)}
    if (base / "train").is_dir():
        train = [(key_of(path, base / "train"), path.parent.name) for path in images_in(base / "train")]
        splits["train"] = _files(train, numbers, base / "train", base / "train")
    return Original(known="imagenet", splits=splits)


def _flowers102(folder: Path) -> Original | None:
    """imagelabels.mat has the label of each image, from 1, setid.mat the numbers of the images of each split."""
    if not (folder / "imagelabels.mat").is_file() or not (folder / "setid.mat").is_file():
        return None
    labels = read_matlab(folder / "imagelabels.mat", "labels")["labels"]
    parts = {"train": "trnid", "validation": "valid", "test": "tstid"}
    ids = read_matlab(folder / "setid.mat", *parts.values())
    splits: dict[str, Split] = {}
    for split, name in parts.items():
        rows = [(f"image_{number:05d}.jpg", int(labels[number - 1]) - 1) for number in np.atleast_1d(ids[name]).tolist()]
        splits[split] = _files(rows, _numbers("flowers102"), folder / "jpg", folder / "setid.mat")
    return Original(known="flowers102", splits=splits)


def _stanford_cars(folder: Path) -> Original | None:
    """cars_test_annos_withlabels.mat, of the test images, and devkit/cars_train_annos.mat: `class`, from 1, and `fname`."""
    lists = {"train": "cars_train_annos.mat", "test": "cars_test_annos_withlabels.mat"}
    splits: dict[str, Split] = {}
    for split, name in lists.items():
        path = next((place / name for place in (folder, folder / "devkit") if (place / name).is_file()), None)
        if path is not None:
            told = np.atleast_1d(read_matlab(path, "annotations")["annotations"])
            rows = [(str(each["fname"]), int(each["class"]) - 1) for each in told]
            splits[split] = _files(rows, _numbers("stanford_cars"), folder / f"cars_{split}", path)
    return Original(known="stanford_cars", splits=splits) if "test" in splits else None


def _voc2007(folder: Path) -> Original | None:
    """ImageSets/Main/dog_test.txt says of each image whether it shows one: 1, -1, or 0 where that is hard to see, and then it
    is not judged.
    """
    places = ("VOCdevkit/VOC2007", "VOC2007", ".")
    base = next((folder / place for place in places if (folder / place / "ImageSets/Main/aeroplane_test.txt").is_file()), None)
    if base is None:
        return None
    splits: dict[str, Split] = {}
    for split, name in {"train": "train", "validation": "val", "test": "test"}.items():
        lists = [base / f"ImageSets/Main/{each}_{name}.txt" for (each,) in class_names("voc2007")]
        if not lists[0].is_file() and split != "test":
            continue
        told = defaultdict[str, dict[int, int]](dict)
        for number, path in enumerate(lists):
            for line in _lines(path):
                image, _, said = line.partition(" ")
                if said.strip() not in ("1", "0", "-1"):
                    raise ValueError(f"{path}: {line!r} is no image and 1, 0 or -1")
                told[image][number] = int(said)
        files = []
        for image, judged in sorted(told.items()):
            labels = tuple(number for number, said in judged.items() if said == 1)
            unjudged = [number for number in range(len(lists)) if judged.get(number, 0) == 0]
            meta = {"not_judged": unjudged} if unjudged else {}
            files.append(File(path=base / f"JPEGImages/{image}.jpg", key=f"{image}.jpg", labels=labels, meta=meta))
        splits[split] = FileSplit(files)
    return Original(known="voc2007", splits=splits)


def _hateful_memes(folder: Path) -> Original | None:
    """dev.jsonl, or dev_seen.jsonl, has objects with "img" and "label"; the test's labels were never published."""
    dev = next((name for name in ("dev.jsonl", "dev_seen.jsonl") if (folder / name).is_file()), None)

    def rows(path: Path) -> Listed:
        for line in _lines(path):
            told = json.loads(line)
            yield str(told["img"]), int(told["label"])

    if dev is None or not (folder / "img").is_dir():
        return None
    return _by_lists(folder, "hateful_memes", {"train": "train.jsonl", "test": dev}, rows, images=".")


def _karpathy(folder: Path) -> Original | None:
    """dataset_coco.json, dataset_flickr30k.json, dataset_flickr8k.json: captions, and Karpathy's splits."""
    known = next((name for name in ("coco", "flickr30k", "flickr8k") if (folder / f"dataset_{name}.json").is_file()), None)
    if known is None:
        return None
    path = folder / f"dataset_{known}.json"
    of = {"train": "train", "restval": "train", "val": "validation", "test": "test"}
    files = defaultdict[str, list[File]](list)
    try:
        for image in json.loads(path.read_text(encoding="utf-8"))["images"]:
            key = "/".join(filter(None, (image.get("filepath", ""), image["filename"])))
            texts = tuple(sentence["raw"].strip() for sentence in image["sentences"] if sentence["raw"].strip())
            files[of[image["split"]]].append(File(path=Path(key), key=key, texts=texts))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: not what it is called ({type(error).__name__}: {error}); fetch it again") from None
    first = files["test"][0].path if files["test"] else Path()
    names = (".", "images", "Images", f"{known}-images", f"{known}_images", "Flicker8k_Dataset", "Flickr8k_Dataset")
    base = next((folder / name for name in names if (folder / name / first).is_file()), folder)
    splits = {
        split: FileSplit([File(path=base / file.path, key=file.key, texts=file.texts) for file in listed])
        for split, listed in files.items()
        if listed
    }
    return Original(known=known, splits=splits)


_READERS: Sequence[Callable[[Path], Original | None]] = (
    _food101,
    _dtd,
    _oxford_pets,
    _fgvc_aircraft,
    _sun397,
    _gtsrb,
    _imagenet,
    _flowers102,
    _stanford_cars,
    _voc2007,
    _hateful_memes,
    _karpathy,
)


def _by_lists(
    folder: Path, known: str, lists: Mapping[str, str], rows: Callable[[Path], Listed], *, images: str = "images"
) -> Original | None:
    """The splits whose lists are there; None where that of the test split is not, or the images are not beside it."""
    if not (folder / lists["test"]).is_file() or not (folder / images).is_dir():
        return None
    splits: dict[str, Split] = {}
    for split, name in lists.items():
        path = folder / name
        if path.is_file():
            splits[split] = _files(_read(path, rows), _numbers(known), folder / images, path)
    return Original(known=known, splits=splits)


def _read(path: Path, rows: Callable[[Path], Listed]) -> Iterator[tuple[str, int | str]]:
    number = 0
    try:
        for number, row in enumerate(rows(path), 1):  # noqa: B007
            yield row
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{path}: cannot be read after entry {number} ({error}); fetch it again") from None


def _files(rows: Listed, numbers: Mapping[str, int], place: Path, path: Path) -> FileSplit:
    files = []
    for name, said in rows:
        label = numbers.get(_plain(said), -1) if isinstance(said, str) else said
        if not 0 <= label < len(numbers):
            raise ValueError(f"{path}: {name} is of the class {said!r}, which is none of the {len(numbers)}")
        files.append(File(path=place / name, key=name, labels=(label,)))
    return FileSplit(files)


def _numbers(known: str) -> dict[str, int]:
    found = {_plain(names[0]): number for number, names in enumerate(class_names(known))}
    assert len(found) == len(class_names(known))
    return found


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except FileNotFoundError:
        raise ValueError(f"{path} is not there; unpack the archive again") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path}: no text in UTF-8; fetch it again") from None


def _table(path: Path, *columns: str, delimiter: str = ",") -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file, delimiter=delimiter):
            missing = [name for name in columns if not row.get(name)]
            if missing:
                raise ValueError(f"no column {missing[0]} in {list(row.values())}")
            yield row
