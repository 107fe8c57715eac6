"""Robustness of runs: the line equals NumPy's fit in logits, what is above it, and over which shifts an average goes."""

import numpy as np
import pytest
from scipy.special import expit, logit

from evaluations import begin, shifted
from fullclip.evaluation.report.runs import read_runs
from fullclip.evaluation.report.sections.shifted import adapting, robustness, table
from fullclip.evaluation.report.shifts import AVERAGE, shifts_of
from fullclip.evaluation.statistics.robustness import Accuracies

NETS = {"net": (0.5, 0.25), "bigger": (0.7, 0.45), "small": (0.3, 0.1)}


@pytest.fixture
def folders(tmp_path):
    clip = begin(tmp_path / "clip", "clip")
    for shift, under in (("art", 0.6), ("sketch", 0.5)):
        shifted(clip, shift, 0.65, under)
        shifted(clip, shift, 0.75, under - 0.1, protocol="adapted-robustness")
    shifted(clip, "toys", 0.6, 0.5)
    for name, (reference, under) in NETS.items():
        folder = begin(tmp_path / name, name)
        for shift in ("art", "sketch"):
            shifted(folder, shift, reference, under, protocol="adapted-robustness")
    return tmp_path


def read(folders, baselines=tuple(NETS), published=None):
    runs = read_runs([folders / "clip"], baselines=[folders / name for name in baselines])
    return runs, shifts_of(runs, published or {})


def test_the_line_is_numpys_and_robustness_is_what_is_above_it(folders):
    _, found = read(folders)
    by_name = {shift.name: shift for shift in found["photos"]}
    assert list(by_name) == [AVERAGE, "art", "sketch", "toys"]
    xs, ys = np.array(list(NETS.values())).T
    slope, intercept = np.polyfit(logit(xs), logit(ys), 1)
    line = by_name["art"].line
    assert (line.slope, line.intercept) == pytest.approx((slope, intercept))
    robust = by_name["art"].robust["zero-shot", "clip"]
    assert robust.effective == pytest.approx(0.6 - expit(slope * logit(0.65) + intercept))
    assert robust.relative == pytest.approx(0.6 - NETS["net"][1])
    assert table(found["photos"]).columns[5:8] == ["expected", "effective", "relative"]
    assert by_name["art"].robust["adapted", "clip"].relative == pytest.approx(0.5 - NETS["net"][1])
    low, high = robust.effective_interval
    assert low < robust.effective < high


def test_the_average_is_over_the_shifts_that_all_measured_have(folders):
    _, found = read(folders)
    mean = found["photos"][0]
    assert mean.parts == ("art", "sketch")  # toys was not asked of the adapted one
    own = {entry.kind: entry.accuracies for entry in mean.entries if entry.accuracies.model == "clip"}
    assert own["zero-shot"].shift == pytest.approx(0.55)
    assert own["adapted"].shift == pytest.approx(0.45)
    assert {(entry.num_shift, entry.num_reference) for entry in mean.entries} == {(800, 400)}


def test_published_models_join_the_line(folders):
    more = {
        shift: [
            Accuracies(model=f"p{i}", reference=x, shift=x / 2, reference_n=99, shift_n=99)
            for i, x in enumerate((0.2, 0.4, 0.8))
        ]
        for shift in ("art", "elsewhere")
    }
    _, found = read(folders, published=more)
    art = next(shift for shift in found["photos"] if shift.name == "art")
    xs, ys = np.array([*NETS.values(), (0.2, 0.1), (0.4, 0.2), (0.8, 0.4)]).T
    assert (art.line.slope, art.line.intercept) == pytest.approx(tuple(np.polyfit(logit(xs), logit(ys), 1)))
    with pytest.raises(ValueError, match=r"the published models are of 'skech'; did you mean 'sketch'\?"):
        read(folders, published={"skech": more["art"]})


def test_without_three_models_there_is_no_line_and_the_report_says_so(folders):
    runs, found = read(folders, baselines=("net", "bigger"))
    assert all(shift.line is None and not shift.robust for shift in found["photos"])
    section = robustness(found["photos"])
    assert any(
        "no effective robustness: it takes three models" in block.text for block in section.blocks if hasattr(block, "text")
    )
    assert table(found["photos"]).columns == ["shift", "model", "kind", "photos", "under shift", "n"]
    assert adapting(runs, found["photos"]) is not None


def test_a_baseline_that_knows_words_is_on_the_line_by_its_probe(tmp_path):
    clip = begin(tmp_path / "clip", "clip")
    shifted(clip, "art", 0.6, 0.5)
    shifted(clip, "art", 0.8, 0.4, protocol="adapted-robustness")
    runs = read_runs([], baselines=[clip])
    ((shift,),) = shifts_of(runs, {}).values()
    assert [(entry.kind, entry.accuracies.reference) for entry in shift.entries] == [("baseline", 0.8)]


def test_adapting_shows_the_change_of_each_shift(folders):
    runs, found = read(folders)
    section = adapting(runs, found["photos"])
    alt = next(block.alt for block in section.blocks if hasattr(block, "alt"))
    assert "art −10.0; photos, art's classes +10.0; sketch −10.0; photos, sketch's classes +10.0" in alt
