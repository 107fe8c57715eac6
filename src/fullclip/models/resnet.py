"""The ModifiedResNet of CLIP: images [batch, 3, height, width] -> features [batch, embed], not yet normalised."""

from collections import OrderedDict
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fullclip.models.config import ResNetConfig
from fullclip.models.folding import normalized
from fullclip.models.positions import positions_for
from fullclip.models.statistics import moved_once

_EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions; a stride is an average pooling before the last of them, against aliasing."""

    def __init__(self, inputs: int, channels: int, *, stride: int) -> None:
        super().__init__()
        outputs = channels * _EXPANSION
        self.conv1, self.bn1 = nn.Conv2d(inputs, channels, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.conv3, self.bn3 = nn.Conv2d(channels, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            steps = [("-1", nn.AvgPool2d(stride)), ("0", nn.Conv2d(inputs, outputs, 1, bias=False))]
            self.downsample = nn.Sequential(OrderedDict([*steps, ("1", nn.BatchNorm2d(outputs))]))

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        branch = F.relu(normalized(x, self.conv1, self.bn1))
        branch = F.relu(normalized(branch, self.conv2, self.bn2))
        branch = normalized(self.pool(branch), self.conv3, self.bn3)
        return F.relu(branch + self._shortcut(x))

    def _shortcut(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        if not isinstance(self.downsample, nn.Sequential):
            return x
        pool, convolution, norm = self.downsample
        return normalized(pool(x), convolution, norm)


class AttentionPool(nn.Module):
    """One attention layer whose query is the mean of all places, in place of global average pooling (section 2.4)."""

    def __init__(self, dim: int, heads: int, *, learned_grid: int, embed: int) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"a width of {dim} cannot be split into {heads} attention heads")
        self.heads, self.learned_grid = heads, learned_grid
        self.positional_embedding = nn.Parameter(torch.empty(learned_grid**2 + 1, dim))
        self.q_proj, self.k_proj, self.v_proj = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.c_proj = nn.Linear(dim, embed)

    def forward(self, x: Float[Tensor, "batch dim rows columns"]) -> Float[Tensor, "batch embed"]:
        grid = (x.shape[-2], x.shape[-1])
        places = rearrange(x, "batch dim rows columns -> batch (rows columns) dim")
        positions = positions_for(self.positional_embedding, grid, self.learned_grid).to(x.dtype)
        tokens = torch.cat([places.mean(dim=1, keepdim=True), places], dim=1) + positions
        q, k, v = (
            rearrange(part, "batch tokens (heads part) -> batch heads tokens part", heads=self.heads)
            for part in (self.q_proj(tokens[:, :1]), self.k_proj(tokens), self.v_proj(tokens))
        )
        pooled = F.scaled_dot_product_attention(q, k, v)
        return self.c_proj(rearrange(pooled, "batch heads 1 part -> batch (heads part)"))


class ModifiedResNet(nn.Module):
    """A three-convolution stem, four stages of bottlenecks, attention pooling. Takes images of any multiple of 32 pixels.

    `checkpointing`: in training, keep only the bottlenecks' inputs and compute the rest again; running statistics are
    updated once.
    """

    def __init__(self, config: ResNetConfig, *, embed: int) -> None:
        super().__init__()
        width, half = config.width, config.width // 2
        self.conv1, self.bn1 = nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(half)
        self.conv2, self.bn2 = nn.Conv2d(half, half, 3, padding=1, bias=False), nn.BatchNorm2d(half)
        self.conv3, self.bn3 = nn.Conv2d(half, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        inputs = width
        for stage, blocks in enumerate(config.blocks):
            channels, stride = width * 2**stage, 1 if stage == 0 else 2
            layer = [Bottleneck(inputs, channels, stride=stride)]
            inputs = channels * _EXPANSION
            layer += [Bottleneck(inputs, channels, stride=1) for _ in range(blocks - 1)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layer))
        grid = config.image_size // 32
        self.attnpool = AttentionPool(inputs, config.heads, learned_grid=grid, embed=embed)
        self.checkpointing = False

    def blocks(self) -> list[Bottleneck]:
        """What repeats, in order: the bottlenecks."""
        return [module for module in self.modules() if isinstance(module, Bottleneck)]

    def depths(self) -> list[nn.Module]:
        """What lies above each other, the lowest first: the four stages."""
        return [self.layer1, self.layer2, self.layer3, self.layer4]

    def top(self) -> list[nn.Parameter]:
        """The weights of what follows the last of `depths`: the attention pooling."""
        return [*self.attnpool.parameters()]

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embed"]:
        return self.attnpool(self.feature_map(images))

    def feature_map(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch dim rows columns"]:
        """The last stage's output, a 32nd of the image's height and width."""
        if images.shape[-2] % 32 or images.shape[-1] % 32:
            raise ValueError(f"images of {images.shape[-2]} x {images.shape[-1]} pixels: a multiple of 32 is needed")
        x = images.to(self.conv1.weight.dtype)
        if x.dtype != torch.float32:  # a fifth faster on CPUs, but its kernels round more coarsely
            x = x.contiguous(memory_format=torch.channels_last)
        x = F.relu(normalized(x, self.conv1, self.bn1))
        x = F.relu(normalized(x, self.conv2, self.bn2))
        x = F.avg_pool2d(F.relu(normalized(x, self.conv3, self.bn3)), 2)
        for block in self.blocks():
            again = self.checkpointing and torch.is_grad_enabled()
            x = checkpoint(block, x, use_reentrant=False, context_fn=partial(moved_once, block)) if again else block(x)
        return x


def build_resnet(config: ResNetConfig, *, embed: int) -> ModifiedResNet:
    if len(config.blocks) != 4:
        raise ValueError(f"a ModifiedResNet has four stages, got blocks={config.blocks}")
    if config.width < 2 or config.width % 2 or min(config.blocks) < 1:
        raise ValueError(f"a ModifiedResNet has an even width and stages of at least one block, got {config}")
    if config.image_size % 32:
        raise ValueError(f"image_size {config.image_size} is not a multiple of 32")
    return ModifiedResNet(config, embed=embed)
