"""The class names and templates that come with the package: as many as published, in the order of the labels, well formed."""

import importlib.util
import json
import string
from importlib.resources import files
from pathlib import Path

import pytest

FOLDER = Path(str(files("fullclip").joinpath("assets/datasets")))
CLASSES, TEMPLATES, SHIFT = "classnames.txt", "zeroshot_classification_templates.txt", "imagenet_classes.txt"
IDS, FOLDERS = "wordnet_ids.txt", "folders.txt"

# Classes and templates of openai/CLIP's data/prompts.md and of its notebook Prompt_Engineering_for_ImageNet.ipynb
PUBLISHED = {
    "birdsnap": (500, 1),
    "caltech101": (102, 34),
    "cifar10": (10, 18),
    "cifar100": (100, 18),
    "clevr_counts": (8, 1),
    "country211": (211, 5),
    "dtd": (47, 8),
    "eurosat": (10, 3),
    "fer2013": (7, 6),
    "fgvc_aircraft": (100, 2),
    "flowers102": (102, 1),
    "food101": (101, 1),
    "gtsrb": (43, 3),
    "hateful_memes": (2, 1),
    "imagenet": (1000, 80),
    "kinetics700": (700, 28),
    "kitti_distance": (4, 1),
    "mnist": (10, 1),
    "oxford_pets": (37, 1),
    "patch_camelyon": (2, 1),
    "rendered_sst2": (2, 1),
    "resisc45": (45, 18),
    "stanford_cars": (196, 8),
    "stl10": (10, 2),
    "sun397": (397, 2),
    "ucf101": (101, 48),
    "voc2007": (20, 1),
}
# Ours, for a set that a Python package carries
OWN = {"solar_cells": (2, 2)}
# Classes, and how many of ImageNet's they are: imagenet-testbed validates on 6,250, 14,400 and 11,550 images, 50 of each.
SHIFTS = {
    "imagenet_a": (200, 200),
    "imagenet_r": (200, 200),
    "objectnet": (113, 6_250 // 50),
    "imagenet_vid": (30, 14_400 // 50),
    "youtube_bb": (24, 11_550 // 50),
}
# Published like this: openai/CLIP, issue 235
TWICE = {"imagenet": {"missile", "sunglasses"}}
NO_IMAGENET_CLASS = {"youtube_bb": {"cow", "giraffe", "skateboard", "toilet", "none"}}
# CLIP_benchmark's names for those of our sets whose classes or templates it has as data
CLIP_BENCHMARK = {
    "caltech101": "caltech101",
    "cars": "stanford_cars",
    "cifar10": "cifar10",
    "cifar100": "cifar100",
    "clevr_count_all": "clevr_counts",
    "country211": "country211",
    "dtd": "dtd",
    "eurosat": "eurosat",
    "fer2013": "fer2013",
    "fgvc_aircraft": "fgvc_aircraft",
    "flowers": "flowers102",
    "food101": "food101",
    "gtsrb": "gtsrb",
    "imagenet1k": "imagenet",
    "kitti_closest_vehicle_distance": "kitti_distance",
    "mnist": "mnist",
    "pcam": "patch_camelyon",
    "pets": "oxford_pets",
    "renderedsst2": "rendered_sst2",
    "resisc45": "resisc45",
    "stl10": "stl10",
    "sun397": "sun397",
    "voc2007": "voc2007",
}
OTHER_CLASSES = {"clevr_count_all", "fer2013"}  # numbers in words; one name a class, in another order
OTHER_TEMPLATES = {"clevr_count_all", "pcam", "resisc45"}


def lines(name: str, file: str) -> list[str]:
    text = (FOLDER / name / file).read_text(encoding="utf-8")
    assert text.endswith("\n")
    return text[:-1].split("\n")


def classes(name: str) -> list[list[str]]:
    return [line.split(" | ") for line in lines(name, CLASSES)]


def shift(name: str) -> list[list[int]]:
    return [[int(index) for index in line.split()] for line in lines(name, SHIFT)]


def package_file(package: str, path: str) -> Path:
    """A file of an installed package, which is not imported: both would bring torchvision."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"the package {package} is not installed")
    return Path(spec.submodule_search_locations[0]) / path


def test_the_folders_are_those_of_the_paper_and_the_readme_names_each():
    found = {path.name for path in FOLDER.iterdir() if path.is_dir()}
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert found == PUBLISHED.keys() | SHIFTS.keys() | OWN.keys()
    assert all(f"`{name}`" in readme for name in found)


@pytest.mark.parametrize("name", PUBLISHED | OWN)
def test_a_set_has_the_published_number_of_classes_and_templates(name):
    assert (len(classes(name)), len(lines(name, TEMPLATES))) == (PUBLISHED | OWN)[name]


@pytest.mark.parametrize("name", PUBLISHED | SHIFTS | OWN)
def test_no_name_stands_for_two_classes(name):
    names = [each for group in classes(name) for each in group]
    assert {each for each in names if names.count(each) > 1} == TWICE.get(name, set())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_has_clean_lines(path):
    assert path.name in (CLASSES, TEMPLATES, SHIFT, IDS, FOLDERS)
    found = lines(path.parent.name, path.name)
    assert all(line == line.strip() and line.isprintable() for line in found)
    assert all(found) or (path.name == SHIFT and path.parent.name in NO_IMAGENET_CLASS)
    assert not path.read_bytes().startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize("name", PUBLISHED | OWN)
def test_a_template_has_one_place_for_the_name_and_stands_there_once(name):
    templates = lines(name, TEMPLATES)
    assert len(set(templates)) == len(templates)
    for template in templates:
        assert [field for _, field, _, _ in string.Formatter().parse(template) if field is not None] == ["c"]


@pytest.mark.parametrize("name", ["birdsnap", "dtd", "food101", "kinetics700", "resisc45", "stl10", "ucf101", "voc2007"])
def test_a_set_that_is_alphabetical_is_sorted_as_its_folders_are(name):
    # A space sorts before every letter, as a folder's underscore does before the small ones; UCF101's folders have neither.
    names = [group[0].replace(" ", "" if name == "ucf101" else " ") for group in classes(name)]
    assert names == sorted(names)


def test_the_orders_that_were_mended_are_those_of_the_labels():
    assert [int(group[0]) for group in classes("clevr_counts")] == list(range(3, 11))
    pets = [group[0] for group in classes("oxford_pets")]
    assert pets == sorted(pets, key=str.lower)
    assert [pets.index(name) for name in ("Abyssinian", "american bulldog", "Bengal")] == [0, 1, 5]
    # AnnualCrop, Forest, HerbaceousVegetation, Highway, Industrial, Pasture, PermanentCrop, Residential, River, SeaLake
    words = [
        "annual crop",
        "forest",
        "brushland",
        "highway",
        "industrial",
        "pasture",
        "permanent crop",
        "residential",
        "river",
        "lake",
    ]
    assert all(group[0].startswith(word) for group, word in zip(classes("eurosat"), words, strict=True))
    rooms = [group[0] for group in classes("sun397")]
    assert rooms.index("jail indoor") + 1 == rooms.index("jail cell")


def test_some_orders_that_are_easily_got_wrong_are_the_published_ones():
    assert classes("fer2013") == [
        ["angry"],
        ["disgusted"],
        ["fearful"],
        ["happy", "smiling"],
        ["sad", "depressed"],
        ["surprised", "shocked", "spooked"],
        ["neutral", "bored"],
    ]
    sides, nearby, distance, none = (group[0] for group in classes("kitti_distance"))
    assert all(word in name for word, name in [("side", sides), ("nearby", nearby), ("distance", distance), ("no car", none)])
    assert [group[0] for group in classes("caltech101")[:6]] == [
        "background",
        "off-center face",
        "centered face",
        "leopard",
        "motorbike",
        "accordion",
    ]
    assert [group[0] for group in classes("rendered_sst2")] == ["negative", "positive"]


@pytest.mark.parametrize("name", SHIFTS)
def test_a_shift_says_of_each_class_which_of_imagenet_it_is(name):
    mapped, names = shift(name), [group[0] for group in classes(name)]
    every = [index for group in mapped for index in group]
    assert (len(names), len(every)) == SHIFTS[name]
    assert len(mapped) == len(names)
    assert len(set(every)) == len(every)
    assert all(0 <= index < 1000 for index in every)
    assert {each for each, group in zip(names, mapped, strict=True) if not group} == NO_IMAGENET_CLASS.get(name, set())


def test_wordnet_ids_are_imagenets_in_the_order_of_its_classes():
    ids = lines("imagenet", IDS)
    assert len(set(ids)) == 1000
    assert ids == sorted(ids)
    assert all(len(each) == 9 and each[0] == "n" and each[1:].isdigit() for each in ids)
    # WordNet 3.0's offsets of some synsets: tench, house finch, Siamese cat, golden retriever, wing, toilet tissue
    known = {0: "n01440764", 12: "n01532829", 284: "n02123597", 207: "n02099601", 908: "n04592741", 999: "n15075141"}
    assert {number: ids[number] for number in known} == known
    names = {
        0: "tench",
        12: "house finch",
        284: "Siamese cat",
        207: "Golden Retriever",
        908: "airplane wing",
        999: "toilet paper",
    }
    assert {number: classes("imagenet")[number][0] for number in names} == names


@pytest.mark.parametrize("name", ["eurosat", "fer2013"])
def test_a_folder_of_the_authors_stands_for_each_class(name):
    folders, names = lines(name, FOLDERS), [group[0] for group in classes(name)]
    assert len(set(folders)) == len(names)
    alike = {
        "HerbaceousVegetation": "brushland",
        "SeaLake": "lake or sea",
        "AnnualCrop": "annual crop",
        "PermanentCrop": "permanent",
    }
    assert all(each.startswith(alike.get(folder, folder.lower()[:5])) for folder, each in zip(folders, names, strict=True))


@pytest.mark.parametrize("name", ["imagenet_a", "imagenet_r"])
def test_a_shift_by_wordnet_ids_is_ascending_and_has_imagenets_names(name):
    mapped, imagenet = shift(name), classes("imagenet")
    assert mapped == sorted(mapped)
    assert classes(name) == [imagenet[index] for (index,) in mapped]


@pytest.mark.parametrize(
    ("name", "label", "imagenet"),
    [
        ("objectnet", "band aid", {"Band-Aid"}),
        ("objectnet", "bicycle", {"mountain bike", "tandem bicycle"}),
        ("objectnet", "pen", {"ballpoint pen", "quill", "fountain pen"}),
        ("imagenet_vid", "red panda", {"red panda"}),
        ("imagenet_vid", "fox", {"red fox", "kit fox", "Arctic fox", "grey fox"}),
        ("youtube_bb", "person", {"baseball player", "bridegroom", "scuba diver"}),
        ("youtube_bb", "airplane", {"airliner"}),
    ],
)
def test_a_class_of_a_shift_means_the_same_as_those_of_imagenet(name, label, imagenet):
    names = classes("imagenet")
    place = classes(name).index([label])
    assert {names[index][0] for index in shift(name)[place]} == imagenet


def test_the_seven_templates_are_among_imagenets_eighty():
    from fullclip.zeroshot.prompts import TEMPLATE_SETS

    assert {template.replace("{}", "{c}") for template in TEMPLATE_SETS["seven"]} <= set(lines("imagenet", TEMPLATES))


def test_imagenet_is_that_of_open_clip():
    path = package_file("open_clip", "zero_shot_metadata.py")
    spec = importlib.util.spec_from_file_location("open_clip_zero_shot_metadata", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert lines("imagenet", CLASSES) == list(module.IMAGENET_CLASSNAMES)
    assert lines("imagenet", TEMPLATES) == [template("{c}") for template in module.OPENAI_IMAGENET_TEMPLATES]


def test_classes_are_those_of_clip_benchmark():
    theirs = json.loads(package_file("clip_benchmark", "datasets/en_classnames.json").read_text(encoding="utf-8"))
    same = [each for each in CLIP_BENCHMARK if each in theirs and each not in OTHER_CLASSES]
    assert len(same) == 10
    for each in same:
        assert [name.lower() for name in lines(CLIP_BENCHMARK[each], CLASSES)] == [name.lower() for name in theirs[each]], each


def test_templates_are_those_of_clip_benchmark():
    path = package_file("clip_benchmark", "datasets/en_zeroshot_classification_templates.json")
    theirs = json.loads(path.read_text(encoding="utf-8"))
    same = [each for each in CLIP_BENCHMARK if each not in OTHER_TEMPLATES]
    assert len(same) == 20
    for each in same:
        assert lines(CLIP_BENCHMARK[each], TEMPLATES) == theirs[each], each
