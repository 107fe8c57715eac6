"""Masked-patch reconstruction: which patches of a picture are spoilt, how, and which colours are to be told of them.

The Vision Transformer paper's way to learn without words (Dosovitskiy et al. 2021, section 4.6 and appendix B.1.2). Tensors
only; which patches are drawn, PyTorch's generator of the device decides.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fullclip.baselines.learning.way import ImageTower, Way
from fullclip.models.layers import at_least_float32
from fullclip.models.vit import VisionTransformer
from fullclip.preprocess.image import OPENAI_MEAN, OPENAI_STD

CORRUPTED, MASKED, SWAPPED = 0.5, 0.8, 0.1  # of all patches; of the corrupted ones, the rest of which is kept
LEVELS = 8  # of each of three colours: 3 bits
NUM_COLOURS = LEVELS**3
NO_PATCHES = "a ResNet has no patches to mask: a ViT is needed"


class MaskedPatches(Way):
    """A tower, a learned embedding that stands for what is masked, and a linear map from a patch to its 512 colours.

    mean, std: what the pictures were normalised with. ValueError for a ResNet, for a tower that drops patches, and for a share
    that spoils none or all.
    """

    tower: VisionTransformer

    def __init__(
        self,
        tower: ImageTower,
        *,
        corrupted: float = CORRUPTED,
        mean: tuple[float, ...] = OPENAI_MEAN,
        std: tuple[float, ...] = OPENAI_STD,
    ) -> None:
        if not isinstance(tower, VisionTransformer):
            raise ValueError(NO_PATCHES)
        if tower.patch_dropout:
            raise ValueError(f"patch_dropout is {tower.patch_dropout}: masked patches are told from all others; set it to 0")
        if not 0 < corrupted < 1:
            raise ValueError(f"the share of corrupted patches is {corrupted}: above 0 and below 1, such as {CORRUPTED}")
        super().__init__(tower)
        self.corrupted = corrupted
        dim = len(tower.class_embedding)
        self.mask = nn.Parameter(torch.empty(dim))
        self.head = nn.Linear(dim, NUM_COLOURS)
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        """The mask as a patch of small values; a head that finds all colours alike (the paper does not say)."""
        nn.init.normal_(self.mask, std=0.02, generator=generator)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def loss(self, images: Float[Tensor, "batch 3 height width"], texts: Sequence[str]) -> Float[Tensor, ""]:
        """The mean cross entropy of the colours of the patches that were corrupted; texts are not looked at."""
        patches, grid = self.tower.embedded_patches(images)
        chosen = drawn(patches.shape[0], patches.shape[1], self.corrupted, device=images.device)
        tokens = encoded(self.tower, corrupt(patches, chosen, self.mask.to(patches.dtype)), grid)
        colours = mean_colours(self.pixels(images), self.tower.patch_size)
        return F.cross_entropy(at_least_float32(self.head(tokens[:, 1:][chosen])), colours[chosen])

    def pixels(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
        """The same from 0 to 1, as they were before they were normalised."""
        return images * self.get_buffer("std")[:, None, None] + self.get_buffer("mean")[:, None, None]


def drawn(num_images: int, num_patches: int, share: float, *, device: torch.device) -> Bool[Tensor, "batch patches"]:
    """Which patches are corrupted: of each image the same number, `share` of them rounded, but one at least."""
    number = max(1, round(share * num_patches))
    chosen = torch.rand(num_images, num_patches, device=device).topk(number, dim=1, sorted=False).indices
    return torch.zeros(num_images, num_patches, dtype=torch.bool, device=device).scatter_(1, chosen, True)


def corrupt(
    patches: Float[Tensor, "batch patches dim"], chosen: Bool[Tensor, "batch patches"], mask: Float[Tensor, " dim"]
) -> Float[Tensor, "batch patches dim"]:
    """The chosen ones spoilt, each by chance of its own: 80% become `mask`, 10% another patch of the batch, 10% stay."""
    flat = rearrange(patches, "batch patches dim -> (batch patches) dim")
    fate = torch.rand(chosen.shape, device=chosen.device)
    steps = torch.randint(1, len(flat), (len(flat),), device=flat.device) if len(flat) > 1 else flat.new_zeros(1).long()
    others = flat[(torch.arange(len(flat), device=flat.device) + steps) % len(flat)].view_as(patches)
    swapped = torch.where((chosen & (fate >= MASKED) & (fate < MASKED + SWAPPED))[..., None], others, patches)
    return torch.where((chosen & (fate < MASKED))[..., None], mask, swapped)


def mean_colours(pixels: Float[Tensor, "batch 3 height width"], patch_size: int) -> Int[Tensor, "batch patches"]:
    """The number of each patch's mean colour, 0 to 511: each of red, green and blue, from 0 to 1, cut into eight levels."""
    means = reduce(
        pixels,
        "batch colour (row down) (column across) -> batch (row column) colour",
        "mean",
        down=patch_size,
        across=patch_size,
    )
    levels = (means * LEVELS).long().clamp(0, LEVELS - 1)
    return (levels * torch.tensor([LEVELS**2, LEVELS, 1], device=pixels.device)).sum(dim=-1)


def encoded(
    tower: VisionTransformer, patches: Float[Tensor, "batch patches dim"], grid: tuple[int, int]
) -> Float[Tensor, "batch tokens dim"]:
    """The class token and the patches after the last norm. The first is the tower's own answer, `before_projection`, where the
    patches are as the tower embeds them.
    """
    tokens: Tensor = tower.ln_post(tower.transformer(tower.ln_pre(tower.with_positions(patches, grid))))
    return tokens
