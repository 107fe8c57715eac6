"""A CLIP's towers as modules of one input each, in the shape that they are exported in: embeddings come out with length 1."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from fullclip.models.clip import Clip
from fullclip.models.text import first_ends


class ImageGraph(nn.Module):
    """Normalised pixels -> the embedding, and what a linear probe is fitted on."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.clip = clip

    def forward(
        self, pixels: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch embed"], Float[Tensor, "batch dim"]]:
        features = self.clip.image_features(pixels)
        return F.normalize(self.clip.project_image(features), dim=-1), features


class ProjectionGraph(nn.Module):
    """Those features -> the embedding."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch embed"]:
        return F.normalize(self.clip.project_image(features), dim=-1)


class TextGraph(nn.Module):
    """Tokens, as many as the longest text of the batch has or more -> the embedding."""

    def __init__(self, clip: Clip) -> None:
        super().__init__()
        self.text = clip.text

    def forward(self, tokens: Int[Tensor, "batch context"]) -> Float[Tensor, "batch embed"]:
        return F.normalize(self.text.summaries_at(tokens, first_ends(tokens, self.text.end_id)), dim=-1)


def example(graph: nn.Module, clip: Clip, *, size: int) -> Tensor:
    """An input to trace a graph with: two rows, since the number of one would be taken for fixed."""
    if isinstance(graph, ImageGraph):
        return torch.zeros(2, 3, size, size)
    if isinstance(graph, ProjectionGraph):
        return torch.ones(2, clip.image_width)
    return torch.full((2, min(9, clip.text.context_length)), clip.end_id)
