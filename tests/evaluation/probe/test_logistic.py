"""The probe against scikit-learn and SciPy: the same objective, the same minimum, the same answers."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize as scipy_minimize
from scipy.special import log_expit, logsumexp, softmax

from clouds import clouds, theirs
from fullclip.evaluation.probe import LogisticProbe, fit_path


def objective(coef: np.ndarray, intercept: np.ndarray, features: np.ndarray, labels: np.ndarray, C: float) -> float:  # noqa: N803
    """scikit-learn's, written out: labels are 0 to classes - 1; one row of weights is the regression of two classes."""
    logits = features.astype(np.float64) @ coef.T + intercept
    if len(coef) == 1:
        loss = -log_expit(np.where(labels == 1, 1, -1) * logits[:, 0]).sum()
    else:
        loss = (logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]).sum()
    return float((coef**2).sum() / 2 + C * loss)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("C", [1e-4, 0.316, 10])
@pytest.mark.parametrize(("num", "dim", "num_classes"), [(400, 24, 7), (60, 90, 5), (300, 20, 2)], ids=["tall", "wide", "two"])
def test_the_minimum_is_scikit_learns(num, dim, num_classes, C, dtype):  # noqa: N803
    features, labels = clouds(num, dim, num_classes)
    features = features.astype(dtype)
    ours, other = LogisticProbe(C).fit(features, labels), theirs(features, labels, C)
    found = objective(ours.coef_, ours.intercept_, features, labels, C)
    wanted = objective(other.coef_, other.intercept_, features, labels, C)
    assert found <= wanted * (1 + 1e-6)
    assert ours.objective_ == pytest.approx(found, rel=1e-6)
    assert ours.converged_
    assert ours.coef_.shape == other.coef_.shape
    assert ours.intercept_.shape == other.intercept_.shape
    fresh, _ = clouds(500, dim, num_classes, seed=1)
    assert (ours.predict(fresh) == other.predict(fresh)).mean() >= 0.998
    np.testing.assert_allclose(ours.predict_proba(fresh), other.predict_proba(fresh), atol=5e-3)
    np.testing.assert_array_equal(ours.classes_, other.classes_)


def test_a_loss_near_zero_is_as_exact_in_float32():
    features, labels = clouds(300, 40, 6, apart=8)  # can be told apart without an error
    for C in (1e2, 1e6):  # noqa: N806
        narrow = LogisticProbe(C).fit(features, labels)
        wide = LogisticProbe(C, tolerance=1e-10).fit(features.astype(np.float64), labels)
        values = [objective(probe.coef_, probe.intercept_, features, labels, C) for probe in (narrow, wide)]
        assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_a_mean_far_from_zero_costs_no_precision():
    features, labels = clouds(300, 30, 4)
    moved = features + np.float32(300)
    here, there = LogisticProbe(1.0).fit(features, labels), LogisticProbe(1.0).fit(moved, labels)
    values = [objective(probe.coef_, probe.intercept_, data, labels, 1.0) for probe, data in ((here, features), (there, moved))]
    assert values[1] == pytest.approx(values[0], rel=1e-4)  # float32 itself rounds at 300 to 3e-5
    exact = LogisticProbe(1.0).fit(moved.astype(np.float64), labels)
    assert values[1] <= objective(exact.coef_, exact.intercept_, moved, labels, 1.0) * (1 + 1e-6)


def test_each_class_of_a_multilabel_set_is_a_regression_of_its_own():
    random = np.random.default_rng(0)
    features = random.normal(size=(250, 12)).astype(np.float32)
    targets = (features @ random.normal(size=(12, 3)) + random.normal(size=(250, 3)) > 0.4).astype(np.int8)
    targets[random.random(targets.shape) < 0.1] = -1
    probe = LogisticProbe(0.5).fit(features, targets)
    for column in range(3):
        judged = targets[:, column] >= 0
        alone = theirs(features[judged], targets[judged, column], 0.5)
        np.testing.assert_allclose(probe.coef_[column], alone.coef_[0], atol=1e-3)
        np.testing.assert_allclose(probe.predict_proba(features)[:, column], alone.predict_proba(features)[:, 1], atol=1e-3)
    assert probe.predict(features).shape == (250, 3)


def test_the_minimum_is_scipys_for_classes_of_very_different_sizes():
    features, labels = clouds(240, 10, 4)
    kept = (labels != 3) | (np.arange(240) % 30 == 0)
    features, labels = features[kept].astype(np.float64), labels[kept]

    def of(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(4, 11)
        shares = softmax(features @ weights[:, :-1].T + weights[:, -1], axis=1)
        shares[np.arange(len(labels)), labels] -= 1
        slopes = np.hstack([weights[:, :-1] + 2.0 * shares.T @ features, 2.0 * shares.sum(axis=0)[:, None]])
        return objective(weights[:, :-1], weights[:, -1], features, labels, 2.0), slopes.ravel()

    best = scipy_minimize(
        of, np.zeros(44), jac=True, method="L-BFGS-B", options={"maxiter": 20_000, "maxfun": 50_000, "ftol": 1e-15}
    )
    probe = LogisticProbe(2.0, tolerance=1e-9).fit(features, labels)
    assert probe.objective_ == pytest.approx(best.fun, rel=1e-6)


def test_labels_may_be_words_and_features_tensors():
    features, labels = clouds(200, 8, 3)
    words = np.array(["cat", "ant", "dog"])[labels]
    probe = LogisticProbe(1.0).fit(torch.from_numpy(features), words)
    assert probe.classes_.tolist() == ["ant", "cat", "dog"]
    assert set(probe.predict(features)) <= {"ant", "cat", "dog"}
    assert (probe.predict(features) == words).mean() == pytest.approx(
        theirs(features, words, 1.0).score(features, words), abs=0.01
    )


def test_half_precision_and_files_mapped_into_memory_are_features_too(tmp_path):
    features, labels = clouds(300, 16, 3)
    np.save(tmp_path / "f.npy", features)
    mapped = np.load(tmp_path / "f.npy", mmap_mode="r")
    whole = LogisticProbe(1.0).fit(features, labels)
    np.testing.assert_array_equal(LogisticProbe(1.0).fit(mapped, labels).coef_, whole.coef_)
    half = LogisticProbe(1.0).fit(features.astype(np.float16), labels)
    assert half.predict_proba(features) == pytest.approx(whole.predict_proba(features), abs=0.02)


def test_max_iter_ends_a_fit_that_has_not_converged():
    features, labels = clouds(300, 40, 6)
    probe = LogisticProbe(1e4, max_iter=3).fit(features, labels)
    assert probe.n_iter_.tolist() == [3]
    assert not probe.converged_


def test_features_that_are_all_alike_say_nothing_but_how_frequent_classes_are():
    labels = np.array([0] * 6 + [1] * 3 + [2])
    probe = LogisticProbe(1.0).fit(np.ones((10, 4), dtype=np.float32), labels)
    np.testing.assert_allclose(probe.predict_proba(np.ones((1, 4), dtype=np.float32)), [[0.6, 0.3, 0.1]], atol=1e-3)


@pytest.mark.parametrize(
    ("features", "labels", "said"),
    [
        (np.ones((4, 2)), [0, 0, 0, 0], "1 class in the labels; a probe tells at least two apart"),
        (np.ones((4, 2)), [0, 1], "2 labels for 4 rows of features"),
        (np.array([[1.0, 2], [np.nan, 1]]), [0, 1], "row 1 of the features holds NaN or infinity"),
        (np.ones(4), [0, 1, 0, 1], r"features are \[4\]; rows of features, \[n, dim\], are needed"),
        (np.ones((0, 3)), [], r"features are \[0, 3\]"),
        (np.ones((2, 3)), [[0, 2], [1, 1]], "the labels of a multi-label set are 1, 0 or -1"),
    ],
)
def test_what_no_probe_can_be_fitted_on_is_said(features, labels, said):
    with pytest.raises(ValueError, match=said):
        LogisticProbe(1.0).fit(features, np.array(labels))


def test_settings_that_make_no_sense_are_refused():
    for C in (0, -1, float("nan"), float("inf")):  # noqa: N806
        with pytest.raises(ValueError, match="the inverse of the penalty, larger than 0"):
            LogisticProbe(C)
    with pytest.raises(ValueError, match="max_iter = 0: at least 1"):
        LogisticProbe(1.0, max_iter=0)
    probe = LogisticProbe(1.0).fit(*clouds(50, 4, 2))
    with pytest.raises(ValueError, match="features have 5 columns; the probe was fitted on 4"):
        probe.predict(np.ones((2, 5)))


def test_a_path_of_penalties_ends_where_single_fits_do():
    features, labels = clouds(400, 24, 5)
    strengths = [1e-4, 1e-2, 0.1, 1.0, 10.0, 0.3]
    for probe, C in zip(fit_path(features, labels, strengths), strengths, strict=True):  # noqa: N806
        alone = LogisticProbe(C).fit(features, labels)
        assert probe.C == C
        assert probe.objective_ == pytest.approx(alone.objective_, rel=1e-6)
        np.testing.assert_allclose(probe.predict_proba(features), alone.predict_proba(features), atol=2e-3)


@pytest.mark.parametrize("widest", [1e2, 5e3, 1e5])
def test_directions_of_small_variance_are_not_lost_beside_a_wide_one(widest):
    random = np.random.default_rng(0)
    turned = np.linalg.qr(random.normal(size=(40, 40)))[0]
    centres, labels = random.normal(size=(4, 40)), np.arange(600) % 4
    features = centres[labels] + random.normal(size=(600, 40)) * np.r_[widest, np.ones(39)]
    features = (features @ turned).astype(np.float32)
    narrow = LogisticProbe(0.1).fit(features, labels)
    exact = LogisticProbe(0.1, tolerance=1e-10).fit(features.astype(np.float64), labels)
    values = [objective(probe.coef_, probe.intercept_, features, labels, 0.1) for probe in (narrow, exact)]
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_arrays_of_any_order_of_bytes_and_rows_are_taken():
    features, labels = clouds(200, 8, 3)
    plain = LogisticProbe(1.0).fit(features, labels)
    for rows, column in (
        (features[::-1], labels[::-1]),
        (features.astype(">f4"), labels.astype(">i8")),
        (features, labels[:, None]),
    ):
        np.testing.assert_allclose(LogisticProbe(1.0).fit(rows, column).coef_, plain.coef_, atol=1e-3)
