"""Which tasks the shell script asks of whom: `python` is a stand-in that writes down how it is called."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "runs/small/evaluate.sh"
PYTHON = """#!/usr/bin/env bash
if [ "$1" = -c ]; then
    ! grep -q "${ABSENT:-nothing}" <<<"$2"
    exit
fi
printf '%s\\n' "$*" >>"$CALLS"
case "$*" in *" evaluate "*) exit "${CODE:-0}" ;; esac
"""
FOLDERS = {
    "cifar10": ("classnames.txt", "test"),
    "cifar10-halves": ("classnames.txt", "train", "test"),
    "cifar10-emoji": ("classnames.txt", "test", 'reference = "cifar10-halves"'),
    "emoji-google": ("classnames.txt", "test"),
    "emoji-twitter": ("classnames.txt", "test", 'reference = "emoji-google"'),
    "emoji-kinds-google": ("classnames.txt", "train", "test"),
    "emoji-kinds-twitter": ("classnames.txt", "test", 'reference = "emoji-kinds-google"'),
    "photos-heldout": ("000000.tar",),
}


@pytest.fixture
def tasks(tmp_path):
    for name, parts in FOLDERS.items():
        folder = tmp_path / "tasks" / name
        folder.mkdir(parents=True)
        (folder / "task.toml").write_text("".join(f"{part}\n" for part in parts if "=" in part), encoding="utf-8")
        for part in parts:
            if "." in part:
                (folder / part).touch()
            elif "=" not in part:
                (folder / part).mkdir()
    return tmp_path / "tasks"


def calls(tasks: Path, *, ends_with: int = 0, **settings: str) -> list[str]:
    """What the script runs, its paths shortened."""
    python, log = tasks.parent / "python", tasks.parent / "calls.txt"
    python.write_text(PYTHON, encoding="utf-8")
    python.chmod(0o755)
    log.write_text("", encoding="utf-8")
    environment = {**os.environ, "PYTHON": str(python), "CALLS": str(log), **settings}
    done = subprocess.run(
        ["bash", SCRIPT, tasks, tasks.parent / "out", "folder/of/a/model"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == ends_with, done.stderr
    told = log.read_text(encoding="utf-8").replace(str(tasks.parent), "").replace(f"{SCRIPT.parent}/", "")
    return [*told.splitlines(), *done.stderr.splitlines()]


def asked(line: str) -> set[str]:
    words = line.split()
    return {words[place + 1].removeprefix("/tasks/") for place, word in enumerate(words) if word == "--task"}


def test_the_model_is_asked_of_everything_and_its_words_of_what_has_classes(tasks):
    whole, words, *_ = calls(tasks)
    assert whole.startswith("-m fullclip evaluate folder/of/a/model --data /tasks")
    assert asked(whole) == {*FOLDERS, "digits", "solar_cells"}
    assert {"--probe", "--few-shot", "--calibration"} <= set(whole.split())
    assert words.startswith("prompts.py folder/of/a/model")
    assert asked(words) == {*FOLDERS, "digits", "solar_cells"} - {"photos-heldout", "cifar10-halves"}


def test_the_peers_are_asked_of_what_probes_can_be_fitted_on(tasks):
    lines = calls(tasks)
    (supervised,) = [line for line in lines if "supervised_peer.py:efficientnet_lite0" in line]
    assert "--few-shot" in supervised
    assert "--calibration" not in supervised
    peers = [line for line in lines if "supervised_peers.py:" in line]
    names = {line.split("supervised_peers.py:")[1].split()[0] for line in peers}
    source = (SCRIPT.parent / "supervised_peers.py").read_text(encoding="utf-8")
    assert names == {line[4:].split("(")[0] for line in source.splitlines() if line.startswith("def lite0")}
    for line in peers:
        assert asked(line) == {"cifar10-halves", "cifar10-emoji", "emoji-kinds-google", "emoji-kinds-twitter"}
    *_, report = [line for line in lines if " report " in line]
    assert report.count("--baseline") == 1 + len(peers)


def test_a_limit_goes_to_every_question(tasks):
    lines = [line for line in calls(tasks, LIMIT="7") if " report " not in line]
    assert all("--limit 7" in line for line in lines)


def test_what_is_not_here_is_said_and_left_out(tasks):
    lines = calls(tasks, ABSENT="elpv_dataset")
    assert "solar_cells" not in asked(lines[0])
    assert "left out: solar_cells, since the package elpv-dataset is not here" in lines
    lines = calls(tasks, ABSENT="efficientnet_lite_pytorch")
    assert "left out: the supervised peers, since their packages are not here" in lines
    assert not [line for line in lines if "--features" in line]
    assert [line for line in lines if " report " in line] == ["-m fullclip report /out/model --out /out/report.html"]


def test_a_question_that_fails_does_not_end_the_others_but_wrong_use_does(tasks):
    assert calls(tasks, CODE="1", ends_with=1) == calls(tasks)
    assert calls(tasks, CODE="2", ends_with=2) == calls(tasks)[:1]


def test_folders_have_to_be_named(tmp_path):
    done = subprocess.run(["bash", SCRIPT], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "name the folder that tasks.py has written" in done.stderr
