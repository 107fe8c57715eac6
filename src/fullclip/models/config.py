"""The shapes of a model, and the table of the known ones. Configs stop at `build`, which the towers' files hold."""

from dataclasses import dataclass, fields
from typing import Literal

Activation = Literal["quick_gelu", "gelu"]


def _at_least_one(config: "VisionConfig | TextConfig | ClipConfig") -> None:
    """ValueError for a size below 1, by its name."""
    for field in fields(config):
        value = getattr(config, field.name)
        sizes = value if isinstance(value, tuple) else (value,)
        if field.name != "end_id" and any(isinstance(size, int) and size < 1 for size in sizes):
            raise ValueError(f"{field.name} is {value}: at least 1")


@dataclass(frozen=True, kw_only=True)
class VitConfig:
    """A Vision Transformer (CLIP paper, section 2.4): image_size pixels a side in patches of patch_size pixels.

    patch_dropout: the share of patches that are left out in training, others for each image (FLIP, Li et al. 2022).
    """

    kind: Literal["vit"] = "vit"
    image_size: int = 224
    patch_size: int
    width: int
    layers: int
    heads: int
    mlp_width: int
    activation: Activation = "quick_gelu"
    patch_dropout: float = 0.0

    def __post_init__(self) -> None:
        _at_least_one(self)
        if not 0 <= self.patch_dropout < 1:
            raise ValueError(f"patch_dropout is {self.patch_dropout}: at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """A ModifiedResNet (section 2.4): four stages of `blocks` bottlenecks, `heads` in the attention pooling.

    `width` is the stem's number of channels; the last stage has 32 times as many.
    """

    kind: Literal["resnet"] = "resnet"
    image_size: int = 224
    blocks: tuple[int, ...]
    width: int
    heads: int

    def __post_init__(self) -> None:
        _at_least_one(self)


@dataclass(frozen=True, kw_only=True)
class EfficientNetConfig:
    """An EfficientNet-Lite (Tan and Le 2019), Lite0 as it stands: for each stage its number of blocks, their channels, the side
    of their kernels, the first one's stride, and by how much they are widened inside.

    `stem` is the first convolution's number of channels, `width` the last one's.
    """

    kind: Literal["efficientnet"] = "efficientnet"
    image_size: int = 224
    stem: int = 32
    blocks: tuple[int, ...] = (1, 2, 2, 3, 3, 4, 1)
    channels: tuple[int, ...] = (16, 24, 40, 80, 112, 192, 320)
    kernels: tuple[int, ...] = (3, 3, 5, 3, 5, 5, 3)
    strides: tuple[int, ...] = (1, 2, 2, 2, 1, 2, 1)
    expansions: tuple[int, ...] = (1, 6, 6, 6, 6, 6, 6)
    width: int = 1280

    def __post_init__(self) -> None:
        _at_least_one(self)
        lengths = {len(self.channels), len(self.kernels), len(self.strides), len(self.expansions)}
        if not self.blocks or lengths != {len(self.blocks)}:
            raise ValueError(
                f"blocks is {list(self.blocks)}: channels, kernels, strides and expansions have one number for each"
            )

    def stages(self) -> list[tuple[int, int, int, int, int]]:
        """(blocks, channels, kernel, stride, expansion) of each stage."""
        return list(zip(self.blocks, self.channels, self.kernels, self.strides, self.expansions, strict=True))


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig:
    """In place of an image tower: the features that one computed before, `width` numbers for each image, and a projection.

    A tower that is locked need not look at the same pictures in each epoch (LiT, Zhai et al. 2022). Such features are an image
    of one pixel and `width` channels.
    """

    kind: Literal["features"] = "features"
    image_size: int = 1
    width: int

    def __post_init__(self) -> None:
        _at_least_one(self)
        if self.image_size != 1:
            raise ValueError(f"image_size is {self.image_size}: features are an image of 1 pixel")


VisionConfig = VitConfig | ResNetConfig | EfficientNetConfig | FeaturesConfig


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """A causal Transformer (section 2.4). `end_id` is the end-of-text token, whose position is the text's summary."""

    context_length: int = 77
    vocab_size: int = 49408
    width: int
    layers: int
    heads: int
    mlp_width: int
    end_id: int = 49407
    activation: Activation = "quick_gelu"

    def __post_init__(self) -> None:
        _at_least_one(self)


@dataclass(frozen=True, kw_only=True)
class ClipConfig:
    """Both towers and the width `embed` of the space they share.

    logit_bias: the initial value of a learned bias, for models of a sigmoid loss; None, as in CLIP, for no bias.
    """

    embed: int
    vision: VitConfig | ResNetConfig | EfficientNetConfig | FeaturesConfig
    text: TextConfig
    logit_bias: float | None = None

    def __post_init__(self) -> None:
        _at_least_one(self)


def _text(width: int, layers: int = 12, *, context_length: int = 77) -> TextConfig:
    return TextConfig(width=width, layers=layers, heads=width // 64, mlp_width=4 * width, context_length=context_length)


def _vit(width: int, layers: int, patch_size: int, image_size: int = 224) -> VitConfig:
    heads, mlp_width = width // 64, 4 * width
    return VitConfig(image_size=image_size, patch_size=patch_size, width=width, layers=layers, heads=heads, mlp_width=mlp_width)


def _resnet(blocks: tuple[int, int, int, int], width: int, image_size: int) -> ResNetConfig:
    return ResNetConfig(image_size=image_size, blocks=blocks, width=width, heads=width * 32 // 64)


# The first nine are openai/CLIP's (its model.py builds them from the weights' shapes; OpenCLIP's model_configs agree).
PRESETS: dict[str, ClipConfig] = {
    "RN50": ClipConfig(embed=1024, vision=_resnet((3, 4, 6, 3), 64, 224), text=_text(512)),
    "RN101": ClipConfig(embed=512, vision=_resnet((3, 4, 23, 3), 64, 224), text=_text(512)),
    "RN50x4": ClipConfig(embed=640, vision=_resnet((4, 6, 10, 6), 80, 288), text=_text(640)),
    "RN50x16": ClipConfig(embed=768, vision=_resnet((6, 8, 18, 8), 96, 384), text=_text(768)),
    "RN50x64": ClipConfig(embed=1024, vision=_resnet((3, 15, 36, 10), 128, 448), text=_text(1024)),
    "ViT-B-32": ClipConfig(embed=512, vision=_vit(768, 12, 32), text=_text(512)),
    "ViT-B-16": ClipConfig(embed=512, vision=_vit(768, 12, 16), text=_text(512)),
    "ViT-L-14": ClipConfig(embed=768, vision=_vit(1024, 24, 14), text=_text(768)),
    "ViT-L-14-336": ClipConfig(embed=768, vision=_vit(1024, 24, 14, 336), text=_text(768)),
    # Ours: one for tests, one for a bundled model of at most 32 MB in half precision.
    "tiny": ClipConfig(embed=32, vision=_vit(64, 2, 8, 32), text=_text(64, 2, context_length=32)),
    "small": ClipConfig(embed=256, vision=_vit(256, 8, 16, 128), text=_text(128, 4, context_length=32)),
}
