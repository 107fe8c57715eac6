"""Sets whose authors publish images and lists: each in its archive's layout, with the lines that its lists have."""

import json
from pathlib import Path

import numpy as np
import pytest

from fullclip.evaluation.datasets import class_names
from fullclip.evaluation.tasks.find import find_task
from fullclip.evaluation.tasks.task import Example, Task

ARCHIVES = {
    "food101": {
        "images/apple_pie/1005649.jpg": 1,
        "images/waffles/2.jpg": 2,
        "images/cheesecake/3.jpg": 3,
        "images/cheese_plate/4.jpg": 4,
        "meta/train.txt": "cheesecake/3\ncheese_plate/4\n",
        "meta/test.txt": "apple_pie/1005649\nwaffles/2\n",
    },
    "dtd": {
        "images/banded/banded_0002.jpg": 1,
        "images/zigzagged/zigzagged_0001.jpg": 2,
        "labels/train1.txt": "banded/banded_0002.jpg\n",
        "labels/val1.txt": "banded/banded_0002.jpg\n",
        "labels/test1.txt": "banded/banded_0002.jpg\nzigzagged/zigzagged_0001.jpg\n",
        "labels/test2.txt": "zigzagged/zigzagged_0001.jpg\n",
    },
    "oxford_pets": {
        "images/Abyssinian_201.jpg": 1,
        "images/yorkshire_terrier_9.jpg": 2,
        "annotations/trainval.txt": "Abyssinian_201 1 1 1\n",
        "annotations/test.txt": "yorkshire_terrier_9 37 2 25\nAbyssinian_201 1 1 1\n",
    },
    "fgvc_aircraft": {
        "data/images/1514522.jpg": 1,
        "data/images/0056978.jpg": 2,
        "data/images_variant_train.txt": "1514522 707-320\n",
        "data/images_variant_val.txt": "0056978 Eurofighter Typhoon\n",
        "data/images_variant_test.txt": "1514522 707-320\n0056978 Yak-42\n",
    },
    "sun397": {
        "a/abbey/sun_1.jpg": 1,
        "a/apartment_building/outdoor/sun_2.jpg": 2,
        "j/jail_cell/sun_3.jpg": 3,
        "Training_01.txt": "/j/jail_cell/sun_3.jpg\n",
        "Testing_01.txt": "/a/abbey/sun_1.jpg\n/a/apartment_building/outdoor/sun_2.jpg\n",
    },
    "gtsrb": {
        "Final_Training/Images/00042/00000_00001.ppm": b"P6 1 1 255 abc",
        "Final_Training/Images/00042/GT-00042.csv": "Filename;Width\n",
        "Final_Test/Images/00000.ppm": b"P6 1 1 255 abd",
        "Final_Test/Images/00001.ppm": b"P6 1 1 255 abe",
        "Final_Test/Images/GT-final_test.csv": (
            "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"
            "00000.ppm;53;54;6;5;48;49;16\n00001.ppm;42;45;5;5;36;40;1\n"
        ),
    },
    "imagenet": {
        "ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG": 1,
        "ILSVRC/Data/CLS-LOC/train/n01440764/n01440764_1.JPEG": 2,
        "LOC_val_solution.csv": "ImageId,PredictionString\nILSVRC2012_val_00000001,n15075141 85 1 499 272 n15075141 1 1 2 2 \n",
    },
    "hateful_memes": {
        "img/08291.png": 1,
        "img/46971.png": 2,
        "train.jsonl": '{"id":46971,"img":"img/46971.png","label":0,"text":"a"}\n',
        "dev_seen.jsonl": '{"id":8291,"img":"img/08291.png","label":1,"text":"b"}\n',
    },
}
TOLD = {
    "food101": [("apple_pie/1005649.jpg", "apple pie"), ("waffles/2.jpg", "waffles")],
    "dtd": [("banded/banded_0002.jpg", "banded"), ("zigzagged/zigzagged_0001.jpg", "zigzagged")],
    "oxford_pets": [("yorkshire_terrier_9.jpg", "yorkshire terrier"), ("Abyssinian_201.jpg", "Abyssinian")],
    "fgvc_aircraft": [("1514522.jpg", "707-320"), ("0056978.jpg", "Yak-42")],
    "sun397": [("a/abbey/sun_1.jpg", "abbey"), ("a/apartment_building/outdoor/sun_2.jpg", "apartment building outdoor")],
    "gtsrb": [("00000.ppm", "red and white triangle... "), ("00001.ppm", "red and white circle 30 kph speed limit")],
    "imagenet": [("ILSVRC2012_val_00000001.JPEG", "toilet paper")],
    "hateful_memes": [("img/08291.png", "hatespeech meme")],
}
TRAIN = {
    "food101": [("cheesecake/3.jpg", "cheesecake"), ("cheese_plate/4.jpg", "cheese plate")],
    "dtd": [("banded/banded_0002.jpg", "banded")],
    "oxford_pets": [("Abyssinian_201.jpg", "Abyssinian")],
    "fgvc_aircraft": [("1514522.jpg", "707-320")],
    "sun397": [("j/jail_cell/sun_3.jpg", "jail cell")],
    "gtsrb": [("00042/00000_00001.ppm", class_names("gtsrb")[42][0])],
    "imagenet": [("n01440764/n01440764_1.JPEG", "tench")],
    "hateful_memes": [("img/46971.png", "meme")],
}


def told(task: Task, split: str = "test") -> list[tuple[str, str]]:
    part = task.splits[split]
    found = list(part.read(range(len(part))))
    assert all(isinstance(one, Example) and one.image for one in found)
    return [(one.key, task.class_names[one.labels[0]]) for one in found]


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_set_in_its_archives_layout(tree, name):
    folder = tree(ARCHIVES[name], name="archive")
    task = find_task(str(folder))
    expected = [(key, class_names("gtsrb")[16][0] if "..." in said else said) for key, said in TOLD[name]]
    assert told(task) == expected
    assert told(task, "train") == TRAIN[name]
    assert task.classes == class_names(name)
    assert task.splits.keys() - {"validation"} == {"train", "test"}


def test_the_archive_may_lie_in_a_folder_of_its_own_and_be_asked_by_name(tree):
    root = tree({f"oxford_pets/pets/{path}": content for path, content in ARCHIVES["oxford_pets"].items()}, name="root")
    task = find_task("oxford_pets", root=root)
    assert (told(task), task.metric, task.note) == (
        TOLD["oxford_pets"],
        "mean_per_class",
        "2 test images; the paper has 3,669.",
    )
    with pytest.raises(ValueError, match="dtd is not here"):
        find_task("dtd", root=root)


def test_another_sets_files_under_a_name(tree):
    root = tree({f"dtd/{path}": content for path, content in ARCHIVES["food101"].items()}, name="root")
    with pytest.raises(ValueError, match="dtd holds the files of food101, not of dtd"):
        find_task("dtd", root=root)


def test_an_image_that_is_listed_and_not_there_is_counted(tree):
    folder = tree(ARCHIVES["dtd"])
    (folder / "images/banded/banded_0002.jpg").unlink()
    split = find_task(str(folder)).splits["test"]
    assert [getattr(one, "reason", "") for one in split.read(range(2))] == ["no such file", ""]


@pytest.mark.parametrize(
    ("name", "path", "content", "part"),
    [
        (
            "food101",
            "meta/test.txt",
            "apple_pie/1\npizzas/2\n",
            "test.txt: pizzas/2.jpg is of the class 'pizzas', which is none of",
        ),
        (
            "oxford_pets",
            "annotations/test.txt",
            "a_1 38 1 1\n",
            "test.txt: a_1.jpg is of the class 37, which is none of the 37",
        ),
        ("oxford_pets", "annotations/test.txt", "a_1 1 1 1\na_1\n", r"test.txt: cannot be read after entry 1 \("),
        ("fgvc_aircraft", "data/images_variant_test.txt", b"\xff 1", "images_variant_test.txt: no text in UTF-8"),
        (
            "gtsrb",
            "Final_Test/Images/GT-final_test.csv",
            "Filename,ClassId\na,1\n",
            "cannot be read after entry 0 .no column Filename",
        ),
        ("gtsrb", "Final_Test/Images/GT-final_test.csv", "Filename;ClassId\na.ppm;x\n", "cannot be read after entry 0"),
        (
            "imagenet",
            "LOC_val_solution.csv",
            "ImageId,PredictionString\na,n00000000 1 1 1 1\n",
            "a.JPEG is of the class 'n00000000'",
        ),
        ("hateful_memes", "dev_seen.jsonl", '{"img": 3\n', "dev_seen.jsonl: cannot be read after entry 0"),
    ],
)
def test_lists_that_are_wrong(tree, name, path, content, part):
    folder = tree({**ARCHIVES[name], path: content})
    with pytest.raises(ValueError, match=part) as found:
        find_task(str(folder))
    assert "\n" not in str(found.value)


def test_gtsrb_as_kaggle_has_it(tree):
    folder = tree(
        {
            "Test/00000.png": 1,
            "Train/20/a.png": 2,
            "Test.csv": "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path\n53,54,6,5,48,49,16,Test/00000.png\n",
            "Train.csv": "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path\n27,26,5,5,22,20,20,Train/20/a.png\n",
        }
    )
    task = find_task(str(folder))
    assert [one.labels for split in ("test", "train") for one in task.splits[split].read(range(1))] == [(16,), (20,)]


def test_flowers(tree):
    savemat = pytest.importorskip("scipy.io").savemat
    folder = tree({f"jpg/image_{i:05d}.jpg": i for i in range(1, 7)})
    savemat(folder / "imagelabels.mat", {"labels": np.array([[77, 77, 1, 102, 5, 5]], dtype=np.uint8)})
    ids = {"trnid": [[3, 1]], "valid": [[2]], "tstid": [[4, 6, 5]]}
    savemat(folder / "setid.mat", {name: np.array(each, dtype=np.uint16) for name, each in ids.items()})
    task = find_task(str(folder))
    labels = {split: [(one.key, *one.labels) for one in part.read(range(len(part)))] for split, part in task.splits.items()}
    assert labels == {
        "train": [("image_00003.jpg", 0), ("image_00001.jpg", 76)],
        "validation": [("image_00002.jpg", 76)],
        "test": [("image_00004.jpg", 101), ("image_00006.jpg", 4), ("image_00005.jpg", 4)],
    }
    (folder / "setid.mat").write_bytes((folder / "imagelabels.mat").read_bytes())
    with pytest.raises(ValueError, match=r"setid.mat: no variable trnid; is it of another set\?"):
        find_task(str(folder))


def test_stanford_cars(tree):
    savemat = pytest.importorskip("scipy.io").savemat
    folder = tree({f"cars_{part}/0000{i}.jpg": i for part in ("train", "test") for i in (1, 2)})
    (folder / "devkit").mkdir()
    kind = [("bbox_x1", "O"), ("class", "O"), ("fname", "O")]

    def annotations(path: Path, labels: list[int]) -> None:
        rows = [(39, label, f"0000{i}.jpg") for i, label in enumerate(labels, 1)]
        savemat(path, {"annotations": np.array(rows, dtype=kind)[None]})

    annotations(folder / "devkit/cars_train_annos.mat", [14])
    annotations(folder / "cars_test_annos_withlabels.mat", [196, 1])
    task = find_task(str(folder))
    assert told(task) == [("00001.jpg", class_names("stanford_cars")[195][0]), ("00002.jpg", "AM General Hummer SUV 2000")]
    assert told(task, "train") == [("00001.jpg", class_names("stanford_cars")[13][0])]


def test_voc2007(tree):
    """In ImageSets/Main, 0 is "difficult", and does not count (the challenge's development kit, section 4.1)."""
    names = [names[0] for names in class_names("voc2007")]
    said = {"dog": {"000001": 1, "000002": -1, "000003": 0}, "cat": {"000001": 1, "000002": -1, "000003": 1}}
    files: dict = {f"JPEGImages/{image}.jpg": i for i, image in enumerate(["000001", "000002", "000003"])}
    for name in names:
        lines = [f"{image} {said.get(name, {}).get(image, -1):2d}" for image in ("000001", "000002", "000003")]
        files |= {f"ImageSets/Main/{name}_{part}.txt": "\n".join(lines) + "\n" for part in ("train", "val", "test")}
    files["ImageSets/Main/test.txt"] = "000001\n000002\n000003\n"
    folder = tree({f"VOCdevkit/VOC2007/{path}": content for path, content in files.items()})
    task = find_task(str(folder))
    assert (task.kind, task.metric, task.splits.keys()) == ("multilabel", "map_11_point", {"train", "validation", "test"})
    found = list(task.splits["test"].read(range(3)))
    assert [tuple(task.class_names[label] for label in one.labels) for one in found] == [("cat", "dog"), (), ("cat",)]
    assert [one.meta for one in found] == [{}, {}, {"not_judged": [names.index("dog")]}]
    (folder / "VOCdevkit/VOC2007/ImageSets/Main/cow_test.txt").write_text("000001 2\n")
    with pytest.raises(ValueError, match=r"cow_test.txt: '000001 2' is no image and 1, 0 or -1"):
        find_task(str(folder))
    (folder / "VOCdevkit/VOC2007/ImageSets/Main/cow_test.txt").unlink()
    with pytest.raises(ValueError, match=r"cow_test.txt is not there; unpack the archive again"):
        find_task(str(folder))


@pytest.mark.parametrize(
    ("known", "place"), [("flickr30k", "flickr30k-images"), ("flickr8k", "Flicker8k_Dataset"), ("coco", "images")]
)
def test_captions_in_karpathys_file(tree, known, place):
    images = [
        {
            "filename": f"{i}.jpg",
            "split": split,
            "sentences": [{"raw": f"caption {i}. "}, {"raw": f"another {i}"}, {"raw": " "}],
        }
        for i, split in enumerate(["train", "restval", "val", "test", "test"])
    ]
    if known == "coco":
        images = [{**image, "filepath": "val2014"} for image in images]
    folder = tree(
        {f"{place}/{image.get('filepath', '')}/{image['filename']}": i for i, image in enumerate(images)}, name="root/" + known
    )
    (folder / f"dataset_{known}.json").write_text(json.dumps({"dataset": known, "images": images}))
    task = find_task(known, root=folder.parent)
    assert (task.kind, task.metric, task.name) == ("retrieval", "recall@1", known)
    assert {split: len(part) for split, part in task.splits.items()} == {"train": 2, "validation": 1, "test": 2}
    found = list(task.splits["test"].read(range(2)))
    assert [one.texts for one in found] == [("caption 3.", "another 3"), ("caption 4.", "another 4")]
    prefix = "val2014/" if known == "coco" else ""
    assert [one.key for one in found] == [f"{prefix}3.jpg", f"{prefix}4.jpg"]
    (folder / f"dataset_{known}.json").write_text(json.dumps({"images": [{"filename": "x"}]}))
    with pytest.raises(ValueError, match=rf"dataset_{known}.json: not what it is called \(KeyError"):
        find_task(known, root=folder.parent)
