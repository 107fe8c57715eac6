"""The search over penalties: which are asked, which wins, and the fit that follows."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from clouds import clouds, theirs
from fullclip.evaluation.probe.kept import ProbeCache
from fullclip.evaluation.probe.sweep import NUM_STEPS, Examples, coarse_to_fine, fit_best, penalty_at

GRID = np.logspace(-6, 6, 97)


def test_the_grid_has_8_steps_a_decade_from_a_millionth_to_a_million():
    np.testing.assert_allclose([penalty_at(step) for step in range(NUM_STEPS + 1)], GRID)


@given(st.integers(0, 96))
def test_a_single_peak_is_found_anywhere_with_at_most_15_fits(peak):
    sweep = coarse_to_fine(lambda penalty: -abs(np.log10(penalty) - np.log10(GRID[peak])))
    assert sweep.best == pytest.approx(GRID[peak])
    assert 11 <= len(sweep.points) <= 15
    assert [penalty for penalty, _ in sweep.points] == sorted(penalty for penalty, _ in sweep.points)


def test_the_search_begins_with_the_papers_seven_and_halves_around_the_best():
    asked = []

    def value(penalty: float) -> float:
        asked.append(round(8 * (np.log10(penalty) + 6)))
        return -abs(asked[-1] - 37)

    coarse_to_fine(value)
    assert asked[:7] == [96, 80, 64, 48, 32, 16, 0]
    assert asked[7:] == [40, 24, 44, 36, 38, 34, 39, 37]  # 36 and 38 are equally good: the stronger is gone on from


def test_of_equal_values_the_strongest_penalty_is_the_best():
    assert coarse_to_fine(lambda penalty: 1.0 if penalty < 2e-1 else 0.0).best == pytest.approx(10**-0.75)
    assert coarse_to_fine(lambda _: 0.5).best == pytest.approx(1e6)


def split(num_classes: int = 5, dim: int = 20) -> tuple[Examples, Examples, np.ndarray, np.ndarray]:
    features, labels = clouds(600, dim, num_classes)
    parts = [Examples(features=features[part], targets=labels[part]) for part in (slice(0, 300), slice(300, 400))]
    return parts[0], parts[1], features[400:], labels[400:]


@pytest.mark.parametrize("num_classes", [2, 5])
def test_the_whole_protocol_is_that_of_scikit_learn(num_classes):
    train, validation, features, labels = split(num_classes)

    def accuracy(scores: np.ndarray, wanted: np.ndarray = validation.targets) -> float:
        return float((scores.argmax(axis=1) == wanted).mean())

    ours = fit_best(train, validation, num_classes, value=accuracy)

    def value(penalty: float) -> float:
        return float(theirs(train.features, train.targets, 1 / penalty).score(validation.features, validation.targets))

    sweep = coarse_to_fine(value)
    assert len(sweep.points) == len(ours.sweep.points)
    differences = [abs(one - other) for (_, one), (_, other) in zip(ours.sweep.points, sweep.points, strict=True)]
    assert max(differences) <= 0.011  # of 100 examples one may be on the edge
    both = [np.concatenate([getattr(part, name) for part in (train, validation)]) for name in ("features", "targets")]
    last = theirs(*both, 1 / ours.sweep.best)
    np.testing.assert_allclose(ours.probe.coef_, last.coef_, atol=2e-3 * np.abs(last.coef_).max())
    assert accuracy(ours.probe.scores(features), labels) == pytest.approx(last.score(features, labels), abs=0.006)


def test_a_class_without_examples_is_never_the_answer_by_much():
    train, validation, features, _ = split(4)
    fitted = fit_best(train, validation, 6, value=lambda scores: float((scores.argmax(axis=1) == validation.targets).mean()))
    scores = fitted.probe.scores(features)
    assert scores.shape == (200, 6)
    assert (scores.argmax(axis=1) < 4).all()


def test_few_shots_keep_their_validation_examples_apart():
    train, validation, _, _ = split()
    value = lambda scores: float((scores.argmax(axis=1) == validation.targets).mean())  # noqa: E731
    alone = fit_best(train, validation, 5, value=value, on_both=False)
    plain = theirs(train.features, train.targets, 1 / alone.sweep.best)
    np.testing.assert_allclose(alone.probe.coef_, plain.coef_, atol=2e-3 * np.abs(plain.coef_).max())


@pytest.mark.faults
def test_a_kept_probe_comes_back_and_a_damaged_one_does_not(tmp_path):
    train, validation, features, _ = split()
    fitted = fit_best(train, validation, 5, value=lambda scores: float((scores.argmax(axis=1) == validation.targets).mean()))
    cache = ProbeCache(tmp_path, "who")
    assert cache.read() is None
    cache.write(fitted)
    found = cache.read()
    assert found.sweep == fitted.sweep
    np.testing.assert_array_equal(found.probe.scores(features), fitted.probe.scores(features))
    assert ProbeCache(tmp_path, "another").read() is None
    (path,) = tmp_path.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:-40])
    assert cache.read() is None
    ProbeCache(None, "who").write(fitted)
    assert ProbeCache(None, "who").read() is None


def test_accuracy_judges_where_nothing_else_is_said():
    train, validation, _, _ = split()
    plain = fit_best(train, validation, 5)
    told = fit_best(train, validation, 5, value=lambda scores: float((scores.argmax(axis=1) == validation.targets).mean()))
    assert plain.sweep == told.sweep
    several = Examples(features=train.features, targets=np.eye(5, dtype=np.int8)[train.targets])
    with pytest.raises(ValueError, match="the probe of a multi-label set is chosen by a `value` of its scores"):
        fit_best(several, several, 5)
