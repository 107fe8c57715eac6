"""In place of an image tower: features that were computed before -> features [batch, embed], not yet normalised."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fullclip.models.config import FeaturesConfig
from fullclip.models.layers import LayerNorm


class Precomputed(nn.Module):
    """A norm and a projection, by the names that `EfficientNet` and `VisionTransformer` have for them."""

    def __init__(self, *, width: int, embed: int) -> None:
        super().__init__()
        self.width = width
        self.ln_post = LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, embed))

    def blocks(self) -> list[nn.Module]:
        """None: what repeats was computed before."""
        return []

    def depths(self) -> list[nn.Module]:
        """None."""
        return []

    def top(self) -> list[nn.Parameter]:
        """All weights."""
        return [*self.parameters()]

    def forward(self, images: Float[Tensor, "batch width 1 1"]) -> Float[Tensor, "batch embed"]:
        return self.project(self.before_projection(images))

    def before_projection(self, images: Float[Tensor, "batch width 1 1"]) -> Float[Tensor, "batch width"]:
        """The features as they came. ValueError where they are not of this width."""
        if images.shape[1:] != (self.width, 1, 1):
            raise ValueError(f"images of {list(images.shape[1:])}: this model takes features of {self.width} numbers")
        return rearrange(images, "batch width 1 1 -> batch width").to(self.proj.dtype)

    def project(self, features: Float[Tensor, "batch width"]) -> Float[Tensor, "batch embed"]:
        """Into the shared space."""
        return self.ln_post(features) @ self.proj


def build_features(config: FeaturesConfig, *, embed: int) -> Precomputed:
    return Precomputed(width=config.width, embed=embed)
