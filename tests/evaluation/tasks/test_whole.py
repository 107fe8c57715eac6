"""`fullclip evaluate MODEL --task FOLDER --json` on folders as people have them: a number with its n, or one line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fullclip.cli.app import app
from fullclip.models.checkpoint import Checkpoint
from fullclip.models.config import PRESETS
from fullclip.models.writing import write_checkpoint
from tiny import tiny_encoder

pytestmark = pytest.mark.whole


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    encoder, folder = tiny_encoder(), tmp_path_factory.mktemp("model") / "tiny"
    checkpoint = Checkpoint(config=PRESETS["tiny"], state=encoder.model.state_dict(), preprocess=encoder.preprocess)
    write_checkpoint(checkpoint, folder, tokenizer=encoder.tokenizer, form="fullclip")
    return folder


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
