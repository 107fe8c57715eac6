"""Robustness against NumPy's fit, formulas and simulation."""

import numpy as np
import pytest
from scipy.special import expit, logit

from fullclip.evaluation.statistics.robustness import Accuracies, average, fit, robustness


def model(reference: float, shift: float, *, n: int = 5000, name: str = "m", shift_n: int | None = None) -> Accuracies:
    return Accuracies(model=name, reference=reference, shift=shift, reference_n=n, shift_n=shift_n or n)


def on_a_line(slope: float, intercept: float, *, noise: float = 0.0, num: int = 12, seed: int = 0) -> list[Accuracies]:
    random = np.random.default_rng(seed)
    xs = random.uniform(-0.5, 2.0, size=num)
    ys = intercept + slope * xs + noise * random.normal(size=num)
    return [model(float(expit(x)), float(expit(y)), name=f"m{i}") for i, (x, y) in enumerate(zip(xs, ys, strict=True))]


@pytest.mark.parametrize("seed", range(3))
def test_the_line_is_numpys_in_logits(seed):
    models = on_a_line(1.1, -0.9, noise=0.2, seed=seed)
    line = fit(models)
    slope, intercept = np.polyfit(logit([one.reference for one in models]), logit([one.shift for one in models]), 1)
    assert (line.slope, line.intercept) == pytest.approx((slope, intercept))
    assert line.expected(0.7) == pytest.approx(expit(intercept + slope * logit(0.7)))


def test_the_band_covers_the_line_that_models_were_drawn_from():
    covered = 0
    for seed in range(80):
        low, high = fit(on_a_line(1.0, -0.8, noise=0.15, num=30, seed=seed)).band(0.75)
        covered += low <= expit(logit(0.75) - 0.8) <= high
    assert covered >= 70


def test_on_the_line_there_is_no_effective_robustness():
    line = fit(on_a_line(0.9, -1.0))
    on_it = model(0.7, line.expected(0.7))
    found = robustness(on_it, line)
    assert found.effective == pytest.approx(0)
    assert found.effective_interval[0] < 0 < found.effective_interval[1]
    above = robustness(model(0.7, line.expected(0.7) + 0.2), line)
    assert above.effective == pytest.approx(0.2)
    assert above.effective_interval[0] > 0.15
    assert (above.relative, above.relative_interval) == (None, None)


def test_effective_robustness_covers_the_truth_and_relative_is_a_difference():
    random, covered = np.random.default_rng(0), {"effective": 0, "relative": 0}
    truth = 0.6 - float(expit(logit(0.75) - 0.8))
    for seed in range(80):
        line = fit(on_a_line(1.0, -0.8, noise=0.1, num=25, seed=seed))
        ours = model(random.binomial(600, 0.75) / 600, random.binomial(400, 0.6) / 400, n=600, shift_n=400)
        base = model(0.76, random.binomial(400, 0.5) / 400, n=600, shift_n=400)
        found = robustness(ours, line, baseline=base)
        assert found.relative == pytest.approx(ours.shift - base.shift)
        covered["effective"] += found.effective_interval[0] <= truth <= found.effective_interval[1]
        covered["relative"] += found.relative_interval[0] <= 0.1 <= found.relative_interval[1]
    assert min(covered.values()) >= 71, covered


def test_accuracies_of_nothing_and_of_all_have_logits_half_an_example_away():
    models = [model(0.0, 0.0, n=50), model(1.0, 1.0, n=50), model(0.5, 0.5, n=50)]
    line = fit(models)
    assert line.slope == pytest.approx(1)
    assert (line.expected(1.0), line.expected(0.0)) == pytest.approx((1, 0), abs=1e-6)
    assert all(0 <= end <= 1 for share in (0.0, 1.0) for end in line.band(share))
    best = robustness(model(1.0, 1.0, n=50), line)
    assert best.effective == pytest.approx(0.01)
    assert best.effective_interval[0] < best.effective < best.effective_interval[1] + 0.02


def test_the_average_over_shifts_is_of_accuracies():
    shifts = [model(0.8, 0.6, n=1000, shift_n=400), model(0.9, 0.2, n=500, shift_n=100)]
    found = average(shifts)
    assert (found.model, found.reference, found.shift) == ("m", pytest.approx(0.85), pytest.approx(0.4))
    random = np.random.default_rng(0)
    drawn = (random.binomial(400, 0.6, 20000) / 400 + random.binomial(100, 0.2, 20000) / 100) / 2
    assert found.shift_n == pytest.approx(0.4 * 0.6 / drawn.var(), rel=0.05)
    alike = average([model(0.7, 0.5, n=1000, shift_n=300)] * 2)
    assert (alike.reference_n, alike.shift_n) == (1000, 600)  # the same images twice are no more than once
    assert average(shifts[:1]) == shifts[0]


def test_what_has_no_line_is_an_error():
    for said, models in [
        ("three different accuracies on the reference; there are 2", [model(0.5, 0.4), model(0.5, 0.3), model(0.6, 0.5)]),
        ("three different accuracies on the reference; there are 0", []),
        ("m: accuracies of 76.2 and 70.1; write shares from 0 to 1", [model(76.2, 70.1)] * 3),
    ]:
        with pytest.raises(ValueError, match=said):
            fit(models)
    with pytest.raises(ValueError, match=r"one model, not of \['a', 'b'\]"):
        average([model(0.5, 0.5, name="a"), model(0.5, 0.5, name="b")])
    with pytest.raises(ValueError, match=r"one model, not of \[\]"):
        average([])
