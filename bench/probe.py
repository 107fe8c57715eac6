"""The linear probe's whole sweep (appendix A.3): ours against scikit-learn's LogisticRegression(max_iter=1000), on the same
features, penalties, validation examples and threads, in one run. Seconds are those of the clock and those of the processors;
with one thread, where both are alike, other processes disturb the second less.

    python bench/probe.py [--features FILE.npz] [--examples 10000] [--dim 512] [--classes 100] [--threads 2] [--float64]
    python bench/probe.py --memory --examples 1281167 --dim 768 --classes 1000   (ours alone: memory, time of an evaluation)

A fifth of the examples is the validation set. FILE.npz has `features` [n, dim] and `labels` [n]; without it features are made
whose variances fall over three decades about a mean, as a network's do. For each penalty the objective of both is shown as a
share of ours: scikit-learn stops where the gradient's largest entry is below 1e-4, which can be well above the minimum.
"""

import argparse
import re
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from fullclip.evaluation.probe.lbfgs import minimize
from fullclip.evaluation.probe.logistic import as_features, build_problem
from fullclip.evaluation.probe.sweep import Examples, Sweep, coarse_to_fine, fit_best


def made(num: int, dim: int, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Clouds about a centre for each class, overlapping; float32."""
    random = np.random.default_rng(0)
    spread = np.exp(-np.linspace(0, 5, dim, dtype=np.float32))
    mean, centres = 2 * random.standard_normal(dim, np.float32), random.standard_normal((num_classes, dim), np.float32) * spread
    labels = random.integers(num_classes, size=num)
    features = np.empty((num, dim), dtype=np.float32)
    for start in range(0, num, 65_536):
        rows = slice(start, min(start + 65_536, num))
        noise = random.standard_normal((rows.stop - start, dim), np.float32)
        features[rows] = mean + centres[labels[rows]] + noise * (3 * spread + 0.05)
    return features, labels


def clocks() -> np.ndarray:
    """Seconds by the clock and of the processors, of all threads."""
    return np.array([time.perf_counter(), time.process_time()])


def accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    return float((predictions == labels).mean())


def theirs(train: Examples, validation: Examples) -> tuple[LogisticRegression, Sweep, dict[float, LogisticRegression]]:
    """The same search with scikit-learn, and the last fit on both."""
    fits: dict[float, LogisticRegression] = {}

    def value_of(penalty: float) -> float:
        fits[penalty] = LogisticRegression(C=1 / penalty, max_iter=1000).fit(train.features, train.targets)
        return accuracy(fits[penalty].predict(validation.features), validation.targets)

    sweep = coarse_to_fine(value_of)
    features = np.concatenate([train.features, validation.features])
    last = LogisticRegression(C=1 / sweep.best, max_iter=1000).fit(
        features, np.concatenate([train.targets, validation.targets])
    )
    return last, sweep, fits


def objective(coefficients: np.ndarray, intercept: np.ndarray, examples: Examples, penalty: float) -> float:
    """|slopes|^2 / 2 + C sum of cross entropies, float64."""
    logits = torch.from_numpy(examples.features.astype(np.float64) @ coefficients.T + intercept)
    loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(examples.targets), reduction="sum")
    return float((coefficients**2).sum() / 2 + loss / penalty)


def resident(name: str) -> float:
    """VmRSS (now) or VmHWM (the peak) of this process in MB (Linux)."""
    return int(re.search(rf"{name}:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))[1]) * 1024 / 1e6


def memory(features: np.ndarray, labels: np.ndarray, num_classes: int) -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak of making the features
    before = resident("VmRSS")
    problem = build_problem(as_features(features), labels, num_classes)
    start, steps = time.process_time(), 3
    minimize(problem, 1.0, problem.zeros(), max_iter=steps, tolerance=1e-7)
    seconds = (time.process_time() - start) / (steps + 1)
    above = resident("VmHWM") - before
    print(f"features {features.nbytes / 1e6:,.0f} MB; above them {above:,.0f} MB; {seconds:.1f} s an evaluation")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features")
    for name, default in (("examples", 10_000), ("dim", 512), ("classes", 100), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--float64", action="store_true")
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.features:
        kept = np.load(options.features)
        features, labels = kept["features"], kept["labels"].astype(np.int64)
    else:
        features, labels = made(options.examples, options.dim, options.classes)
    num_classes = int(labels.max()) + 1
    if options.memory:
        memory(features, labels, num_classes)
        return
    if options.float64:
        features = features.astype(np.float64)
    held = np.arange(len(labels)) % 5 == 4
    train = Examples(features=features[~held], targets=labels[~held])
    validation = Examples(features=features[held], targets=labels[held])
    start = clocks()
    ours = fit_best(train, validation, num_classes, value=lambda scores: accuracy(scores.argmax(axis=1), validation.targets))
    mine = clocks() - start
    print(f"fullclip {mine[0]:.1f} s (processors {mine[1]:.1f} s), lambda {ours.sweep.best:.3g}", flush=True)
    warnings.simplefilter("ignore")  # scikit-learn's, of fits that max_iter has ended
    start = clocks()
    last, sweep, fits = theirs(train, validation)
    seconds = clocks() - start
    print(f"scikit-learn {seconds[0]:.1f} s (processors {seconds[1]:.1f} s), lambda {sweep.best:.3g}")
    print("ratios {:.1f} and {:.1f}".format(*(seconds / mine)))
    tried = dict(ours.sweep.points)
    for penalty, value in sweep.points:
        fit = fits[penalty]
        problem = build_problem(as_features(train.features), train.targets, num_classes)
        best = minimize(problem, penalty, problem.zeros(), max_iter=1000, tolerance=1e-7)
        share = objective(fit.coef_, fit.intercept_, train, penalty) / (best.value * problem.num / penalty) - 1
        here = f"{tried[penalty]:.2%}" if penalty in tried else "-"
        print(
            f"lambda {penalty:8.3g}: validation {here} and {value:.2%}; scikit-learn after {int(fit.n_iter_[0])} iterations"
            f" {share:.1e} above our minimum, found in {best.num_iterations}",
            flush=True,
        )
    both = Examples(features=features, targets=labels)
    own = objective(ours.probe.coef_, ours.probe.intercept_, both, ours.sweep.best)
    other = objective(last.coef_, last.intercept_, both, sweep.best)
    print(f"last fit, on all: objective {own:.8g} (ours), {other:.8g} (theirs, lambda {sweep.best:.3g})")


if __name__ == "__main__":
    main()
