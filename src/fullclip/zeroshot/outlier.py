"""When none of the words fits: a score for each picture that is higher, the less it is like any of a classifier's labels.

A classifier always answers with one of its labels; CLIP fails without a word on what its training never covered (CLIP paper,
section 6). Three scores, of embeddings alone:

- `negative_labels` (NegLabel, Jiang et al. 2024): the share of belief that goes to a thousand other words, those least like the
  labels. From 0 to 1; above one half the other words fit better.
- `concept_matching` (maximum concept matching, Ming et al. 2022): one less the largest share among the labels.
- `energy` (Liu et al. 2020): the negative log-sum-exp of the logits.

The last two mean nothing by themselves: their threshold has to be fitted on pictures that are known to be of the labels.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float

from fullclip.zeroshot.classifier import ZeroShotClassifier, class_weights

Method = Literal["negative_labels", "concept_matching", "energy"]
METHODS: tuple[Method, ...] = get_args(Method)
_NATURAL_THRESHOLD = 0.5  # of negative_labels
_NUM_GROUPS = 10
# Ming et al. 2022 found a temperature of 1 on cosine similarities, far above the one that was trained with, to tell best
_CONCEPT_SCALE = 1.0


class OutlierDetector:
    """Scores and rejects pictures that are none of a classifier's labels.

    negatives: the other words, by default ImageNet's thousand classes, each in the classifier's first sentence. Those among the
    labels are left out; of the rest the half least like any label is taken, in ten groups whose shares are averaged.
    `threshold` is None until `fit`, but for negative_labels, whose is one half. ValueError for an unknown method or fewer than
    twenty other words.
    """

    def __init__(
        self, classifier: ZeroShotClassifier, method: Method = "negative_labels", *, negatives: Sequence[str] | None = None
    ) -> None:
        if method not in METHODS:
            raise ValueError(f"no method named {method!r}; there are: {', '.join(METHODS)}")
        self.classifier, self.method = classifier, method
        self.threshold = _NATURAL_THRESHOLD if method == "negative_labels" else None
        self.negatives: tuple[str, ...] = ()
        if method == "negative_labels":
            self.negatives, self._groups = _chosen(classifier, default_negatives() if negatives is None else negatives)

    def scores(self, embeddings: Float[np.ndarray, "images embed"]) -> Float[np.ndarray, " images"]:
        """Higher for what is less like the labels; embeddings as `Encoder.encode_images` gives them."""
        if self.method == "concept_matching":
            return _share_of_others(_CONCEPT_SCALE * (embeddings @ self.classifier.weights.T))
        logits = self.classifier.logits(embeddings).astype(np.float64)
        if self.method == "energy":
            return -_log_sum_exp(logits)
        labels = _log_sum_exp(logits)
        shares = []
        for group in self._groups:
            others = _log_sum_exp(self.classifier.scale * (embeddings @ group.T).astype(np.float64))
            shares.append(1 / (1 + np.exp(np.clip(labels - others, -700, 700))))
        mean: np.ndarray = np.mean(shares, axis=0)
        return mean

    def fit(self, inside: Float[np.ndarray, "images embed"], *, false_positive_rate: float = 0.05) -> "OutlierDetector":
        """Set the threshold so that at most this share of `inside`, embeddings of pictures that are of the labels, is rejected.

        ValueError unless 0 <= false_positive_rate < 1, and for no picture.
        """
        if not 0 <= false_positive_rate < 1:
            raise ValueError(f"a false-positive rate of {false_positive_rate}: from 0 to below 1, such as 0.05")
        if len(inside) == 0:
            raise ValueError("there is no picture to fit a threshold on")
        scores = np.sort(self.scores(inside))
        self.threshold = float(scores[len(scores) - 1 - int(false_positive_rate * len(scores) + 1e-9)])
        return self

    def predict(self, embeddings: Float[np.ndarray, "images embed"]) -> Bool[np.ndarray, " images"]:
        """True for what is none of the labels. ValueError where no threshold has been fitted."""
        if self.threshold is None:
            raise ValueError(f"{self.method} needs a threshold: fit it on pictures that are known to be of the labels")
        rejected: np.ndarray = self.scores(embeddings) > self.threshold
        return rejected


def default_negatives() -> tuple[str, ...]:
    """The names of ImageNet's classes, each once."""
    text = files("fullclip").joinpath("assets/datasets/imagenet/classnames.txt").read_text(encoding="utf-8")
    return tuple(dict.fromkeys(text.splitlines()))


def _chosen(classifier: ZeroShotClassifier, words: Sequence[str]) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """The words least like the labels, and their weights in groups of equal likeness."""
    labels = {label.casefold() for label in classifier.labels}
    others = [word for word in dict.fromkeys(words) if word.casefold() not in labels]
    if len(others) < 2 * _NUM_GROUPS:
        raise ValueError(f"{len(others)} words beside the labels; at least {2 * _NUM_GROUPS} are needed")
    weights = class_weights(classifier.encoder, [(word,) for word in others], classifier.templates[:1])
    order = (weights @ classifier.weights.T).max(axis=1).argsort(kind="stable")[: len(others) // 2]
    groups = [weights[order[start::_NUM_GROUPS]] for start in range(_NUM_GROUPS)]
    return tuple(others[place] for place in order), groups


def _share_of_others(logits: np.ndarray) -> np.ndarray:
    """One less the softmax's largest value."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    share: np.ndarray = 1 - 1 / shifted.sum(axis=1)
    return share.astype(np.float64)


def _log_sum_exp(logits: np.ndarray) -> np.ndarray:
    largest = logits.max(axis=1)
    found: np.ndarray = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1))
    return found
