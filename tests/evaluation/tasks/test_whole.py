"""`fullclip evaluate MODEL --task FOLDER --json` on folders as people have them: a number with its n, or one line."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fullclip.cli.app import app
from fullclip.core.distributed import World
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.evaluation.suite.plan import questions
from fullclip.evaluation.suite.records import About
from fullclip.evaluation.suite.run import run
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.tasks.find import find_task
from fullclip.models.checkpoint import Checkpoint
from fullclip.models.config import PRESETS
from fullclip.models.writing import write_checkpoint
from tasks import pixels
from tiny import tiny_encoder

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    encoder, folder = tiny_encoder(), tmp_path_factory.mktemp("model") / "tiny"
    checkpoint = Checkpoint(config=PRESETS["tiny"], state=encoder.model.state_dict(), preprocess=encoder.preprocess)
    write_checkpoint(checkpoint, folder, tokenizer=encoder.tokenizer, form="fullclip")
    return folder


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def evaluate(model: Path, task: Path, out: Path) -> tuple[int, dict]:
    result = CliRunner().invoke(app, ["evaluate", str(model), "--task", str(task), "--out", str(out), "--json"])
    if isinstance(result.exception, ValueError):  # which `fullclip` prints as its one line
        return 2, {"said": str(result.exception)}
    return result.exit_code, json.loads(result.stdout)


ALL = {f"{name}/{i}.png": i for name in ("cat", "hot_dog") for i in range(3)}
CASES = {
    "folders": (ALL, 6, {}),
    "images": ({f"images/{path}": i for path, i in ALL.items()}, 6, {}),
    "train and val": ({f"{split}/{path}": i for split in ("train", "val") for path, i in ALL.items()}, 6, {}),
    "unreadable": ({**ALL, "cat/0.png": b"", "cat/9.jpg": b"\xff\xd8\xff", "hot_dog/x.heic": b"x"}, 5, {"unreadable image": 3}),
    "capitals": ({path.replace(".png", ".PNG"): i for path, i in ALL.items()}, 6, {}),
    "table": (
        {"a b/1.png": 1, "2.png": 2, "l.csv": "image,label\na b/1.png,é\n2.png,b\n3.png,b\n", "task.toml": "labels = 'l.csv'"},
        2,
        {"no such file": 1},
    ),
    "several labels": (
        {
            "1.png": 1,
            "2.png": 2,
            "l.csv": "image,label\n1.png,a;b\n2.png,b\n",
            "task.toml": "labels='l.csv'\nkind='multilabel'",
        },
        2,
        {},
    ),
    "pairs": (
        {"1.png": 1, "1.txt": "a dog\nthe dog", "2.png": 2, "2.txt": "a cat", "3.png": 3, "task.toml": "kind='retrieval'"},
        3,
        {"image without text": 1},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_folder_is_measured(tree, model, tmp_path, case):
    files, number, skipped = CASES[case]
    code, told = evaluate(model, tree(files), tmp_path / "out")
    assert (code, told["failures"]) == (0, [])
    first = told["results"][0]
    assert (first["task"], first["n"]) == ("set", number)
    assert {reason: each["count"] for reason, each in told["skipped"]["set"].items()} == skipped
    again = evaluate(model, tmp_path / "set", tmp_path / "out")
    assert again == (0, told)


@pytest.mark.parametrize(
    ("files", "part"),
    [
        ({"train/a/1.png": 1, "train/b/1.png": 1, "test/a/1.png": 1}, "the class 'b' has no folder"),
        ({"Cat/1.png": 1, "cat/1.png": 1}, "both called 'cat'"),
        ({f"{domain}/{path}": i for domain in ("photo", "sketch") for path, i in ALL.items()}, "Point at one of them"),
        ({**ALL, "task.toml": "metrc = 'accuracy'"}, "did you mean 'metric'?"),
        ({"1.png": 1, "1.cls": "7", "classnames.txt": "a\nb\n"}, "label 7, but classnames.txt has 2 classes"),
    ],
)
def test_a_folder_that_cannot_be_measured_is_one_line(tree, model, tmp_path, files, part):
    code, told = evaluate(model, tree(files), tmp_path / "out")
    assert code == 2
    assert part in told["said"]
    assert "\n" not in told["said"]


def test_a_label_out_of_range_in_a_shard_is_a_failure_not_a_number(model, tmp_path, picture):
    webdataset = pytest.importorskip("webdataset")
    folder = tmp_path / "set"
    (folder / "test").mkdir(parents=True)
    with webdataset.TarWriter(str(folder / "test/0.tar")) as sink:
        for i in range(6):
            sink.write({"__key__": f"s{i}", "png": picture(i), "cls": i % 3})
    (folder / "test/nshards.txt").write_text("1")
    (folder / "classnames.txt").write_text("a\nb\n")
    code, told = evaluate(model, folder, tmp_path / "out")
    assert (code, told["results"]) == (1, [])
    assert told["failures"][0]["reason"] == "s2: label 2, but classnames.txt has 2 classes, from 0"


def test_an_image_that_changes_is_measured_again(tree, model, tmp_path, picture):
    folder = tree({**ALL, "cat/0.png": b"no picture"})
    assert evaluate(model, folder, tmp_path / "out")[1]["results"][0]["n"] == 5
    (folder / "cat/0.png").write_bytes(picture(0))
    assert evaluate(model, folder, tmp_path / "out")[1]["results"][0]["n"] == 6


def test_both_layouts_give_the_same_number(tree, model, tmp_path, picture):
    webdataset = pytest.importorskip("webdataset")
    shards = tmp_path / "shards"
    (shards / "test").mkdir(parents=True)
    with webdataset.TarWriter(str(shards / "test/0.tar")) as sink:
        for number in range(6):
            sink.write({"__key__": str(number), "png": picture(number), "cls": number // 3})
    (shards / "test/nshards.txt").write_text("1\n")
    (shards / "classnames.txt").write_text("cat\nhot_dog\n")
    folder = tree({f"{name}/{i}.png": i + 3 * label for label, name in enumerate(("cat", "hot_dog")) for i in range(3)})
    found = [evaluate(model, each, tmp_path / f"out{each.name}")[1]["results"] for each in (folder, shards)]
    numbers = [[(one["metric"], one["value"], one["interval"], one["n"]) for one in results] for results in found]
    assert numbers[0] == numbers[1]


def test_what_is_drawn_at_random_is_the_same_in_both_layouts_and_so_is_what_task_toml_says(tmp_path):
    """Pictures in another order, under other keys: halves, held-out parts, shots and bootstrap samples stay."""
    webdataset = pytest.importorskip("webdataset")
    folder, shards = tmp_path / "folder", tmp_path / "shards"
    words = ("red", "green", "blue")
    toml = 'name = "colours"\nmetric = "mean_per_class"\ntemplates = ["the colour {}"]\n[classes]\n'
    toml += "".join(f'{word} = "{word} paint"\n' for word in words)
    for split, number, seed in (("train", 8, 0), ("test", 10, 50)):
        (shards / split).mkdir(parents=True)
        places = np.random.default_rng(5).permutation(3 * number)
        with webdataset.TarWriter(str(shards / split / "0.tar")) as sink:
            for key, place in enumerate(places):
                file = png(pixels(place % 3, seed + place // 3))
                sink.write({"__key__": f"s{key:03d}", "png": file, "cls": int(place % 3)})
                path = folder / split / words[place % 3] / f"{place // 3}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(file)
    (shards / "classnames.txt").write_text("".join(f"{word}\n" for word in words))
    for place in (folder, shards):
        (place / "task.toml").write_text(toml)
    subject = Subject(backbone=ClipBackbone(tiny_encoder(), name="tiny"), cache=tmp_path / "cache", world=World.single())
    told = []
    for place in (folder, shards):
        asked = questions([find_task(str(place))], ["zero-shot", "probe", "few-shot", "calibration"])
        done = run(
            subject, asked, about=About(model="tiny", fingerprint="t"), out=tmp_path / place.name, on_record=lambda _: None
        )
        assert not done.failures
        told.append(
            {(one.task, one.metric): [one.value, *one.interval, one.n] for each in done.records for one in each.results}
        )
    assert told[0].keys() == told[1].keys()
    assert ("colours", "mean_per_class at 4 shots") in told[0]
    for key, numbers in told[0].items():
        assert told[1][key] == pytest.approx(numbers, abs=1e-5), key


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('labels = "labels.csv"', "labels and [splits] are for folders of images"),
        ('kind = "retrieval"', "kind = 'retrieval', but the shards are of a classification task (dataset_type.txt says it)"),
        ('[classes]\nhotdog = "x"', "classes.hotdog: no such line in classnames.txt; did you mean 'hot dog'?"),
        ('reference = "food"\n[reference_classes]\ncat = []', "reference_classes.hot dog: missing"),
    ],
)
def test_what_task_toml_may_not_say_of_shards_is_one_line(tmp_path, picture, toml, said):
    webdataset = pytest.importorskip("webdataset")
    (tmp_path / "set/test").mkdir(parents=True)
    with webdataset.TarWriter(str(tmp_path / "set/test/0.tar")) as sink:
        sink.write({"__key__": "0", "png": picture(0), "cls": 0})
    (tmp_path / "set/classnames.txt").write_text("cat\nhot_dog\n")
    (tmp_path / "set/task.toml").write_text(toml)
    with pytest.raises(ValueError, match=re.escape(said)):
        find_task(str(tmp_path / "set"))


def test_a_shift_in_shards_names_its_reference(tmp_path, picture):
    webdataset = pytest.importorskip("webdataset")
    (tmp_path / "set/test").mkdir(parents=True)
    with webdataset.TarWriter(str(tmp_path / "set/test/0.tar")) as sink:
        sink.write({"__key__": "0", "png": picture(0), "cls": 0})
    (tmp_path / "set/classnames.txt").write_text("cat\nhot_dog\n")
    (tmp_path / "set/task.toml").write_text('reference = "food"\n[reference_classes]\ncat = []\n"hot dog" = ["sausage", 3]\n')
    task = find_task(str(tmp_path / "set"))
    assert (task.name, task.reference, task.reference_classes) == ("set", "food", ((), ("sausage", 3)))
    assert task.classes == (("cat",), ("hot dog",))
