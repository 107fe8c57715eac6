"""The six nouns that cross a folder's border, and the legend of axis names. Knows nothing of files, models or ranks.

Axis names, the same in every annotation: batch (samples), context (token positions), embed (the shared space of images
and texts), channels (colours), height and width (pixels), grid (patches), dim (a tower's width), classes (labels), local
(rows of this process), global (rows of all processes).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jaxtyping import Float, Int, Num
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Pair:
    """An image and the texts that people wrote for it, as they were found: the image is still an encoded file, or a file of
    the features that an image tower computed of it (`preprocess.features`).

    `texts` holds one caption or several; `meta` whatever else is known (title, source, licence) and is JSON-able.
    """

    key: str
    image: bytes
    texts: tuple[str, ...]
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A decoded pair: pixels normalised as the model wants them, and the one caption that was picked. Features that were
    computed before are an image of one pixel, with a channel for each number.
    """

    key: str
    image: Float[Tensor, "channels height width"]
    text: str


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What a training step eats: images as bytes of colour, which the step normalises, or as floats, which are what the model
    sees already. `num_truncated` counts the texts that were cut to the context length.

    `position` says, for each of this process's lanes (`data/order.py`), how many samples of each source it has taken; the
    positions of all processes together, given back to a loader, let the next batch follow. `epoch` is how many times the
    data have been gone through, in parts of one.
    """

    images: Num[Tensor, "batch channels height width"]
    tokens: Int[Tensor, "batch context"]
    keys: tuple[str, ...]
    num_truncated: int = 0
    position: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    epoch: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Features:
    """L2-normalised embeddings of both sides, the similarity scale exp(logit_scale) and, for sigmoid losses, a bias."""

    image: Float[Tensor, "batch embed"]
    text: Float[Tensor, "batch embed"]
    scale: Float[Tensor, ""]
    bias: Float[Tensor, ""] | None = None


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One answer of a ranking: what was found, how well it fits (higher is better), and what is known of it."""

    key: str
    score: float
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Result:
    """One measured number: `value` of `metric` on `task` over `n` cases, with its 95% interval (low, high)."""

    task: str
    metric: str
    value: float
    interval: tuple[float, float]
    n: int
