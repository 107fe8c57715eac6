"""When none of the words fits: a score for each picture that is higher, the less it is like any of a classifier's labels.

A classifier always answers with one of its labels; CLIP fails without a word on what its training never covered (CLIP paper,
section 6). Three scores, of embeddings alone:

- `negative_labels` (NegLabel, Jiang et al. 2024): the share of belief that goes to other words, those least like the labels.
  From 0 to 1; above one half the other words fit better. The paper sums over labels and words, whose numbers then decide where
  one half lies: of two labels and 500 words nearly every picture is above it. Here both sides weigh the same, which leaves the
  order of pictures as it is. Its groups of words are left out: they changed AUROC by less than 0.02 (`bench/rejection.py`).
- `concept_matching` (maximum concept matching, Ming et al. 2022): one less the largest share among the labels, at a temperature
  of 1. It compares labels with each other, so it takes two at least.
- `energy` (Liu et al. 2020): the negative log-sum-exp of the logits, at a temperature of 1.

The last two mean nothing by themselves: their threshold has to be fitted on pictures that are known to be of the labels. Logits
are cosine similarities times the scale that the model learned, whatever the classifier's own: a small model learns 10 to 30,
and with openai/CLIP's 100 it would be certain of everything.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float

from fullclip.core.config import nearest
from fullclip.zeroshot.classifier import ZeroShotClassifier, class_weights
from fullclip.zeroshot.negatives import FEWEST, NEGATIVE_TEMPLATES, default_negatives, least_like, other_than

Method = Literal["negative_labels", "concept_matching", "energy"]
METHODS: tuple[Method, ...] = get_args(Method)
DEFAULT_RATE = 0.05
_NATURAL_THRESHOLD = 0.5  # of negative_labels
_SHARE_OF_WORDS = 0.5


class OutlierDetector:
    """Scores and rejects pictures that are none of a classifier's labels.

    negatives: the other words, by default ImageNet's thousand classes, each in "a photo of a {}."; negative_weights: their
    embeddings, where they are known already. Those that are labels in another spelling are left out; of the rest the half least
    like any label is taken, since a list has words for what a label is, too: 118 of ImageNet's are dogs.

    `threshold` is None until `fit`, but for negative_labels, whose is one half; `negatives` are the words that were taken, of
    those `offered` (None: the default ones). ValueError for an unknown method, fewer than
    twenty other words, or concept_matching of one label.
    """

    def __init__(
        self,
        classifier: ZeroShotClassifier,
        method: Method = "negative_labels",
        *,
        negatives: Sequence[str] | None = None,
        negative_weights: Float[np.ndarray, "words embed"] | None = None,
    ) -> None:
        check_method(method, num_labels=len(classifier.labels))
        self.classifier, self.method = classifier, method
        self.scale = classifier.encoder.scale
        self.threshold = _NATURAL_THRESHOLD if method == "negative_labels" else None
        self.offered = None if negatives is None else tuple(negatives)
        self.negatives: tuple[str, ...] = ()
        self.negative_weights = np.zeros((0, classifier.weights.shape[1]), dtype=np.float32)
        if method == "negative_labels":
            self._choose(default_negatives() if negatives is None else negatives, negative_weights)

    def _choose(self, words: Sequence[str], weights: np.ndarray | None) -> None:
        """Take the words least like the labels."""
        if weights is not None and len(weights) != len(words):
            raise ValueError(f"{len(weights)} rows of weights for {len(words)} negatives: one for each, in their order")
        places = other_than(self.classifier.labels, words)
        if len(places) < FEWEST:
            raise ValueError(
                f"{len(places)} negatives beside the labels; give at least {FEWEST} other words, or leave them out"
            )
        if weights is None:
            found = class_weights(self.classifier.encoder, [(words[place],) for place in places], NEGATIVE_TEMPLATES)
        else:
            found = weights[places]
        order = least_like(found, self.classifier.weights, share=_SHARE_OF_WORDS)
        self.negatives = tuple(words[places[place]] for place in order)
        self.negative_weights = found[order]

    def scores(self, embeddings: Float[np.ndarray, "images embed"]) -> Float[np.ndarray, " images"]:
        """Higher for what is less like the labels, float64; embeddings as `Encoder.encode_images` gives them. ValueError where
        one is not finite.
        """
        broken = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
        if len(broken):
            raise ValueError(f"the embedding of image {broken[0]} holds NaN or infinity: are the model's weights finite?")
        labels = _similarity(embeddings, self.classifier.weights)
        if self.method == "concept_matching":
            shares: np.ndarray = 1 - np.exp(labels.max(axis=1) - _log_sum_exp(labels))
            return shares
        own = _log_sum_exp(self.scale * labels)
        if self.method == "energy":
            return -own
        others = _log_sum_exp(self.scale * _similarity(embeddings, self.negative_weights))
        others += np.log(len(self.classifier.weights) / len(self.negative_weights))
        belief: np.ndarray = np.exp(others - np.logaddexp(others, own))
        return belief

    def fit(self, inside: Float[np.ndarray, "images embed"], *, false_positive_rate: float = DEFAULT_RATE) -> "OutlierDetector":
        """Set the threshold by `inside`, embeddings of pictures that are of the labels, so that of others like them no more
        than this share is rejected, on average (`conformal_threshold`).
        """
        self.threshold = conformal_threshold(self.scores(inside), false_positive_rate)
        return self

    def predict(self, embeddings: Float[np.ndarray, "images embed"]) -> Bool[np.ndarray, " images"]:
        """True for what is none of the labels. ValueError where no threshold has been fitted."""
        if self.threshold is None:
            raise ValueError(f"{self.method} needs a threshold: fit it on pictures that are known to be of the labels")
        rejected: np.ndarray = self.scores(embeddings) > self.threshold
        return rejected


def check_method(method: str, *, num_labels: int) -> None:
    """ValueError for a method that there is not, or that so few labels cannot have."""
    if method not in METHODS:
        raise ValueError(f"no rejection method named {method!r}{nearest(method, METHODS)}")
    if method == "concept_matching" and num_labels < 2:
        raise ValueError("concept_matching compares labels with each other: give two or more, or use negative_labels")


def fewest_pictures(false_positive_rate: float) -> int:
    """How many pictures a threshold for this rate needs. ValueError unless 0 < rate < 1."""
    if not 0 < false_positive_rate < 1:
        raise ValueError(f"a false-positive rate of {false_positive_rate}: between 0 and 1, such as {DEFAULT_RATE}")
    return int(np.ceil(1 / false_positive_rate - 1e-9)) - 1


def conformal_threshold(inside: Float[np.ndarray, " n"], false_positive_rate: float) -> float:
    """The score above which another picture like those of `inside` lies with a chance of at most `false_positive_rate`: the
    smallest k-th of n scores with k >= (1 - rate) (n + 1) (split conformal prediction; Vovk et al. 2005).

    The plain quantile of n scores would reject more of what is new: of 20 pictures at 5%, 9.5%. ValueError unless
    0 < rate < 1, and for fewer pictures than could promise it, such as 19 for 0.05.
    """
    fewest = fewest_pictures(false_positive_rate)
    if len(inside) < fewest:
        raise ValueError(
            f"{len(inside)} pictures to fit a threshold on; a false-positive rate of {false_positive_rate:g} needs at least"
            f" {fewest}: give more, or a higher rate"
        )
    place = int(np.ceil((1 - false_positive_rate) * (len(inside) + 1) - 1e-9)) - 1
    return float(np.sort(inside)[place])


def _similarity(embeddings: np.ndarray, weights: np.ndarray) -> Float[np.ndarray, "images words"]:
    """Cosines, float64: what is added up in float32 has ties that are none."""
    found: np.ndarray = embeddings.astype(np.float64) @ weights.astype(np.float64).T
    return found


def _log_sum_exp(logits: Float[np.ndarray, "images words"]) -> Float[np.ndarray, " images"]:
    largest = logits.max(axis=1)
    found: np.ndarray = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1))
    return found
