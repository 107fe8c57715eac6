"""The Vision Transformer of CLIP: images [batch, 3, height, width] -> features [batch, embed], not yet normalised."""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from fullclip.models.config import VitConfig
from fullclip.models.layers import HALF, LayerNorm
from fullclip.models.positions import positions_for
from fullclip.models.transformer import Transformer, build_transformer


class VisionTransformer(nn.Module):
    """Patches + class token + positions, a norm before the blocks (CLIP paper, section 2.4), the class token projected.

    Any image of whole patches is taken: positions are interpolated where the grid is not the learned one. In training, the
    share `patch_dropout` of each image's patches is left out; which, PyTorch's generator of the device decides.
    """

    def __init__(
        self, transformer: Transformer, *, dim: int, patch_size: int, learned_grid: int, embed: int, patch_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.patch_size, self.learned_grid, self.patch_dropout = patch_size, learned_grid, patch_dropout
        self.conv1 = nn.Conv2d(3, dim, patch_size, stride=patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(dim))
        self.positional_embedding = nn.Parameter(torch.empty(learned_grid**2 + 1, dim))
        self.ln_pre = LayerNorm(dim)
        self.transformer = transformer
        self.ln_post = LayerNorm(dim)
        self.proj = nn.Parameter(torch.empty(dim, embed))

    def blocks(self) -> list[nn.Module]:
        """What repeats, in order."""
        return [*self.transformer.resblocks]

    def depths(self) -> list[nn.Module]:
        """What lies above each other, the lowest first: the blocks."""
        return self.blocks()

    def top(self) -> list[nn.Parameter]:
        """The weights of what follows the last of `depths`."""
        return [*self.ln_post.parameters(), self.proj]

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embed"]:
        return self.project(self.before_projection(images))

    def project(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch embed"]:
        return features @ self.proj

    def before_projection(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch dim"]:
        """The class token after the last norm: what a linear probe of a ViT is fitted on (appendix A.3)."""
        x = self.with_positions(*self.embedded_patches(images))
        if self.training and self.patch_dropout:
            x = drop_patches(x, self.patch_dropout)
        first = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
        return self.ln_post(self.transformer.summary(self.ln_pre(x), first))

    def embedded_patches(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, "batch patches dim"], tuple[int, int]]:
        """The patches as vectors, and the grid of rows and columns that they lie on. ValueError where images are not made of
        whole patches.
        """
        height, width = images.shape[-2:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(f"images of {height} x {width} pixels are not made of whole patches of {self.patch_size}")
        grid, side = (height // self.patch_size, width // self.patch_size), self.patch_size
        pixels = images.to(self.conv1.weight.dtype)
        if self.training or torch.is_grad_enabled() or pixels.dtype not in HALF:
            return rearrange(self.conv1(pixels), "batch dim row column -> batch (row column) dim"), grid
        # patches do not overlap, so it is one matrix product, which half precision is a third faster at
        patches = rearrange(pixels, "b c (row down) (column across) -> b (row column) (c down across)", down=side, across=side)
        return F.linear(patches, self.conv1.weight.flatten(1)), grid

    def with_positions(
        self, patches: Float[Tensor, "batch patches dim"], grid: tuple[int, int]
    ) -> Float[Tensor, "batch tokens dim"]:
        """The class token and the patches after it, each with its position added: what the blocks are given."""
        first = self.class_embedding.to(patches.dtype).expand(patches.shape[0], 1, -1)
        positions = positions_for(self.positional_embedding, grid, self.learned_grid).to(patches.dtype)
        return torch.cat([first, patches], dim=1) + positions


def drop_patches(x: Float[Tensor, "batch tokens dim"], share: float) -> Float[Tensor, "batch kept_tokens dim"]:
    """The class token and a random subset of each image's patches, the same number for all (FLIP, Li et al. 2022, section 3).

    Their order is random, too, which the blocks do not notice: positions have been added.
    """
    first, patches = x[:, :1], x[:, 1:]
    kept = kept_patches(patches.shape[1], share)
    chosen = torch.rand(patches.shape[:2], device=x.device).topk(kept, dim=1, sorted=False).indices
    return torch.cat([first, patches.gather(1, chosen[..., None].expand(-1, -1, x.shape[2]))], dim=1)


def kept_patches(patches: int, share: float) -> int:
    """How many of an image's patches are left where `share` of them are dropped: rounded down, as OpenCLIP does, but one."""
    return max(1, int(patches * (1 - share)))


def build_vit(config: VitConfig, *, embed: int) -> VisionTransformer:
    if config.image_size % config.patch_size:
        raise ValueError(f"image_size {config.image_size} is not a multiple of patch_size {config.patch_size}")
    transformer = build_transformer(config, causal=False)
    grid = config.image_size // config.patch_size
    return VisionTransformer(
        transformer,
        dim=config.width,
        patch_size=config.patch_size,
        learned_grid=grid,
        embed=embed,
        patch_dropout=config.patch_dropout,
    )
