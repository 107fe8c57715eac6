"""EfficientNet-Lite as an image tower: images [batch, 3, height, width] -> features [batch, embed], not yet normalised."""

from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from fullclip.models.config import EfficientNetConfig
from fullclip.models.folding import normalized
from fullclip.models.layers import LayerNorm
from fullclip.models.statistics import moved_once

_EPSILON, _MOMENTUM = 1e-3, 0.01


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPSILON, momentum=_MOMENTUM)


class SamePadding(nn.Conv2d):
    """A convolution whose output has a `stride`-th of the input's height and width, rounded up; what has to be added for it is
    added right and below first, as TensorFlow does, whose weights these are. No bias.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        return self._conv_forward(x, self.weight, None)

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        down, across = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:])
        if down % 2 or across % 2:
            x = F.pad(x, (across // 2, across - across // 2, down // 2, down - down // 2))
            return F.conv2d(x, weight, bias, stride=stride, groups=self.groups)
        return F.conv2d(x, weight, bias, stride=stride, padding=(down // 2, across // 2), groups=self.groups)


class InvertedBottleneck(nn.Module):
    """1x1 to more channels, one convolution for each channel alone, 1x1 to few; what came in is added where shapes allow."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.adds = stride == 1 and inputs == outputs
        self.expand: nn.Module = nn.Identity()
        if expansion > 1:
            self.expand = nn.Sequential(nn.Conv2d(inputs, inner, 1, bias=False), _norm(inner))
        self.depthwise = SamePadding(inner, inner, kernel, stride=stride, groups=inner)
        self.bn1 = _norm(inner)
        self.project, self.bn2 = nn.Conv2d(inner, outputs, 1, bias=False), _norm(outputs)

    def forward(self, x: Float[Tensor, "batch inputs height width"]) -> Float[Tensor, "batch outputs rows columns"]:
        branch = x
        if isinstance(self.expand, nn.Sequential):
            branch = F.relu6(normalized(branch, self.expand[0], self.expand[1]), inplace=True)
        branch = F.relu6(normalized(branch, self.depthwise, self.bn1), inplace=True)
        branch = normalized(branch, self.project, self.bn2)
        return x + branch if self.adds else branch


class EfficientNet(nn.Module):
    """Stem, stages of inverted bottlenecks, a 1x1 convolution, the mean over all places (Tan and Le 2019; the Lite variant has
    ReLU6 and no squeeze-and-excitation); then, as in CLIP's ViT, a norm and a projection. Takes images of any size from 1 x 1.

    `checkpointing`: in training, keep only the blocks' inputs and compute the rest again; running statistics move once.
    """

    def __init__(self, config: EfficientNetConfig, *, embed: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = SamePadding(3, config.stem, 3, stride=2), _norm(config.stem)
        stages, inputs = list[nn.Module](), config.stem
        for blocks, outputs, kernel, stride, expansion in config.stages():
            stage = list[nn.Module]()
            for number in range(blocks):
                step = stride if number == 0 else 1
                stage.append(InvertedBottleneck(inputs, outputs, kernel=kernel, stride=step, expansion=expansion))
                inputs = outputs
            stages.append(nn.Sequential(*stage))
        self.stages = nn.ModuleList(stages)
        self.conv2, self.bn2 = nn.Conv2d(inputs, config.width, 1, bias=False), _norm(config.width)
        self.ln_post = LayerNorm(config.width)
        self.proj = nn.Parameter(torch.empty(config.width, embed))
        self.checkpointing = False

    def blocks(self) -> list[InvertedBottleneck]:
        """What repeats, in order."""
        return [module for module in self.stages.modules() if isinstance(module, InvertedBottleneck)]

    def depths(self) -> list[nn.Module]:
        """What lies above each other, the lowest first: the stages."""
        return [*self.stages]

    def top(self) -> list[nn.Parameter]:
        """The weights of what follows the last of `depths`: the last convolution and the projection, with their norms."""
        return [*self.conv2.parameters(), *self.bn2.parameters(), *self.ln_post.parameters(), self.proj]

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embed"]:
        return self.project(self.before_projection(images))

    def before_projection(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch dim"]:
        """The mean over all places of the last convolution: what the network's classifier was given."""
        x = images.to(self.conv1.weight.dtype).contiguous(memory_format=torch.channels_last)
        x = F.relu6(normalized(x, self.conv1, self.bn1), inplace=True)
        again = self.checkpointing and torch.is_grad_enabled()
        for block in self.blocks():
            x = checkpoint(block, x, use_reentrant=False, context_fn=partial(moved_once, block)) if again else block(x)
        return F.relu6(normalized(x, self.conv2, self.bn2), inplace=True).mean(dim=(2, 3))

    def project(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch embed"]:
        """What `before_projection` gives, into the shared space."""
        return self.ln_post(features) @ self.proj


def build_efficientnet(config: EfficientNetConfig, *, embed: int) -> EfficientNet:
    return EfficientNet(config, embed=embed)
