"""Features with labels: a cloud about a centre for each class, of variances that fall as a network's do. scikit-learn's fit."""

import numpy as np
from sklearn.linear_model import LogisticRegression


def clouds(num: int, dim: int, num_classes: int, *, seed: int = 0, apart: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [num, dim] about a mean far from zero, labels int64 [num] with every class among them."""
    random = np.random.default_rng(seed)
    spread = np.exp(-np.linspace(0, 5, dim))
    centres = apart * random.normal(size=(num_classes, dim)) * spread
    labels = random.permutation(np.arange(num) % num_classes)
    features = 2 * random.normal(size=dim) + centres[labels] + random.normal(size=(num, dim)) * (2 * spread + 0.05)
    return features.astype(np.float32), labels.astype(np.int64)


def theirs(features: np.ndarray, labels: np.ndarray, C: float) -> LogisticRegression:  # noqa: N803
    """scikit-learn's fit, of features less their mean, which changes nothing but the intercept, and lets it converge."""
    mean = features.astype(np.float64).mean(axis=0)
    fit = LogisticRegression(C=C, max_iter=20_000, tol=1e-7).fit(features - mean, labels)
    fit.intercept_ = fit.intercept_ - fit.coef_ @ mean
    return fit
