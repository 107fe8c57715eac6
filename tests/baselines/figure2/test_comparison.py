"""The comparison of Figure 2: after kill -9 it goes on, and its rows come in the table's order."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fullclip.baselines.figure2.comparison import compare_figure2
from fullclip.baselines.learning.curve import curve
from fullclip.baselines.results.records import read_rows
from fullclip.baselines.ways.methods import METHODS, vocabularies
from learning import SETTINGS, colour_pairs, colour_question


def without_seconds(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_rows_grow_by_a_way_at_a_time_and_are_its_curves(tmp_path):
    given = {"shards": ["s"], "methods": ["contrastive", "bag-of-words"], "seeds": [0, 1], "device": torch.device("cpu")}
    found = list(compare_figure2(colour_pairs(), colour_question(), tmp_path, SETTINGS, **given))
    assert [len(rows) for rows in found] == [2, 6, 8, 12, 12]
    assert [(row["method"], row["seed"]) for row in found[-1]] == [
        *[("bag-of-words", seed) for seed in (0, 0, 0, 0, 1, 1, 1, 1)],
        *[("contrastive", seed) for seed in (0, 0, 1, 1)],
    ]
    way = METHODS["contrastive"].build(SETTINGS, vocabularies(colour_pairs(), SETTINGS), 1)
    expected = curve(way, colour_pairs(), [colour_question()], SETTINGS, method="contrastive", seed=1)
    assert without_seconds(found[-1][-2:]) == without_seconds(expected)
    again = list(compare_figure2(colour_pairs(), colour_question(), tmp_path, SETTINGS, **given))
    assert again == [found[-1]]


@pytest.mark.faults
def test_a_killed_comparison_goes_on_and_gives_the_same(tmp_path):
    """Killed after the first way; the second start does not repeat it, and the rows are those of a run that was let alone."""
    program = (
        "import sys, torch; torch.set_num_threads(1); sys.path.insert(0, sys.argv[2])\n"
        "from pathlib import Path\nfrom learning import SETTINGS, colour_pairs, colour_question\n"
        "from fullclip.baselines.figure2.comparison import compare_figure2\n"
        "ways = ('bag-of-words', 'contrastive-bag', 'contrastive')\n"
        "given = {'shards': ['s'], 'methods': ways, 'seeds': [0], 'device': torch.device('cpu')}\n"
        "for rows in compare_figure2(colour_pairs(), colour_question(), Path(sys.argv[1]), SETTINGS, **given):\n"
        "    print(rows[-1]['method'], flush=True)\n"
    )
    tests = str(Path(__file__).parents[2])

    def start(out):
        return subprocess.Popen([sys.executable, "-c", program, str(out), tests], stdout=subprocess.PIPE, text=True)

    killed = start(tmp_path / "killed")
    deadline = time.monotonic() + 60
    while not (tmp_path / "killed/results.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    before = read_rows(tmp_path / "killed/results.jsonl")
    assert 0 < len(before) < 2 * 2 + 2 + 2
    start(tmp_path / "killed").communicate(timeout=60)
    start(tmp_path / "alone").communicate(timeout=60)
    assert read_rows(tmp_path / "killed/results.jsonl")[: len(before)] == before  # the seconds, too: they were not made again
    found, expected = (
        [
            {name: value for name, value in row.items() if name != "seconds"}
            for row in read_rows(tmp_path / out / "results.jsonl")
        ]
        for out in ("killed", "alone")
    )
    assert found == expected
    assert len(found) == 2 * 2 + 2 + 2
