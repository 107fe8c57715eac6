"""An evaluation's folder: each question answered once, and again where anything that it depends on has changed."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import processes
from fullclip.core.distributed import World
from fullclip.core.types import Result
from fullclip.evaluation.features.backbone import FunctionBackbone
from fullclip.evaluation.features.cache import CHUNK
from fullclip.evaluation.suite.records import About, Record, lines_of, read_record, read_records, write_record
from fullclip.evaluation.suite.run import run
from fullclip.evaluation.suite.subject import Question, Subject
from fullclip.preprocess.image import PreprocessConfig
from tasks import Listed, colour_task, counting_work, failing_work, full_disk_work, killable_work, whole_work

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

    def question(self, name: str = "colours", *, task=None, error=None, record=record, **settings) -> Question:
        def answer(subject: Subject) -> Record:
            self.answered.append(name)
            if error:
                raise error
            return record if isinstance(record, Record) else record(name)

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
        {"task": replace(colour_task(name="one"), reference="imagenet")},
        {"shots": 3},
    ],
    ids=["data", "templates", "classes", "metric", "reference", "settings"],
)
def test_a_question_is_answered_again_where_something_has_changed(tmp_path, changed):
    asked = Asked()
    ask(tmp_path, [asked.question("one")])
    ask(tmp_path, [asked.question("one", **changed)])
    assert asked.answered == ["one", "one"]


def test_splits_that_a_question_does_not_look_at_are_not_read_through(tmp_path):
    class Unread(Listed):
        def digest(self) -> str:
            raise AssertionError

    task = colour_task(name="one")
    both = replace(task, splits={**task.splits, "train": Unread(task.splits["test"].examples)})
    question = replace(Asked().question("one", task=both), splits=("test",))
    assert question.identity(subject()) == replace(question, tasks=(task,)).identity(subject())
    with pytest.raises(AssertionError):
        replace(question, splits=("train", "test")).identity(subject())


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
def test_a_damaged_record_is_set_aside_said_and_measured_again(tmp_path, capsys, name):
    asked = Asked()
    ask(tmp_path, [asked.question("one"), asked.question("two")])
    path = tmp_path / "tasks/one" / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"zero-shot.json: damaged .* remove it to measure again"):
        read_record(tmp_path, "one", "zero-shot")
    with pytest.raises(ValueError, match=r"one/zero-shot.json: damaged"):
        lines_of(tmp_path)
    done = ask(tmp_path, [asked.question("two")])  # the damaged one is not asked for
    assert [line["task"] for line in lines_of(tmp_path)] == ["two"]
    assert not done.failures
    said = capsys.readouterr().err
    assert "one/zero-shot.json: damaged" in said
    assert "renamed zero-shot.json.damaged, and measured again where it is asked for" in said
    done = ask(tmp_path, [asked.question("one"), asked.question("two")])
    assert asked.answered == ["one", "two", "one"]
    assert done.records[0].results == record("one").results
    assert capsys.readouterr().err == ""


@pytest.mark.faults
def test_the_numbers_of_one_measurement_never_go_with_the_examples_of_another(tmp_path):
    write_record(tmp_path, record(value=0.5))
    old = (tmp_path / "tasks/colours/zero-shot.json").read_bytes()
    write_record(tmp_path, replace(record(value=1.0), arrays={"keys": np.array(["a"]), "values": np.ones(1)}))
    (tmp_path / "tasks/colours/zero-shot.json").write_bytes(old)  # as if it had ended between the two files
    with pytest.raises(ValueError, match=r"damaged \(zero-shot.npz is not the one that was written with it\)"):
        read_record(tmp_path, "colours", "zero-shot")


@pytest.mark.faults
def test_a_full_disk_ends_the_evaluation_and_what_was_found_stays(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a small disk needs mount, as in a container that runs as root")
    try:
        asked = Asked()
        noise = np.random.default_rng(0).bytes(400_000)
        large = replace(record("two"), arrays={"keys": np.array(["a"]), "values": np.frombuffer(noise, dtype=np.uint8)})
        with pytest.raises(OSError, match="no space left on the disk"):
            ask(disk, [asked.question("one"), asked.question("two", record=large), asked.question("three")])
        assert asked.answered == ["one", "two"]
        assert [one.task for one in read_records(disk)] == ["one"]
        ask(disk, [asked.question("one"), asked.question("two"), asked.question("three")])
        assert asked.answered == ["one", "two", "two", "three"]
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.dist
@pytest.mark.faults
def test_an_evaluation_that_was_killed_goes_on_where_it_was(tmp_path):
    """By kill -9 among the second task's images; whole chunks and records are not computed again."""
    straight = killable_work(World.single(), str(tmp_path / "straight"), "")
    with pytest.raises(AssertionError, match="the process ended without an answer"):
        processes.run(killable_work, 1, str(tmp_path / "killed"), "second")
    assert [one.task for one in read_records(tmp_path / "killed/out")] == ["first"]
    again = killable_work(World.single(), str(tmp_path / "killed"), "")
    assert straight == {"first": 300, "second": 300}
    assert again == {"first": 0, "second": 300 - CHUNK}
    results = [(tmp_path / name / "out/results.jsonl").read_bytes() for name in ("straight", "killed")]
    assert results[0] == results[1]
    for one, other in zip(*(read_records(tmp_path / name / "out") for name in ("straight", "killed")), strict=True):
        assert replace(one, arrays={}) == replace(other, arrays={})
        for name, array in one.arrays.items():
            np.testing.assert_array_equal(array, other.arrays[name])


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


@pytest.mark.dist
def test_what_one_process_cannot_do_is_told_by_all(tmp_path):
    told = processes.run(failing_work, 2, str(tmp_path))
    assert told[0] == told[1] == (["second"], [("first", "label 9 of 3, says process 1")])


@pytest.mark.dist
@pytest.mark.faults
def test_a_disk_that_only_the_leader_finds_full_ends_all(tmp_path):
    assert processes.run(full_disk_work, 2, str(tmp_path)) == ["no space", "process 0 cannot go on"]


@pytest.mark.dist
@pytest.mark.whole
def test_two_processes_find_what_one_finds(tmp_path):
    alone = whole_work(World.single(), str(tmp_path / "1"))
    assert {protocol for _, protocol, _ in alone} == {"zero-shot", "retrieval", "calibration", "robustness"}
    assert processes.run(whole_work, 2, str(tmp_path / "2")) == [alone] * 2
    lines = [(tmp_path / name / "out/results.jsonl").read_bytes() for name in ("1", "2")]
    assert lines[0] == lines[1]
    for one, other in zip(*(read_records(tmp_path / name / "out") for name in ("1", "2")), strict=True):
        for name, array in one.arrays.items():
            np.testing.assert_array_equal(array, other.arrays[name])
