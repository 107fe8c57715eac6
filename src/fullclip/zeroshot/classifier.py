"""An encoder and a list of labels -> a classifier, in scikit-learn's words."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from fullclip.inference import Encoder, ImageLike
from fullclip.zeroshot.prompts import PHOTO, check_labels, check_templates, fill

LOGIT_SCALE = 100.0  # openai/CLIP's zero-shot code uses this constant, whatever scale a model learned


class ZeroShotClassifier:
    """Classifies images by the similarity of their embedding to each label's (CLIP paper, section 3.1.2).

    labels: the classes in words, each once. templates: sentences with a `{}`; a label's embedding is the mean of its
    sentences' embeddings, normalised (section 3.1.4). scale: what similarities are multiplied by before the softmax.
    weights: the labels' embeddings, where they are known already (`class_weights`).
    ValueError for empty or repeated labels, a template without `{}`, or weights of another number than the labels.
    """

    def __init__(
        self,
        encoder: Encoder,
        labels: Sequence[str],
        templates: Sequence[str] = PHOTO,
        *,
        scale: float = LOGIT_SCALE,
        weights: Float[np.ndarray, "labels embed"] | None = None,
    ) -> None:
        check_labels(labels)
        check_templates(templates)
        self.encoder, self.scale = encoder, scale
        self.labels, self.templates = tuple(str(label) for label in labels), tuple(templates)
        if weights is not None and len(weights) != len(labels):
            raise ValueError(f"{len(weights)} rows of weights for {len(labels)} labels: one for each, in their order")
        self.weights = (
            class_weights(encoder, [(label,) for label in self.labels], self.templates) if weights is None else weights
        )

    @property
    def classes_(self) -> np.ndarray:
        """The labels, in the order of `predict_proba`'s columns."""
        return np.array(self.labels)

    def decision_function(self, images: Sequence[ImageLike]) -> np.ndarray:
        """Logits, float32 [images, labels]: `scale` times the cosine similarities."""
        return self.logits(self.encoder.encode_images(images))

    def predict_proba(self, images: Sequence[ImageLike]) -> np.ndarray:
        """Probabilities, float32 [images, labels]: the softmax of the logits. ImageError for an unreadable image."""
        return self.probabilities(self.encoder.encode_images(images))

    def predict(self, images: Sequence[ImageLike]) -> np.ndarray:
        """The most probable label of each image, an array of strings [images]."""
        return self.classes_[self.decision_function(images).argmax(axis=1)]

    def logits(self, embeddings: np.ndarray) -> np.ndarray:
        """The same for images that are embedded already: normalised float32 [images, embed] -> [images, labels]."""
        return self.scale * embeddings @ self.weights.T

    def probabilities(self, embeddings: np.ndarray) -> np.ndarray:
        """The softmax of `logits`."""
        return torch.from_numpy(self.logits(embeddings)).softmax(dim=1).numpy()


def class_weights(
    encoder: Encoder, classes: Sequence[Sequence[str]], templates: Sequence[str]
) -> Float[np.ndarray, "classes embed"]:
    """A row for each class, float32 of length 1: the mean of the embeddings of all its sentences, normalised again (section
    3.1.4). A class of several names has the sentences of each.
    """
    prompts = [[prompt for name in names for prompt in fill(name, templates)] for names in classes]
    embeddings = encoder.encode_texts([prompt for group in prompts for prompt in group])
    ends = np.cumsum([len(group) for group in prompts])
    means = np.stack([part.mean(axis=0) for part in np.split(embeddings, ends[:-1])])
    normalized: np.ndarray = means / np.linalg.norm(means, axis=1, keepdims=True)
    return normalized
