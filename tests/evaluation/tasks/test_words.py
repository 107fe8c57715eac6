"""The published words for a known set's classes, whatever the set calls them; never for another class."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from fullclip.evaluation.datasets import DATASETS, class_names, imagenet_classes, imagenet_wordnet_ids, templates
from fullclip.evaluation.suite.shifts import corresponding
from fullclip.evaluation.tasks.find import find_task
from fullclip.evaluation.tasks.task import Task
from fullclip.evaluation.tasks.words import with_the_papers_words
from tasks import Listed, examples

OWN = "The set's own class names"
WORDED = [name for name in DATASETS if class_names(name) and not DATASETS[name].packaged]


def known(name: str, classes: list[str]) -> Task:
    """A set of that name with its own list of classes, through the paper's words."""
    dataset = DATASETS[name]
    split = Listed(examples(2, 1))
    own = tuple((each,) for each in classes)
    task = Task(name=name, kind=dataset.kind, metric=dataset.metric, splits={"test": split}, classes=own)
    return with_the_papers_words(task, dataset)


@pytest.mark.parametrize("name", WORDED)
@pytest.mark.parametrize("spelled", [str, str.upper, lambda text: text.replace(" ", "_"), lambda text: text.replace(" ", "")])
def test_names_in_any_spelling_and_order(name, spelled):
    ours = class_names(name)
    order = np.random.default_rng(0).permutation(len(ours))
    if name == "imagenet":  # of two classes of one name the first is told by being first
        order = np.arange(len(ours))
    task = known(name, [spelled(ours[place][0]) if name != "imagenet" else ours[place][0] for place in order])
    assert task.classes == tuple(ours[place] for place in order)
    assert (task.note, task.templates) == ("", templates(name) or templates("imagenet"))
    numbers = imagenet_classes(name)
    assert task.reference_classes == (tuple(numbers[place] for place in order) if numbers else ())


@pytest.mark.parametrize("name", [name for name in WORDED if not imagenet_classes(name)])
@pytest.mark.parametrize("first", [0, 1])
def test_numbers_as_names(name, first):
    ours = class_names(name)
    if ours[0][0].isdigit():
        pytest.skip("its names are numbers")
    task = known(name, [f"{number:05d}" for number in range(first, len(ours) + first)])
    assert (task.classes, task.note) == (ours, "")


@pytest.mark.parametrize("name", ["imagenet", "imagenet_v2", "imagenet_sketch", "imagenet_a", "imagenet_r"])
def test_wordnet_ids(name):
    """ImageNet's class i is the i-th id in ascending order; ImageNet-A and -R have 200 of them."""
    ids = imagenet_wordnet_ids()
    numbers = imagenet_classes(name) or tuple((number,) for number in range(1000))
    order = np.random.default_rng(1).permutation(len(numbers))
    task = known(name, [ids[numbers[place][0]] for place in order])
    assert task.class_names == tuple(class_names("imagenet")[numbers[place][0]][0] for place in order)
    if name != "imagenet":
        assert task.reference == "imagenet"
        assert task.reference_classes == tuple(numbers[place] for place in order)
        imagenet = known("imagenet", list(ids))
        assert corresponding(task, imagenet) == task.reference_classes
    wrong = known(name, ["n00000001", *(ids[numbers[place][0]] for place in order[1:])])
    assert (wrong.class_names[0], wrong.note.startswith(OWN), wrong.reference_classes) == ("n00000001", True, ())


def test_imagenet_v2s_folders_are_numbers_that_sort_by_their_value(tree):
    root = tree({f"imagenet_v2/imagenetv2-matched-frequency-format-val/{i}/x.jpeg": b"x" for i in range(1000)}, name="root")
    task = find_task("imagenet_v2", root=root)
    found = list(task.splits["test"].read(range(1000)))
    assert [(one.key, one.labels) for one in found] == [(f"{i}/x.jpeg", (i,)) for i in range(1000)]
    assert task.classes == class_names("imagenet")
    assert task.reference_classes == tuple((i,) for i in range(1000))
    assert corresponding(task, known("imagenet", [names[0] for names in class_names("imagenet")])) == task.reference_classes


def test_imagenet_r_as_its_archive_is(tree):
    ids = [imagenet_wordnet_ids()[number] for (number,) in imagenet_classes("imagenet_r")]
    root = tree(
        {f"imagenet_r/imagenet-r/{each}/a.jpg": b"x" for each in ids} | {"imagenet_r/imagenet-r/README.txt": "x"}, name="root"
    )
    task = find_task("imagenet_r", root=root)
    assert task.classes == class_names("imagenet_r")
    assert task.reference_classes == imagenet_classes("imagenet_r")


FOLDERS = {
    "eurosat": "AnnualCrop Forest HerbaceousVegetation Highway Industrial Pasture PermanentCrop Residential River SeaLake",
    "fer2013": "angry disgust fear happy neutral sad surprise",
    "rendered_sst2": "negative positive",
}


@pytest.mark.parametrize("name", FOLDERS)
def test_the_authors_folders(tree, name):
    root = tree({f"{name}/2750/{folder}/1.jpg": i for i, folder in enumerate(FOLDERS[name].split())}, name="root")
    task = find_task(name, root=root)
    assert task.note == f"{len(FOLDERS[name].split()):,} test images; the paper has {DATASETS[name].test:,}."
    by_folder = {
        one.key.split("/")[1 if "2750" in one.key else 0]: task.classes[one.labels[0]][0]
        for one in task.splits["test"].read(range(len(task.classes)))
    }
    shown = {
        "eurosat": {
            "SeaLake": "lake or sea",
            "HerbaceousVegetation": "brushland or shrubland",
            "AnnualCrop": "annual crop land",
        }
    }
    shown |= {
        "fer2013": {"neutral": "neutral", "fear": "fearful", "surprise": "surprised"},
        "rendered_sst2": {"positive": "positive"},
    }
    assert {folder: by_folder[folder] for folder in shown[name]} == shown[name]


def test_country211s_folders_are_codes():
    random = np.random.default_rng(0)
    letters = [a + b for a in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" for b in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    codes = sorted(random.choice(letters, 211, replace=False).tolist())
    assert known("country211", codes).classes == class_names("country211")
    assert known("country211", ["a1", *codes[1:]]).note.startswith(OWN)


def test_other_spellings_between_names_that_are_found():
    """Caltech-101's folders: BACKGROUND_Google, Faces, Faces_easy and others are called otherwise by the paper's authors."""
    ours = [names[0] for names in class_names("caltech101")]
    theirs = [
        "BACKGROUND_Google",
        "Faces",
        "Faces_easy",
        "Leopards",
        "Motorbikes",
        *(name.replace(" ", "_") for name in ours[5:]),
    ]
    assert known("caltech101", theirs).classes == class_names("caltech101")
    moved = [*theirs[5:], *theirs[:5]]
    assert known("caltech101", moved).note.startswith(OWN)
    strange = [f"x{place}" if place % 5 < 3 else name for place, name in enumerate(theirs)]  # most are not found
    assert known("caltech101", strange).class_names == tuple(strange)


@pytest.mark.parametrize("name", ["eurosat", "kitti_distance", "dtd"])
def test_names_that_cannot_be_told_stay(name):
    theirs = [f"thing {chr(97 + place // 26)}{chr(97 + place % 26)}" for place in range(len(class_names(name)))]
    task = known(name, theirs)
    assert (task.class_names, task.note) == (tuple(theirs), f"{OWN}, not those that openai/CLIP published.")


def test_kittis_folders_in_their_own_order_are_not_taken_for_vtabs_labels():
    task = known("kitti_distance", ["above_20", "below_20", "below_8", "no_vehicle"])
    assert task.note.startswith(OWN)


def test_orders_of_the_loaders():
    """openai/CLIP's issues 153 (diningtable) and 300 (KITTI); FGVC's variants.txt."""
    voc = "aeroplane bicycle bird boat bottle bus car cat chair cow diningtable"
    voc += " dog horse motorbike person pottedplant sheep sofa train tvmonitor"
    assert [names[0] for names in class_names("voc2007")] == voc.split()
    assert [names[0] for names in class_names("fgvc_aircraft")][:3] == ["707-320", "727-200", "737-200"]
    assert class_names("fgvc_aircraft")[-1] == ("Yak-42",)


def clip_benchmarks(file: str) -> dict:
    spec = importlib.util.find_spec("clip_benchmark")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package clip_benchmark is not installed")
    return json.loads((Path(spec.submodule_search_locations[0]) / "datasets" / file).read_text(encoding="utf-8"))


def test_clip_benchmarks_lists_are_recognised():
    """What its shards on the hub have as classnames.txt."""
    theirs = clip_benchmarks("en_classnames.json")
    of = {
        "cars": "stanford_cars",
        "pets": "oxford_pets",
        "pcam": "patch_camelyon",
        "flowers": "flowers102",
        "imagenet1k": "imagenet",
    }
    of |= {"renderedsst2": "rendered_sst2"}
    named = {of.get(name, name): classes for name, classes in theirs.items() if of.get(name, name) in WORDED}
    assert len(named) == 10
    for name, classes in named.items():
        assert not known(name, classes).note, name
    fer = known("fer2013", theirs["fer2013"])
    assert [names[0] for names in fer.classes] == ["angry", "disgusted", "fearful", "happy", "neutral", "sad", "surprised"]
