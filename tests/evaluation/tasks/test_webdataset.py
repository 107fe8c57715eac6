"""Sets in shards: as CLIP_benchmark writes them, on disk and in a store; torn, missing and strange ones are named."""

import io
import json
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
import webdataset
from PIL import Image

from fullclip.core.storage import FileInfo
from fullclip.evaluation.features.extract import extract
from fullclip.evaluation.tasks import webdataset as layout
from fullclip.evaluation.tasks.find import find_task
from fullclip.evaluation.tasks.task import Example, Skipped, Split, Task
from stores import s3_store
from tasks import World, mean_backbone

# the library's reader leaves its files open
left_open = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


def examples(split: Split) -> list[Example]:
    return [one for one in split.read(range(len(split))) if isinstance(one, Example)]


def reasons(split: Split) -> list[tuple[str, str]]:
    return [(one.key, one.reason) for one in split.read(range(len(split))) if isinstance(one, Skipped)]


def write(
    folder: Path, samples: list[dict], *, split: str = "test", per_shard: int = 4, words: str = "a\nb\nc\n", kind: str = ""
) -> Path:
    """The files that `clip_benchmark.webdataset_builder` (1.6.2) writes, by the writer that it uses."""
    (folder / split).mkdir(parents=True, exist_ok=True)
    sink = webdataset.ShardWriter(str(folder / split / "%d.tar"), maxcount=per_shard, verbose=False)
    for number, sample in enumerate(samples):
        sink.write({"__key__": f"s{number:07d}", **sample})
    (folder / split / "nshards.txt").write_text(f"{sink.shard}\n")
    sink.close()
    if words:
        (folder / "classnames.txt").write_text(words)
        (folder / "zeroshot_classification_templates.txt").write_text("a photo of a {c}.\nthe {c}\n")
    if kind:
        (folder / "dataset_type.txt").write_text(f"{kind}\n")
    return folder


def classification(picture, number: int = 45, form: str = "webp") -> list[dict]:
    return [{form: picture(i, {"jpg": "jpeg"}.get(form, form)), "cls": i % 3} for i in range(number)]


def theirs(folder: Path, split: str, label: str) -> list[tuple]:
    """What CLIP_benchmark's `build_wds_dataset` gives of the same folder: its reading, line by line."""
    number = int((folder / split / "nshards.txt").read_text())
    data = webdataset.WebDataset(str(folder / split / f"{{0..{number - 1}}}.tar"), shardshuffle=False)
    decoded = data.decode(webdataset.autodecode.ImageHandler("pil", extensions=["webp", "png", "jpg", "jpeg"]))
    return list(decoded.to_tuple(["webp", "png", "jpg", "jpeg"], label))


def same_pixels(ours: bytes, their: Image.Image) -> bool:
    return bool((np.asarray(Image.open(io.BytesIO(ours)).convert("RGB")) == np.asarray(their.convert("RGB"))).all())


@left_open
@pytest.mark.parametrize("form", ["webp", "png", "jpg"])
def test_a_classification_as_clip_benchmark_writes_it(tmp_path, picture, form):
    folder = write(tmp_path / "set", classification(picture, form=form))
    assert len(list((folder / "test").glob("*.tar"))) > 10  # so that 10.tar sorts before 2.tar by its name
    task = find_task(str(folder))
    assert (task.name, task.kind, task.metric, task.classes) == ("set", "classification", "accuracy", (("a",), ("b",), ("c",)))
    assert task.templates == ("a photo of a {c}.", "the {c}")
    ours = examples(task.splits["test"])
    assert [one.key for one in ours] == [f"s{i:07d}" for i in range(45)]
    for one, (image, label) in zip(ours, theirs(folder, "test", "cls"), strict=True):
        assert one.labels == (label,)
        assert same_pixels(one.image, image)


@left_open
def test_a_multi_label_set_as_clip_benchmark_writes_it(tmp_path, picture):
    targets = [np.array([1, 0, i % 2]) for i in range(5)] + [np.array([0.0, -1.0, 1.0]), np.array([0, 0, 0])]
    folder = write(tmp_path, [{"webp": picture(i, "webp"), "npy": each} for i, each in enumerate(targets)], kind="multilabel")
    task = find_task(str(folder))
    assert (task.kind, task.metric) == ("multilabel", "map_11_point")
    ours = examples(task.splits["test"])
    for one, (_, target) in zip(ours, theirs(folder, "test", "npy"), strict=True):
        assert one.labels == tuple(np.flatnonzero(target == 1))
    assert ours[5].meta == {"not_judged": [1]}
    assert ours[6].labels == ()


@left_open
def test_retrieval_as_clip_benchmark_writes_it(tmp_path, picture):
    captions = [["a dog", "the dog", "a dog"], ["ein Hündchen\u2028dort"], ["one\\nline"]]
    samples = [{"webp": picture(i, "webp"), "txt": "\n".join(each)} for i, each in enumerate(captions)]
    folder = write(tmp_path, samples, kind="retrieval", words="")
    task = find_task(str(folder))
    assert (task.kind, task.metric, task.classes) == ("retrieval", "recall@1", ())
    ours = examples(task.splits["test"])
    assert [list(one.texts) for one in ours] == [text.splitlines() for _, text in theirs(folder, "test", "txt")]


def test_captions_in_json_and_in_lines(tmp_path, picture):
    texts = [
        {"json": {"captions": ["a dog", " the dog "]}, "txt": "the dog\nmy dog\n\n"},
        {"json": {"caption": "a cat"}},
        {"txt": " \n"},
        {"txt": b"\xff"},
        {"json": b"{", "txt": "x"},
    ]
    folder = write(tmp_path, [{"png": picture(1), **each} for each in texts], kind="retrieval", words="")
    split = find_task(str(folder)).splits["test"]
    assert [one.texts for one in examples(split)] == [("a dog", "the dog", "my dog"), ("a cat",)]
    assert [reason for _, reason in reasons(split)] == ["sample without text", "broken text", "broken text"]


def test_any_places_can_be_read(tmp_path, picture):
    split = find_task(str(write(tmp_path, classification(picture, 11)))).splits["test"]
    keys = [one.key for one in examples(split)]
    for places in (range(0), range(1), range(3, 5), range(4, 8), range(10, 11), range(2, 11)):
        assert [one.key for one in split.read(places)] == keys[places.start : places.stop]


def test_splits(tmp_path, picture):
    write(tmp_path, classification(picture, 4), split="train")
    write(tmp_path, classification(picture, 3), split="val")
    task = find_task(str(tmp_path))
    assert {name: len(split) for name, split in task.splits.items()} == {"train": 4, "test": 3}
    assert task.note == "Measured on val: there is no test split."
    write(tmp_path, classification(picture, 5), split="test")
    assert {name: len(split) for name, split in find_task(str(tmp_path)).splits.items()} == {
        "train": 4,
        "validation": 3,
        "test": 5,
    }


def test_underscores_in_class_names_are_spaces_as_in_those_of_folders(tmp_path, picture):
    folder = write(tmp_path, classification(picture, 3), words="hot_dog | sausage_in_a_bun\nb\nc")
    assert find_task(str(folder)).classes[0] == ("hot dog", "sausage in a bun")


def test_shards_without_a_count_and_with_names_of_their_own(tmp_path, picture):
    write(tmp_path, classification(picture, 45))
    (tmp_path / "test/nshards.txt").unlink()
    keys = [one.key for one in examples(find_task(str(tmp_path)).splits["test"])]
    assert keys == [f"s{i:07d}" for i in range(45)]
    for path in (tmp_path / "test").glob("*.tar"):
        path.rename(path.with_name(f"{int(path.stem):05d}.tar"))
    (tmp_path / "test/nshards.txt").write_text("12")
    assert [one.key for one in examples(find_task(str(tmp_path)).splits["test"])] == keys


def test_shards_beside_the_names_of_classes_and_shards_of_pairs(tmp_path, picture):
    write(tmp_path, classification(picture, 6), split=".")
    task = find_task(str(tmp_path))
    assert (task.kind, len(task.splits["test"])) == ("classification", 6)
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    with webdataset.TarWriter(str(pairs / "x.tar")) as sink:
        sink.write({"__key__": "1", "png": picture(1), "json": {"captions": ["a dog"]}})
    for place, name in ((pairs, "pairs"), (pairs / "x.tar", "x")):
        task = find_task(str(place))
        assert (task.name, task.kind, [one.texts for one in examples(task.splits["test"])]) == (name, "retrieval", [("a dog",)])


def test_samples_that_cannot_be_used_are_counted(tmp_path, picture):
    samples = [
        {"png": picture(0), "cls": 0},
        {"png": picture(1)},
        {"cls": 1},
        {"png": picture(1), "cls": b"dog"},
        {"png": picture(1), "cls": b"--1"},
        {"png": picture(1), "cls": b"9" * 5000},
        {"png": b"no picture", "cls": 1},
        {"png": b"", "cls": 1},
        {"jpeg": picture(2, "jpeg"), "cls": b" 2\n"},
    ]
    folder = write(tmp_path, samples, per_shard=100)
    split = find_task(str(folder)).splits["test"]
    assert [one.labels for one in examples(split)] == [(0,), (1,), (1,), (2,)]
    assert [reason for _, reason in reasons(split)] == ["no label", "sample without image", *["broken label"] * 3]
    found = extract(split, mean_backbone(), cache=None, world=World.single(), title="t")
    assert found.drops.counts == {"broken label": 3, "unreadable image": 2, "no label": 1, "sample without image": 1}
    assert found.classes.tolist() == [0, 2]


def test_a_sample_that_is_overwritten_is_counted(tmp_path, picture):
    folder = write(tmp_path, classification(picture, 4, form="png"))
    path = folder / "test/0.tar"
    split = find_task(str(folder)).splits["test"]
    with tarfile.open(path) as tar:
        at = tar.getmembers()[2].offset
    data = bytearray(path.read_bytes())
    data[at : at + 512] = b"\x07" * 512
    path.write_bytes(bytes(data))
    assert reasons(split) == [("0.tar:1", "broken sample")]


@pytest.mark.faults
@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (
            lambda f: (f / "test/1.tar").write_bytes((f / "test/1.tar").read_bytes()[:-11000]),
            ["1.tar is torn from byte", "fetch"],
        ),
        (
            lambda f: (f / "test/1.tar").unlink(),
            ["the shard 1.tar is not there", "nshards.txt counts 3", "fetch the set again"],
        ),
        (lambda f: (f / "test/2.tar").unlink(), ["the shard 2.tar is not there"]),
        (lambda f: [(f / f"test/{n}").unlink() for n in ("1.tar", "nshards.txt")], ["the shard 1.tar is not there; fetch"]),
        (lambda f: (f / "test/3.tar").write_bytes((f / "test/1.tar").read_bytes()), ["4 shards are there", "counts 3"]),
        (lambda f: (f / "test/nshards.txt").write_text("three"), ["nshards.txt says 'three'"]),
        (lambda f: (f / "classnames.txt").unlink(), ["classnames.txt is not there; write it, one class a line"]),
        (lambda f: (f / "classnames.txt").write_text("a\nb\nA\n"), ["classes 0 and 2 are both called 'A'"]),
        (lambda f: (f / "classnames.txt").write_text("a\n\nb\n"), ["class 1 has an empty name"]),
        (lambda f: (f / "classnames.txt").write_bytes(b"\xff\n"), ["classnames.txt: no text in UTF-8"]),
        (lambda f: (f / "classnames.txt").write_text("a\n"), ["1 classes"]),
        (lambda f: (f / "dataset_type.txt").write_text("multi_label"), ["no type of a set", "did you mean 'multilabel'?"]),
        (lambda f: (f / "train").mkdir(), ["train: no .tar shards in it", "remove the folder"]),
        (lambda f: (f / "test").rename(f / "train"), ["no test split, only train"]),
        (lambda f: [(f / f"test/{n}.tar").write_bytes(bytes(1024)) for n in range(3)], ["the split 'test' is empty"]),
    ],
)
def test_sets_that_are_not_whole(tmp_path, picture, damage, parts):
    folder = write(tmp_path / "set", classification(picture, 10))
    damage(folder)
    with pytest.raises(ValueError) as found:
        find_task(str(folder))
    assert "\n" not in str(found.value)
    for part in parts:
        assert part in str(found.value)


@pytest.mark.parametrize(
    ("sample", "kind", "part"),
    [
        ({"cls": 3}, "", "s0000000: label 3, but classnames.txt has 3 classes, from 0"),
        ({"cls": -1}, "", "s0000000: label -1, but"),
        ({"npy": np.array([1, 0])}, "multilabel", r"labels are \[2\] of \[0, 1\]; one of -1, 0, 1 for each of 3 classes"),
        ({"npy": np.array([1, 0, 2])}, "multilabel", r"labels are \[3\] of \[0, 1, 2\]"),
    ],
)
def test_labels_out_of_range(tmp_path, picture, sample, kind, part):
    split = find_task(str(write(tmp_path, [{"png": picture(1), **sample}], kind=kind))).splits["test"]
    with pytest.raises(ValueError, match=part):
        examples(split)


def test_labels_that_are_no_array_are_counted(tmp_path, picture):
    samples = [{"png": picture(1), "npy": b"rubbish"}, {"png": picture(1)}, {"png": picture(1), "npy": np.array([1, 0, 1])}]
    samples.append({"png": picture(1), "npy": pickled()})
    split = find_task(str(write(tmp_path, samples, kind="multilabel"))).splits["test"]
    assert [reason for _, reason in reasons(split)] == ["broken label", "no label", "broken label"]
    assert [one.labels for one in examples(split)] == [(0, 2)]


def pickled() -> bytes:
    """An array of objects, which numpy keeps as a pickle."""
    file = io.BytesIO()
    np.save(file, np.array([{}, None], dtype=object), allow_pickle=True)
    return file.getvalue()


def described(task: Task) -> tuple:
    """Everything but the images' place."""
    found = {name: [(one.key, one.image, one.labels) for one in examples(split)] for name, split in task.splits.items()}
    return task.name, task.classes, task.templates, found


def test_a_set_in_memory_is_the_set_on_disk(tmp_path, picture):
    folder = write(tmp_path / "set", classification(picture, 45))
    store = fsspec.filesystem("memory")
    store.put(str(folder), "/tasks/set", recursive=True)
    try:
        task = find_task("memory://tasks/set/")
        assert described(task) == described(find_task(str(folder)))
        digest = task.splits["test"].digest()
        assert find_task("memory://tasks/set").splits["test"].digest() == digest
        store.pipe("/tasks/set/test/11.tar", store.cat("/tasks/set/test/10.tar"))
        assert find_task("memory://tasks/set").splits["test"].digest() != digest
        store.rm("/tasks/set/test/3.tar")
        with pytest.raises(ValueError, match=r"3.tar is not there; memory://tasks/set/test/nshards.txt counts 12"):
            find_task("memory://tasks/set")
        store.put(str(tmp_path / "set/test/0.tar"), "/tasks/images/x/1.png")
        with pytest.raises(ValueError, match="memory://tasks/images: no shards in WebDataset's layout; a folder of images has"):
            find_task("memory://tasks/images")
        with pytest.raises(ValueError, match="memory://tasks/nothing: no such folder"):
            find_task("memory://tasks/nothing")
    finally:
        store.rm("/tasks", recursive=True)


def test_a_set_in_s3_is_the_set_on_disk(tmp_path, picture):
    folder = write(tmp_path / "set", classification(picture, 9))
    with s3_store("sets"):
        store = fsspec.filesystem("s3")
        store.put(str(folder), "sets/set", recursive=True)
        task = find_task("s3://sets/set")
        assert described(task) == described(find_task(str(folder)))
        assert task.splits["test"].digest() == find_task("s3://sets/set").splits["test"].digest()


def test_a_store_that_gives_no_version_is_read(tmp_path, picture, monkeypatch):
    """Some web servers say neither when a file was changed nor give it a mark."""
    folder = write(tmp_path / "set", classification(picture, 4))
    store = fsspec.filesystem("memory")
    store.put(str(folder), "/plain/set", recursive=True)
    told = layout.file_info
    monkeypatch.setattr(layout, "file_info", lambda path: FileInfo(num_bytes=told(path).num_bytes, version=""))
    try:
        first = find_task("memory://plain/set").splits["test"].digest()
        assert find_task("memory://plain/set").splits["test"].digest() == first
        data = bytearray(store.cat("/plain/set/test/0.tar"))
        data[600] ^= 1  # the same size
        store.pipe("/plain/set/test/0.tar", bytes(data))
        assert find_task("memory://plain/set").splits["test"].digest() != first
    finally:
        store.rm("/plain", recursive=True)


def test_both_layouts_are_the_same_task(tmp_path, tree, picture):
    """The same photographs in folders and in shards: the same keys aside, the same images, labels and words."""
    names = ["cat", "hot_dog", "tree"]
    samples = [{"png": picture(i), "cls": i % 3} for i in range(12)]
    shards = find_task(str(write(tmp_path / "w", samples, words="\n".join(names))))
    folder = find_task(str(tree({f"{names[i % 3]}/{i}.png": i for i in range(12)})))
    assert shards.classes == folder.classes
    ours = sorted((one.image, one.labels) for one in examples(folder.splits["test"]))
    assert sorted((one.image, one.labels) for one in examples(shards.splits["test"])) == ours


def test_the_json_of_a_sample_is_read_whatever_it_is(tmp_path, picture):
    samples = [{"png": picture(1), "json": json.dumps(each).encode(), "txt": "a"} for each in ([1], "x", 3, {"captions": 3})]
    split = find_task(str(write(tmp_path, samples, kind="retrieval", words=""))).splits["test"]
    assert [one.texts for one in examples(split)] == [("a",)] * 4
