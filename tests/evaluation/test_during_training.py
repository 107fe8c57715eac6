"""Tasks asked of a model in training: the numbers of `fullclip evaluate`, from one process and from several."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import processes
from fullclip.cli.app import app
from fullclip.cli.train import _evaluators
from fullclip.core.distributed import World
from fullclip.core.logs import read_metrics
from fullclip.evaluation.during_training import ask
from fullclip.evaluation.tasks.find import find_task
from fullclip.evaluation.tasks.task import Skipped
from fullclip.evaluation.tasks.webdataset import read_pairs
from pairs import make_pairs, make_shards, picture
from tasks import Listed, colour_task
from tiny import tiny_encoder
from training import curve, evaluation_work, run_to_end, same_weights


@pytest.fixture(scope="module")
def classes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sets") / "things"
    for label in ("red_car", "dog"):
        (folder / label).mkdir(parents=True)
        for seed in range(5):
            (folder / label / f"{seed}.png").write_bytes(picture(seed + len(label)))
    (folder / "dog/torn.png").write_bytes(b"\x89PNG nothing")
    return folder


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> list[str]:
    return make_shards(tmp_path_factory.mktemp("shards") / "pairs", make_pairs(11, captions=2))


@pytest.fixture(scope="module")
def asked(tmp_path_factory, classes, shards) -> Path:
    """A run that was asked twice on its way."""
    out = tmp_path_factory.mktemp("runs") / "asked"
    evaluators = ask([find_task(str(classes)), read_pairs(shards, name="pairs")])
    run_to_end(out, "train.evaluate_every=4", evaluators=evaluators)
    return out


def found_at_the_end(out: Path) -> dict[str, float]:
    lines = [line for line in read_metrics(out / "metrics.jsonl") if any(name.startswith("evaluation/") for name in line)]
    assert [line["step"] for line in lines] == [4, 8]
    return {name.removeprefix("evaluation/"): value for name, value in lines[-1].items() if name != "step"}


def test_the_last_numbers_are_those_of_evaluating_the_model(asked, classes, shards, tmp_path):
    words = ["evaluate", str(asked / "model"), "--out", str(tmp_path), "--json"]
    tasks = ["--task", str(classes), "--task", str(Path(shards[0]).parent)]
    told = json.loads(CliRunner().invoke(app, [*words, *tasks]).stdout)
    evaluated = {f"{one['task']}/{one['metric'].replace(' ', '_')}": one["value"] for one in told["results"]}
    assert found_at_the_end(asked) == evaluated
    assert {"things/accuracy", "pairs/image-to-text_recall@1", "pairs/text-to-image_recall@10"} <= evaluated.keys()


def test_recall_is_that_of_the_similarities_written_out(shards):
    encoder, pairs = tiny_encoder(), make_pairs(11, captions=2)
    images = encoder.encode_images([pair.image for pair in pairs])
    texts = encoder.encode_texts([text for pair in pairs for text in pair.texts])
    similarity, owners = texts @ images.T, np.repeat(np.arange(11), 2)
    first = [np.flatnonzero(row >= row[owner]).tolist() == [owner] for row, owner in zip(similarity, owners, strict=True)]
    (evaluate,) = ask([read_pairs(shards, name="pairs")])
    assert evaluate(encoder, World.single())["pairs/text-to-image_recall@1"] == pytest.approx(np.mean(first))


@pytest.mark.dist
def test_three_processes_find_what_one_finds(asked, classes, shards):
    alone = evaluation_work(World.single(), str(asked / "model"), shards, str(classes))
    for told in processes.run(evaluation_work, 3, str(asked / "model"), shards, str(classes)):
        assert told == alone
    assert alone == found_at_the_end(asked)


def test_evaluating_changes_nothing_of_the_run(asked, tmp_path):
    run_to_end(tmp_path / "left alone")
    assert curve(asked) == curve(tmp_path / "left alone")
    assert same_weights(asked, tmp_path / "left alone")


def test_what_a_command_asks(classes, shards):
    names = [
        name for evaluate in _evaluators([str(classes)], shards, None) for name in evaluate(tiny_encoder(), World.single())
    ]
    assert {name.split("/")[0] for name in names} == {"things", "held-out"}
    assert [len(_evaluators([], [], chosen)) for chosen in (None, classes)] == [0, 1]


def test_a_set_without_a_usable_example_is_refused_at_the_start():
    task = colour_task()
    ask([task])
    broken = Listed([Skipped(key=f"{i}", reason="no label") for i in range(20)])
    with pytest.raises(ValueError, match="colours: no example can be used: no label"):
        ask([colour_task(name="fine"), type(task)(**{**vars(task), "splits": {"test": broken}})])


def test_a_good_example_behind_bad_ones_is_enough():
    task = colour_task()
    some = Listed([*(Skipped(key=f"{i}", reason="no label") for i in range(20)), *task.splits["test"].examples])
    (evaluate,) = ask([type(task)(**{**vars(task), "splits": {"test": some}})])
    (same,) = ask([task])
    assert evaluate(tiny_encoder(), World.single()) == same(tiny_encoder(), World.single())


def test_two_tasks_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two tasks are called 'colours'"):
        ask([colour_task(), colour_task()])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "cifar11"], "did you mean 'cifar1"),
        (["--held-out", "nowhere"], "no .tar files match"),
        (["--classes", "nowhere"], "nowhere"),
    ],
)
def test_a_wrong_name_ends_a_run_before_it_starts(tmp_path, words, message):
    result = CliRunner().invoke(app, ["train", "demo", "--out", str(tmp_path / "run"), *words])
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)
    assert not (tmp_path / "run/metrics.jsonl").exists()
