"""The Vision Transformer of CLIP: images [batch, 3, height, width] -> features [batch, embed], not yet normalised."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fullclip.models.config import VitConfig
from fullclip.models.layers import LayerNorm, Transformer, build_transformer
from fullclip.models.positions import positions_for


class VisionTransformer(nn.Module):
    """Patches + class token + positions, a norm before the blocks (CLIP paper, section 2.4), the class token projected.

    Any image of whole patches is taken: positions are interpolated where the grid is not the learned one.
    """

    def __init__(self, transformer: Transformer, *, dim: int, patch_size: int, learned_grid: int, embed: int) -> None:
        super().__init__()
        self.patch_size, self.learned_grid = patch_size, learned_grid
        self.conv1 = nn.Conv2d(3, dim, patch_size, stride=patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(dim))
        self.positional_embedding = nn.Parameter(torch.empty(learned_grid**2 + 1, dim))
        self.ln_pre = LayerNorm(dim)
        self.transformer = transformer
        self.ln_post = LayerNorm(dim)
        self.proj = nn.Parameter(torch.empty(dim, embed))

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embed"]:
        return self.before_projection(images) @ self.proj

    def before_projection(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch dim"]:
        """The class token after the last norm: what a linear probe of a ViT is fitted on (appendix A.3)."""
        height, width = images.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(f"images of {height} x {width} pixels are not made of whole patches of {self.patch_size}")
        patches = self.conv1(images.to(self.conv1.weight.dtype))
        grid = (patches.shape[-2], patches.shape[-1])
        patches = rearrange(patches, "batch dim row column -> batch (row column) dim")
        first = self.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
        positions = positions_for(self.positional_embedding, grid, self.learned_grid).to(patches.dtype)
        x = self.ln_pre(torch.cat([first, patches], dim=1) + positions)
        return self.ln_post(self.transformer(x)[:, 0])


def build_vit(config: VitConfig, *, embed: int) -> VisionTransformer:
    if config.image_size % config.patch_size:
        raise ValueError(f"image_size {config.image_size} is not a multiple of patch_size {config.patch_size}")
    transformer = build_transformer(config, causal=False)
    grid = config.image_size // config.patch_size
    return VisionTransformer(transformer, dim=config.width, patch_size=config.patch_size, learned_grid=grid, embed=embed)
