"""A way of learning: an image tower with what it is trained by. Pictures and their texts in, a loss out."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from fullclip.baselines.learning.settings import Settings
from fullclip.models.clip import build, initialize
from fullclip.models.config import ClipConfig, TextConfig
from fullclip.models.resnet import ModifiedResNet
from fullclip.models.vit import VisionTransformer

ImageTower = VisionTransformer | ModifiedResNet
Scorer = Callable[[Float[Tensor, "batch 3 height width"]], Float[Tensor, "batch classes"]]


class Way(nn.Module, ABC):
    """`tower` is the image tower, the same in all ways."""

    def __init__(self, tower: ImageTower) -> None:
        super().__init__()
        self.tower = tower

    @abstractmethod
    def loss(self, images: Float[Tensor, "batch 3 height width"], texts: Sequence[str]) -> Float[Tensor, ""]:
        """What a step makes smaller: of a batch of pictures, normalised, each with its one text."""

    def after_step(self) -> None:
        """What is to be put right after a step of the optimizer; nothing by default."""


class Answering(Way, ABC):
    """A way that can be asked of classes in words that it was never trained to tell apart."""

    is_likelihood: bool
    """Whether scores are logarithms of how likely a class's words are for a picture. Some words are likelier than others for
    any picture; what is above their likelihood for pictures at large is then a second way to answer.
    """

    @abstractmethod
    def scorer(self, classes: Sequence[Sequence[str]], templates: Sequence[str]) -> Scorer:
        """Pictures -> a score for each class, higher for what fits better; minus infinity for a class that cannot be asked for.
        `classes` holds the names of each.
        """

    @abstractmethod
    def num_unknown(self, classes: Sequence[Sequence[str]]) -> int:
        """How many classes have words, or pieces of words, that are outside the vocabulary."""


def image_tower(settings: Settings, *, seed: int) -> ImageTower:
    """The image tower with its first weights, which the seed alone decides: every way begins with the same."""
    least = TextConfig(context_length=1, vocab_size=1, width=1, layers=1, heads=1, mlp_width=1, end_id=0)
    model = build(ClipConfig(embed=settings.embed, vision=settings.vision, text=least))
    initialize(model, torch.Generator().manual_seed(seed))
    assert isinstance(model.visual, VisionTransformer | ModifiedResNet)
    return model.visual


def log_mean(scores: Float[Tensor, "batch sentences"], numbers: Sequence[int]) -> Float[Tensor, "batch classes"]:
    """Logarithms of the means of probabilities whose logarithms come in: of the first `numbers[0]` columns, the next
    `numbers[1]`, and so on; minus infinity of none.
    """
    groups = torch.split(scores, list(numbers), dim=1)
    return torch.stack([group.logsumexp(dim=1) - math.log(max(1, group.shape[1])) for group in groups], dim=1)
