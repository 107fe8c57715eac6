"""The table of known sets: complete, with the paper's numbers, fitting the words that are shipped; sets fetched from a hub."""

import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import webdataset

from fullclip.evaluation.datasets import DATASETS, class_names, imagenet_classes, templates
from fullclip.evaluation.tasks.find import available, datasets_folder, find_task, pull
from fullclip.evaluation.tasks.task import METRICS_OF
from fullclip.zeroshot.prompts import check_templates
from loopback import serving
from tasks import pixels

# Table 9 of the paper: classes, images to train on, images to be tested on, metric
PAPER = {
    "food101": (101, 75_750, 25_250, "accuracy"),
    "cifar10": (10, 50_000, 10_000, "accuracy"),
    "cifar100": (100, 50_000, 10_000, "accuracy"),
    "birdsnap": (500, 42_283, 2_149, "accuracy"),
    "sun397": (397, 19_850, 19_850, "accuracy"),
    "stanford_cars": (196, 8_144, 8_041, "accuracy"),
    "fgvc_aircraft": (100, 6_667, 3_333, "mean_per_class"),
    "voc2007": (20, 5_011, 4_952, "map_11_point"),
    "dtd": (47, 3_760, 1_880, "accuracy"),
    "oxford_pets": (37, 3_680, 3_669, "mean_per_class"),
    "caltech101": (102, 3_060, 6_085, "mean_per_class"),
    "flowers102": (102, 2_040, 6_149, "mean_per_class"),
    "mnist": (10, 60_000, 10_000, "accuracy"),
    "fer2013": (7, 32_140, 3_574, "accuracy"),  # the table says 8; the set and its prompts have 7
    "stl10": (10, 1_000, 8_000, "accuracy"),
    "eurosat": (10, 10_000, 5_000, "accuracy"),
    "resisc45": (45, 3_150, 25_200, "accuracy"),
    "gtsrb": (43, 26_640, 12_630, "accuracy"),
    "kitti_distance": (4, 6_770, 711, "accuracy"),
    "country211": (211, 43_200, 21_100, "accuracy"),
    "patch_camelyon": (2, 294_912, 32_768, "accuracy"),
    "ucf101": (101, 9_537, 1_794, "accuracy"),
    "kinetics700": (700, 494_801, 31_669, "mean_top1_top5"),
    "clevr_counts": (8, 2_000, 500, "accuracy"),
    "hateful_memes": (2, 8_500, 500, "roc_auc"),
    "rendered_sst2": (2, 7_792, 1_821, "accuracy"),
    "imagenet": (1_000, 1_281_167, 50_000, "accuracy"),
}
SHIFTS = {
    "imagenet_v2": (1_000, 10_000),
    "imagenet_sketch": (1_000, 50_889),
    "youtube_bb": (24, 0),
    "imagenet_vid": (30, 0),
    "objectnet": (113, 18_574),
    "imagenet_a": (200, 7_500),
    "imagenet_r": (200, 30_000),
}
RETRIEVAL = {"coco": 5_000, "flickr30k": 1_000, "flickr8k": 1_000}
PACKAGED = {"digits", "solar_cells"}
# The repositories of clip-benchmark on the hub, of those sets that it has: names of CLIP_benchmark's README and its builder
HUB = {
    *(
        f"wds_{name}"
        for name in ("cars", "country211", "fer2013", "fgvc_aircraft", "flickr30k", "flickr8k", "food101", "gtsrb")
    ),
    *(
        f"wds_{name}"
        for name in ("imagenet-a", "imagenet-o", "imagenet-r", "imagenet1k", "imagenet_sketch", "imagenetv2", "mnist")
    ),
    *(f"wds_{name}" for name in ("mscoco_captions", "objectnet", "renderedsst2", "stl10", "sun397", "voc2007_multilabel")),
    *(f"wds_vtab-{name}" for name in ("caltech101", "cifar10", "cifar100", "clevr_count_all", "dtd", "eurosat", "flowers")),
    *(f"wds_vtab-{name}" for name in ("kitti_closest_vehicle_distance", "pcam", "pets", "resisc45", "svhn")),
}


def test_the_table_is_the_papers():
    assert DATASETS.keys() == PAPER.keys() | SHIFTS.keys() | RETRIEVAL.keys() | PACKAGED
    assert len(PAPER) == 27
    assert {name: (d.classes, d.train, d.test, d.metric) for name, d in DATASETS.items() if name in PAPER} == PAPER
    assert {name: (DATASETS[name].classes, DATASETS[name].test) for name in SHIFTS} == SHIFTS
    assert {name: DATASETS[name].test for name in RETRIEVAL} == RETRIEVAL
    videos = {name for name in SHIFTS if DATASETS[name].metric == "mean_pm0_pm10"}
    assert videos == {"youtube_bb", "imagenet_vid"}
    assert all(DATASETS[name].reference == ("imagenet" if name in SHIFTS else "") for name in DATASETS)


@pytest.mark.parametrize("name", DATASETS)
def test_a_set_says_all_that_is_to_be_known(name):
    dataset = DATASETS[name]
    assert dataset.title
    assert dataset.licence
    assert re.fullmatch(r".{5,} (19|20)\d\d, .{10,}|.{5,} (19|20)\d\d, .{10,}; .{5,} \d{4}", dataset.citation), dataset.citation
    assert re.fullmatch(r"https?://[\w.-]+/\S*", dataset.home)
    assert dataset.metric in METRICS_OF[dataset.kind]
    assert not dataset.hub or dataset.hub in HUB
    assert bool(dataset.reference) == (name in SHIFTS)


@pytest.mark.parametrize("name", [name for name in DATASETS if DATASETS[name].kind != "retrieval"])
def test_the_words_that_are_shipped_fit_the_table(name):
    dataset = DATASETS[name]
    words = {"digits": "mnist"}.get(name, name)
    classes = class_names(words) or class_names(dataset.reference)
    sentences = templates(words) or templates(dataset.reference)
    assert len(classes) == dataset.classes
    check_templates([each.replace("{c}", "{}") for each in sentences])
    numbers = imagenet_classes(name)
    assert len(numbers) in ((0, dataset.classes) if name in SHIFTS else (0,))


def test_what_is_here_and_how_to_bring_the_rest(tmp_path, monkeypatch):
    monkeypatch.setenv("FULLCLIP_DATASETS", str(tmp_path))
    assert datasets_folder() == tmp_path
    (tmp_path / "wds_mnist").mkdir()
    (tmp_path / "dtd").mkdir()
    found = {one.name: one for one in available()}
    assert found.keys() == DATASETS.keys()
    assert (found["mnist"].path, found["dtd"].path) == (str(tmp_path / "wds_mnist"), str(tmp_path / "dtd"))
    assert found["food101"].path is None
    assert found["food101"].how == "fullclip evaluate --pull food101"
    assert found["birdsnap"].how.startswith(
        f"get it from https://thomasberg.org/ and put it at {tmp_path}/birdsnap, a folder of"
    )
    monkeypatch.delenv("FULLCLIP_DATASETS")
    monkeypatch.setenv("FULLCLIP_CACHE", str(tmp_path / "cache"))
    assert datasets_folder() == tmp_path / "cache/datasets"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("food101", "food101 is not here: fullclip evaluate --pull food101"),
        ("birdsnap", "birdsnap is not here: get it from https://thomasberg.org/"),
        ("kinetics_700", "no task or folder 'kinetics_700'; did you mean 'kinetics700'?"),
    ],
)
def test_a_set_that_is_not_here(tmp_path, name, part):
    with pytest.raises(ValueError, match=re.escape(part)):
        find_task(name, root=tmp_path)


def images(folder: Path, classes: list[str]) -> None:
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        (folder / name / "1.png").write_bytes(bytes([number]))


def test_a_known_set_is_asked_by_the_papers_words_and_a_folder_by_its_own(tmp_path):
    images(tmp_path / "rendered_sst2/test", ["positive", "negative"])
    task = find_task("rendered_sst2", root=tmp_path)
    assert task.dataset == "rendered_sst2"
    assert find_task(str(tmp_path / "rendered_sst2")).dataset == ""
    assert (task.name, task.templates) == ("rendered_sst2", ("a {c} review of a movie.",))
    assert task.note == "2 test images; the paper has 1,821."
    own = find_task(str(tmp_path / "rendered_sst2"))
    assert (own.name, own.templates, own.note) == ("rendered_sst2", (), "")


def test_another_number_of_classes_or_another_kind_is_another_set(tmp_path):
    images(tmp_path / "dtd", ["banded", "dotted"])
    with pytest.raises(ValueError, match=f"dtd has 2 classes, but Describable Textures has 47; .* --task {tmp_path}/dtd"):
        find_task("dtd", root=tmp_path)
    images(tmp_path / "flickr8k", ["a", "b"])
    with pytest.raises(ValueError, match="flickr8k holds a classification task, but flickr8k is a retrieval"):
        find_task("flickr8k", root=tmp_path)


# From the hub

COMMIT = "f" * 40


class Hub:
    """What a server of data sets has, and what it was asked for. After `patience` files it breaks off."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.asked, self.patience, self.url = files, list[str](), 1000, ""

    def answer(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        path = path.partition("?")[0]
        address = "/api/datasets/clip-benchmark/wds_vtab-dtd"
        if path.startswith(f"{address}/tree"):
            files = [{"type": "file", "oid": "0" * 40, "size": len(data), "path": name} for name, data in self.files.items()]
            return 200, {}, json.dumps(files).encode()
        if path.startswith(address):
            listed = [{"rfilename": name, "size": len(data), "blobId": "0" * 40} for name, data in self.files.items()]
            return 200, {}, json.dumps({"id": "clip-benchmark/wds_vtab-dtd", "sha": COMMIT, "siblings": listed}).encode()
        name = path.partition("/resolve/")[2].partition("/")[2]
        if name not in self.files:
            return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"
        if method == "GET":
            self.asked.append(name)
            if len(self.asked) > self.patience:
                return 500, {}, b"down"
        return 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(self.files[name]).hexdigest()}"'}, self.files[name]


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Hub:
    """A set in the hub's layout on a server that is not yet started, in place of huggingface.co."""
    from huggingface_hub import constants
    from PIL import Image

    made = tmp_path / "made"
    for split, number in (("test", 3), ("train", 2)):
        (made / split).mkdir(parents=True)
        for shard in range(number):
            with webdataset.TarWriter(str(made / split / f"{shard}.tar")) as sink:
                for label in range(47):
                    Image.fromarray(pixels(label, shard, side=4)).save(tmp_path / "x.png")
                    sample = {"__key__": f"s{shard}{label:03d}", "png": (tmp_path / "x.png").read_bytes(), "cls": label}
                    sink.write(sample)
        (made / split / "nshards.txt").write_text(f"{number}\n")
    (made / "classnames.txt").write_text("".join(f"{names[0]}\n" for names in class_names("dtd")))
    (made / "zeroshot_classification_templates.txt").write_text("a photo of a {c} texture.\n")
    (made / "README.md").write_text("not wanted")
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_address[1]
    found = Hub({path.relative_to(made).as_posix(): path.read_bytes() for path in made.rglob("*") if path.is_file()})
    found.url = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", found.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", found.url + "/{repo_id}/resolve/{revision}/{filename}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    return found


def test_a_set_is_fetched_and_asked(hub, tmp_path):
    root = tmp_path / "sets"
    with serving(hub):
        assert pull("dtd", root=root) == root / "dtd"
    assert sorted(hub.asked) == [
        "classnames.txt",
        *(f"test/{shard}.tar" for shard in range(3)),
        "test/nshards.txt",
        "zeroshot_classification_templates.txt",
    ]
    task = find_task("dtd", root=root)
    assert {name: len(split) for name, split in task.splits.items()} == {"test": 3 * 47}
    assert (task.classes, task.templates) == (class_names("dtd"), templates("dtd"))
    hub.asked.clear()
    with serving(hub):
        pull("dtd", root=root, with_train=True)
    assert sorted(hub.asked) == ["train/0.tar", "train/1.tar", "train/nshards.txt"]
    assert {name: len(split) for name, split in find_task("dtd", root=root).splits.items()} == {"test": 3 * 47, "train": 2 * 47}


@pytest.mark.faults
def test_a_fetch_that_was_interrupted_leaves_no_smaller_set_and_goes_on(hub, tmp_path):
    root = tmp_path / "sets"
    hub.patience = 3
    with serving(hub), pytest.raises(ConnectionError) as found:
        pull("dtd", root=root)
    assert "\n" not in str(found.value)
    for part in (
        "could not fetch https://huggingface.co/datasets/clip-benchmark/wds_vtab-dtd (",
        "the same command goes on",
        "put the set at",
    ):
        assert part in str(found.value)
    with pytest.raises(
        ValueError, match=f"dtd is not here: fullclip evaluate --pull dtd goes on; only a part of it is at {root}/dtd"
    ):
        find_task("dtd", root=root)
    first, hub.patience = set(hub.asked[:3]), 1000
    hub.asked.clear()
    with serving(hub):
        pull("dtd", root=root)
    assert not first & set(hub.asked)
    assert len(find_task("dtd", root=root).splits["test"]) == 3 * 47


def test_no_network_is_one_line(hub, tmp_path):
    with pytest.raises(
        ConnectionError, match=r"could not fetch https://huggingface.co/datasets/clip-benchmark/wds_vtab-dtd"
    ) as found:
        pull("dtd", root=tmp_path / "sets")
    assert "\n" not in str(found.value)


def test_a_set_that_the_hub_does_not_have(tmp_path):
    with pytest.raises(ValueError, match=r"birdsnap: get it from https://thomasberg.org/"):
        pull("birdsnap", root=tmp_path)
    with pytest.raises(ValueError, match="digits: pip install scikit-learn"):
        pull("digits", root=tmp_path)
    with pytest.raises(ValueError, match="no data set named 'cifar_10'; did you mean 'cifar10'"):
        pull("cifar_10", root=tmp_path)
