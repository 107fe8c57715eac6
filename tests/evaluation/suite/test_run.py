"""An evaluation's folder: each question answered once, and again where anything that it depends on has changed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import processes
from fullclip.core.distributed import World
from fullclip.core.types import Result
from fullclip.evaluation.features.backbone import FunctionBackbone
from fullclip.evaluation.suite.records import About, Record, lines_of, read_record, read_records, write_record
from fullclip.evaluation.suite.run import run
from fullclip.evaluation.suite.subject import Question, Subject
from fullclip.preprocess.image import PreprocessConfig
from tasks import colour_task, counting_work

ABOUT = About(model="m", fingerprint="f")


def record(task: str = "colours", protocol: str = "zero-shot", value: float = 0.5) -> Record:
    return Record(
        task=task,
        protocol=protocol,
        results=(Result(task=task, metric="accuracy", value=value, interval=(0.25, 0.75), n=4),),
        details={"classes": ["red", "grün"]},
        arrays={"keys": np.array(["a", "é"]), "values": np.array([0.0, 1.0])},
    )


def subject(fingerprint: str = "f") -> Subject:
    backbone = FunctionBackbone(lambda x: x, name="m", fingerprint=fingerprint, preprocess=PreprocessConfig(size=8))
    return Subject(backbone=backbone, cache=None, world=World.single())


class Asked:
    """Questions that count how often they are answered."""

    def __init__(self) -> None:
        self.answered: list[str] = []

    def question(self, name: str = "colours", *, task=None, error: Exception | None = None, **settings) -> Question:
        def answer(subject: Subject) -> Record:
            self.answered.append(name)
            if error:
                raise error
            return record(name)

        return Question(
            protocol="zero-shot", name=name, tasks=(task or colour_task(name=name),), answer=answer, settings=settings
        )


def ask(out: Path, questions, who: Subject | None = None):
    told: list[Record] = []
    done = run(who or subject(), questions, about=ABOUT, out=out, on_record=told.append)
    assert [one.task for one in told] == [one.task for one in done.records]
    return done


def test_a_record_comes_back_as_it_was_kept(tmp_path):
    write_record(tmp_path, record())
    found = read_record(tmp_path, "colours", "zero-shot")
    assert replace(found, arrays={}) == replace(record(), arrays={})
    for name, array in record().arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array)
    assert read_record(tmp_path, "colours", "probe") is None


def test_a_question_is_answered_once(tmp_path):
    asked = Asked()
    first = ask(tmp_path, [asked.question("one"), asked.question("two")])
    second = ask(tmp_path, [asked.question("one"), asked.question("two"), asked.question("three")])
    assert asked.answered == ["one", "two", "three"]
    assert [one.results for one in second.records[:2]] == [one.results for one in first.records]
    assert {line["task"] for line in lines_of(tmp_path)} == {"one", "two", "three"}
    result = {"task": "one", "metric": "accuracy", "value": 0.5, "interval": [0.25, 0.75], "n": 4}
    assert lines_of(tmp_path)[0] == {"model": "m", "protocol": "zero-shot", **result}


@pytest.mark.parametrize(
    "changed",
    [
        {"task": colour_task(per_class=7, name="one")},
        {"task": replace(colour_task(name="one"), templates=("a {}",))},
        {"task": replace(colour_task(name="one"), classes=(("crimson",), ("green",), ("blue",)))},
        {"task": replace(colour_task(name="one"), metric="mean_per_class")},
        {"shots": 3},
    ],
    ids=["data", "templates", "classes", "metric", "settings"],
)
def test_a_question_is_answered_again_where_something_has_changed(tmp_path, changed):
    asked = Asked()
    ask(tmp_path, [asked.question("one")])
    ask(tmp_path, [asked.question("one", **changed)])
    assert asked.answered == ["one", "one"]


def test_another_models_folder_is_refused(tmp_path):
    ask(tmp_path, [Asked().question()])
    with pytest.raises(ValueError, match="holds the evaluation of m, other weights than other; give another --out"):
        run(subject("g"), [], about=About(model="other", fingerprint="g"), out=tmp_path, on_record=print)


def test_a_question_that_fails_does_not_stop_the_others(tmp_path):
    asked = Asked()
    done = ask(tmp_path, [asked.question("one", error=ValueError("label 12 of 10")), asked.question("two")])
    assert [one.task for one in done.records] == ["two"]
    assert [(failure.name, failure.reason) for failure in done.failures] == [("one", "label 12 of 10")]


def test_an_interrupted_evaluation_goes_on(tmp_path):
    asked = Asked()
    with pytest.raises(KeyboardInterrupt):
        ask(tmp_path, [asked.question("one"), asked.question("two", error=KeyboardInterrupt())])
    assert [one.task for one in read_records(tmp_path)] == ["one"]
    ask(tmp_path, [asked.question("one"), asked.question("two")])
    assert asked.answered == ["one", "two", "two"]


@pytest.mark.faults
@pytest.mark.parametrize("name", ["zero-shot.json", "zero-shot.npz"])
def test_a_damaged_record_is_named(tmp_path, name):
    ask(tmp_path, [Asked().question("one")])
    path = tmp_path / "tasks/one" / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"zero-shot.json: damaged .* remove it to measure again"):
        read_record(tmp_path, "one", "zero-shot")
    done = ask(tmp_path, [Asked().question("one")])
    assert "damaged" in done.failures[0].reason


def test_a_folder_that_holds_no_evaluation_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="holds no evaluation"):
        lines_of(tmp_path)
    (tmp_path / "evaluation.json").write_text("{")
    with pytest.raises(ValueError, match=r"evaluation.json: damaged .*give another --out"):
        lines_of(tmp_path)


@pytest.mark.dist
def test_all_processes_learn_the_record_that_one_has_written(tmp_path):
    told = processes.run(counting_work, 2, str(tmp_path))
    assert told[0] == told[1] == [("colours", 0.5)]
    assert told == processes.run(counting_work, 2, str(tmp_path))
