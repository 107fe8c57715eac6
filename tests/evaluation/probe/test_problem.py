"""What a probe minimises: its gradient against finite differences, its value against the formula, in chunks as in one."""

import numpy as np
import pytest
import torch

from clouds import clouds
from fullclip.evaluation.probe import problem as problems
from fullclip.evaluation.probe.logistic import build_problem


def made(kind: str, num: int = 50, dim: int = 6, dtype=torch.float64):
    features, labels = clouds(num, dim, 4)
    if kind == "sigmoid":
        targets = np.random.default_rng(0).integers(-1, 2, size=(num, 3))
        return torch.from_numpy(features).to(dtype), targets, 3
    return torch.from_numpy(features).to(dtype), labels, 4


def plain_value(features, targets, slopes, bias, penalty) -> float:
    logits = features.double() @ slopes + bias
    if targets.ndim == 2:
        wanted = torch.from_numpy(targets)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, (wanted > 0).double(), reduction="none")
        total = loss[wanted >= 0].sum()
    else:
        total = torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets), reduction="sum")
    return float((total + penalty / 2 * (slopes**2).sum()) / len(features))


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
@pytest.mark.parametrize("dim", [6, 80], ids=["tall", "wide"])
def test_value_and_gradient_are_those_of_the_formula(kind, dim):
    features, targets, num_classes = made(kind, dim=dim)
    problem = build_problem(features, targets, num_classes)
    weights = torch.randn(problem.zeros().shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.3
    point = problem.at(weights, 2.5)
    assert point.value == pytest.approx(plain_value(features, targets, *problem.plain(weights), 2.5), rel=1e-12)
    for place in [(0, 0), (3, 1), (len(weights) - 1, 2)]:
        step = torch.zeros_like(weights)
        step[place] = 1e-5
        slope = (problem.at(weights + step, 2.5).value - problem.at(weights - step, 2.5).value) / 2e-5
        assert float(point.gradient[place]) == pytest.approx(slope, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_the_curvature_is_the_mean_of_p_times_1_less_p(kind):
    features, targets, num_classes = made(kind)
    problem = build_problem(features, targets, num_classes)
    weights = torch.randn(problem.zeros().shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slopes, bias = problem.plain(weights)
    logits = features @ slopes + bias
    shares = logits.softmax(1) if kind == "softmax" else logits.sigmoid()
    curves = shares * (1 - shares)
    if kind == "sigmoid":
        curves[torch.from_numpy(targets) < 0] = 0
    torch.testing.assert_close(problem.at(weights, 1.0, with_curvature=True).curvature, curves.mean(0))
    assert problem.at(weights, 1.0).curvature is None


def test_chunks_change_nothing(monkeypatch):
    features, labels, num_classes = made("softmax", num=1000)
    whole = build_problem(features, labels, num_classes)
    monkeypatch.setattr(problems, "_CELLS", 1)  # 256 rows, the fewest
    parts = build_problem(features, labels, num_classes)
    weights = torch.randn(whole.zeros().shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one, other = whole.at(weights, 1.0), parts.at(weights, 1.0)
    assert other.value == pytest.approx(one.value, rel=1e-12)
    torch.testing.assert_close(other.gradient, one.gradient)


def test_a_wide_problem_is_the_same_problem():
    features, labels, num_classes = made("softmax", num=40, dim=90)
    problem = build_problem(features, labels, num_classes)
    assert len(problem.zeros()) - 1 < 40  # no more directions than examples
    slopes = torch.randn(90, num_classes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    back, _ = problem.plain(problem.placed(slopes, torch.zeros(num_classes, dtype=torch.float64)))
    centred = features - features.mean(0)
    torch.testing.assert_close(centred @ back, centred @ slopes)  # what the examples see of it is kept
    assert back.norm() < slopes.norm()


def test_labels_out_of_range_are_refused():
    features, _, _ = made("softmax")
    with pytest.raises(ValueError, match="labels from 0 to 9, but there are 4 classes, from 0"):
        build_problem(features, np.arange(50) % 10, 4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_finds_the_same_minimum():
    from fullclip.evaluation.probe import LogisticProbe

    features, labels = clouds(2000, 64, 10)
    here, there = LogisticProbe(0.3).fit(features, labels), LogisticProbe(0.3, device="cuda").fit(features, labels)
    assert there.objective_ == pytest.approx(here.objective_, rel=1e-6)
    assert (here.predict(features) == there.predict(features)).mean() > 0.999
