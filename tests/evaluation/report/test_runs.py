"""Folders become runs with names that tell them apart; whatever is wrong with one is a line that names it."""

import json

import pytest

from evaluations import begin, classified, few_shot
from fullclip.evaluation.report.runs import all_tasks, read_runs, shared_tasks


def test_runs_come_in_order_with_baselines_last(tmp_path):
    folders = [begin(tmp_path / name, name) for name in ("one", "two", "base")]
    for folder in folders:
        classified(folder, "colours", 0.5)
    classified(folders[0], "shapes", 0.5)
    runs = read_runs([folders[2], *folders[:2]], baselines=[folders[2]])  # a baseline among all, as a glob gives them
    assert [(run.name, run.place, run.is_baseline) for run in runs] == [("one", 0, False), ("two", 1, False), ("base", 2, True)]
    assert all_tasks(runs, "zero-shot") == ["colours", "shapes"]
    assert shared_tasks(runs, "zero-shot") == ["colours"]


def test_two_runs_of_one_model_are_told_apart_by_their_folders(tmp_path):
    folders = [
        begin(tmp_path / place, model) for place, model in (("a/x", "m (1)"), ("b/x", "m (1)"), ("y", "m (1)"), ("z", "n"))
    ]
    for folder in folders:
        classified(folder, "colours", 0.5)
    names = [run.name for run in read_runs(folders)]
    assert names == [f"m (1) ({tmp_path}/a/x)", f"m (1) ({tmp_path}/b/x)", "m (1) (y)", "n"]


def test_what_holds_no_evaluation_is_named(tmp_path):
    begin(tmp_path / "all/one", "one")
    with pytest.raises(ValueError, match=r"holds no evaluation: evaluation.json is not there; give a folder that `fullclip"):
        read_runs([tmp_path / "nothing"])
    with pytest.raises(ValueError, match=r"all holds no evaluation: .*did you mean .*all/one\?"):
        read_runs([tmp_path / "all"])
    with pytest.raises(ValueError, match=r"one: nothing is measured yet; run `fullclip evaluate MODEL` first"):
        read_runs([tmp_path / "all/one"])
    with pytest.raises(ValueError, match=r"all/one is given twice; give every evaluation once"):
        read_runs([tmp_path / "all/one", tmp_path / "all/../all/one"])


@pytest.mark.faults
def test_a_torn_record_is_named(tmp_path):
    classified(begin(tmp_path, "m"), "colours", 0.5)
    path = tmp_path / "tasks/colours/zero-shot.json"
    path.write_text(path.read_text()[:-10])
    with pytest.raises(ValueError, match=r"colours/zero-shot.json: damaged .* remove it to measure again"):
        read_runs([tmp_path])


@pytest.mark.parametrize(
    ("protocol", "change", "lacking"),
    [
        ("zero-shot", lambda found: found["details"].pop("classes"), "details.classes"),
        ("zero-shot", lambda found: found["results"].clear(), "results"),
        ("few-shot", lambda found: found["results"].pop(), "results"),
        ("few-shot", lambda found: found["details"].pop("shots"), "details.shots"),
    ],
)
def test_a_record_that_lacks_something_is_named(tmp_path, protocol, change, lacking):
    classified(begin(tmp_path, "m"), "colours", 0.5)
    few_shot(tmp_path, "colours", (0.1, 0.2, 0.3, 0.4, 0.5), zero_shot=0.3, equals=4.0)
    path = tmp_path / f"tasks/colours/{protocol}.json"
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))
    with pytest.raises(
        ValueError, match=rf"{protocol}.json: the record lacks {lacking}; remove it and run `fullclip evaluate`"
    ):
        read_runs([tmp_path])
