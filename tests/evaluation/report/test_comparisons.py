"""Paired tests of runs: wins as a loop counts them, Holm over a duel's sets, and what has no paired test."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from evaluations import begin, classified, retrieved
from fullclip.evaluation.report.comparisons import compare_records, duel, duels, pairs_of
from fullclip.evaluation.report.runs import read_runs
from fullclip.evaluation.statistics.paired import compare
from fullclip.evaluation.suite.records import write_record

SETS = {"one": (0.3, 0.8), "two": (0.5, 0.52), "three": (0.9, 0.4), "four": (0.2, 0.6)}


@pytest.fixture
def runs(tmp_path):
    for place, name in enumerate(("A", "B")):
        folder = begin(tmp_path / name, name)
        for seed, (task, skills) in enumerate(SETS.items()):
            classified(folder, task, skills[place], seed=10 * place + seed)
    classified(tmp_path / "A", "alone", 0.5)
    return read_runs([tmp_path / "A", tmp_path / "B"])


def test_wins_are_counted_as_a_loop_counts_them(runs):
    (found,) = duels(runs)
    p_values, differences = {}, {}
    for task in SETS:
        one, other = (run.records["zero-shot", task].arrays["values"] for run in runs)
        gained, lost = int((other > one).sum()), int((one > other).sum())
        p_values[task], differences[task] = binomtest(gained, gained + lost).pvalue, (gained - lost) / len(one)
    ordered, largest, corrected = sorted(SETS, key=p_values.get), 0.0, {}
    for rank, task in enumerate(ordered):
        largest = max(largest, min(1.0, (len(SETS) - rank) * p_values[task]))
        corrected[task] = largest
    assert {one.task: p for one, p in zip(found.comparisons, found.p_values, strict=True)} == pytest.approx(corrected)
    better = [task for task in SETS if differences[task] > 0]
    sure = [task for task in better if corrected[task] < 0.05]
    worse = [task for task in SETS if differences[task] < 0]
    assert found.wins_of_second == (
        f"B is better than A on {len(better)} of 4 sets, of which {len(sure)} beyond chance; worse on {len(worse)},"
        f" of which {sum(corrected[task] < 0.05 for task in worse)} beyond chance."
    )
    assert len(sure) >= 2
    assert worse


def test_sentences_name_the_better_one_and_how_sure_it_is(runs):
    (found,) = duels(runs)
    sentences = found.sentences()
    assert len(sentences) == 4
    by_task = {one.task: one for one in found.comparisons}
    value, (low, high) = by_task["one"].difference, by_task["one"].interval
    expected = (
        f"B is better than A on one by {100 * value:.1f} points ({100 * low:.1f} to {100 * high:.1f}), p\N{NO-BREAK SPACE}<"
    )
    assert any(sentence.startswith(expected) for sentence in sentences)
    value, (low, high) = by_task["three"].difference, by_task["three"].interval
    expected = f"A is better than B on three by {-100 * value:.1f} points ({-100 * high:.1f} to {-100 * low:.1f})"
    assert any(sentence.startswith(expected) for sentence in sentences)
    assert any("On two" in sentence and "may be chance" in sentence for sentence in sentences)


def test_the_winner_is_named_first(runs):
    backwards = duel(runs[1], runs[0], protocols=("zero-shot", "zero-shot"))
    assert backwards.wins.startswith("B is better than A on 3 of 4 sets")
    assert backwards.wins_of_second.startswith("A is better than B on 1 of 4 sets")


def test_an_area_under_the_curve_is_compared_by_the_paired_test_of_statistics(tmp_path):
    for place, name in enumerate(("A", "B")):
        classified(
            begin(tmp_path / name, name), "memes", 0.4 + 0.4 * place, classes=("no", "yes"), metric="roc_auc", seed=place
        )
    runs = read_runs([tmp_path / "A", tmp_path / "B"])
    (found,) = duels(runs)
    one, other = (run.records["zero-shot", "memes"] for run in runs)
    assert found.comparisons == (compare(one.arrays, other.arrays, task="memes", metric="roc_auc"),)
    assert found.comparisons[0].difference == pytest.approx(other.results[0].value - one.results[0].value)


def test_captions_of_one_image_are_one_case(tmp_path):
    hits = {"A": [[0, 0, 1], [1, 0, 0], [0, 0, 0]], "B": [[1, 1, 1], [1, 0, 1], [0, 0, 1]]}
    for name, own in hits.items():
        retrieved(begin(tmp_path / name, name), "pairs", own)
    (found,) = duels(read_runs([tmp_path / "A", tmp_path / "B"]))
    assert found.comparisons[0].difference == pytest.approx(4 / 9)
    assert found.comparisons[0].test == "paired bootstrap"  # McNemar's takes captions for independent


def test_other_metrics_and_other_images_are_said_not_compared(tmp_path, runs):
    record = runs[1].records["zero-shot", "one"]
    other = replace(record, results=(replace(record.results[0], metric="mean_per_class"),))
    with pytest.raises(ValueError, match="one: one run has accuracy, the other mean_per_class; measure one of them again"):
        compare_records(runs[0].records["zero-shot", "one"], other)
    write_record(tmp_path / "B", replace(record, arrays={**record.arrays, "keys": np.array([f"x{i}" for i in range(120)])}))
    again = read_runs([tmp_path / "A", tmp_path / "B"])
    (found,) = duels(again)
    assert len(found.comparisons) == 3
    assert "no example in common" in found.failed[0]


def test_of_many_runs_each_is_held_against_the_first(tmp_path):
    folders = [begin(tmp_path / str(i), str(i)) for i in range(5)]
    for folder in folders:
        classified(folder, "colours", 0.5)
    runs = read_runs(folders)
    assert [(one.name, other.name) for one, other in pairs_of(runs)] == [("0", "1"), ("0", "2"), ("0", "3"), ("0", "4")]
    assert len(pairs_of(runs[:4])) == 6
