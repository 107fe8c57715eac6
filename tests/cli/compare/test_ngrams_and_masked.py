"""fullclip compare ngrams and masked as a user types them: results, a page, a table on stdout; after kill -9 they go on."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from fullclip.baselines.results.records import read_rows
from fullclip.cli.app import app
from walls import make_walls, typed


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Shards of coloured pictures, one of them torn, and folders of others with the same names, to fit on and to measure."""
    return make_walls(tmp_path_factory.mktemp("data"), [("train", 200, 6), ("test", 100, 4)])


def words_of(kind, data, out, *words, images=96):
    return ["compare", kind, *typed(data, out, ("least=4",), *words, images=images)]


def call(kind, data, out, *words, **more):
    result = CliRunner().invoke(app, words_of(kind, data, out, *words, **more))
    return result.exit_code, result.stdout, result.stderr if result.exit_code == 0 else str(result.exception)


def test_ngrams_leave_results_a_page_and_a_table(data, tmp_path):
    code, out, err = call("ngrams", data, tmp_path, "--seeds", 1)
    assert code == 0, err
    rows = read_rows(tmp_path / "results.jsonl")
    assert {(row["method"], row["rule"]) for row in rows} == {
        ("naive-ngrams", "likelihood"),
        ("naive-ngrams", "ratio"),
        ("visual-ngrams", "likelihood"),
        ("visual-ngrams", "ratio"),
        ("contrastive", "similarity"),
    }
    assert all(row["n"] == 12 and row["task"] == "walls" and row["unknown_classes"] == 0 for row in rows)
    lines = out.splitlines()
    assert lines[0].split() == ["way", "walls", "seeds", "unknown", "classes"]
    assert lines[5].startswith("CLIP ")
    assert len(lines) == 1 + 5 + 4
    assert "The dictionary has 41 n-grams: 6 of 1, 14 of 2, 12 of 3, 6 of 4, 3 of 5 words." in err
    assert "left out: 1 unreadable image (torn)" in err
    assert "Learned from 48 pairs." in (tmp_path / "ngrams.html").read_text(encoding="utf-8")


def test_masked_leaves_results_a_page_and_json(data, tmp_path):
    code, out, err = call("masked", data, tmp_path, "--seeds", 1, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["results"] == read_rows(tmp_path / "results.jsonl")
    assert len(told["results"]) == 3 * 2
    assert all(row["n"] == 12 and row["train"] == 18 for row in told["results"])
    assert "Learned from 48 pairs." in (tmp_path / "masked.html").read_text(encoding="utf-8")
    assert told["page"].endswith("masked.html")


@pytest.mark.parametrize(
    ("kind", "words", "message"),
    [
        ("ngrams", ["--smoothing", "1"], "smoothing is 1.0: above 0 and below 1, such as 0.2"),
        ("ngrams", ["--set", "least=60"], "no word occurs 60 times in 6 different texts; ask for fewer occurrences"),
        ("ngrams", ["--seeds", "0"], "0 seeds: at least 1"),
        ("masked", ["--seeds", "0"], "0 seeds: at least 1"),
        ("masked", ["--set", "vision.image_size=9"], "image_size 9 is not a multiple of patch_size 4"),
    ],
)
def test_what_cannot_be_done_is_one_line(data, tmp_path, kind, words, message):
    code, _, said = call(kind, data, tmp_path, "--seeds", 1, *words)
    assert code != 0
    assert message in said
    assert "\n" not in said


def test_a_task_without_a_train_split_cannot_be_probed(data, tmp_path):
    code, _, said = call("masked", data, tmp_path, "--task", data / "walls" / "test")
    assert code != 0
    assert "test has no train split, which a probe is fitted on; give a task with train and test" in said


def _without_seconds(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.mark.faults
def test_a_comparison_that_was_killed_goes_on_and_ends_as_if_it_had_not(data, tmp_path):
    words = words_of("ngrams", data, tmp_path / "killed", "--seeds", 1, images=320)
    process = subprocess.Popen([sys.executable, "-m", "fullclip", *words], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    results, deadline = tmp_path / "killed" / "results.jsonl", time.monotonic() + 120
    while not results.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = read_rows(results)
    assert {row["method"] for row in before} < {"naive-ngrams", "visual-ngrams", "contrastive"}
    code, _, err = call("ngrams", data, tmp_path / "killed", "--seeds", 1, images=320)
    assert code == 0, err
    after = read_rows(results)
    assert after[: len(before)] == before  # the seconds, too: they were not made again
    assert call("ngrams", data, tmp_path / "straight", "--seeds", 1, images=320)[0] == 0
    assert _without_seconds(after) == _without_seconds(read_rows(tmp_path / "straight" / "results.jsonl"))
