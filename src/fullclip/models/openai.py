"""openai/CLIP's way to know a model: its shapes are read off its weights. Also reads weight files that have no config."""

import math

from torch import Tensor

from fullclip.models.checkpoint import CheckpointError
from fullclip.models.config import Activation, ClipConfig, ResNetConfig, TextConfig, VitConfig

_HEAD_WIDTH = 64  # of every attention in openai/CLIP's models, and the default of OpenCLIP's


def config_of(state: dict[str, Tensor], *, activation: Activation) -> ClipConfig:
    """The config of weights under our names, as openai/CLIP's `build_model` finds it; CheckpointError where it cannot."""
    try:
        vision = _vit(state, activation) if "visual.proj" in state else _resnet(state)
        width, embed = state["text.text_projection"].shape
        text = TextConfig(
            context_length=state["text.positional_embedding"].shape[0],
            vocab_size=state["text.token_embedding.weight"].shape[0],
            width=width,
            layers=_count(state, "text.transformer.resblocks."),
            heads=_heads(width),
            mlp_width=state["text.transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
            end_id=state["text.token_embedding.weight"].shape[0] - 1,
            activation=activation,
        )
    except KeyError as error:
        raise CheckpointError(f"these are no weights of a CLIP: {error} is missing") from None
    except (ValueError, IndexError) as error:
        raise CheckpointError(f"these are no weights of a CLIP: {error}") from None
    return ClipConfig(embed=embed, vision=vision, text=text, logit_bias=0.0 if "logit_bias" in state else None)


def _vit(state: dict[str, Tensor], activation: Activation) -> VitConfig:
    width, _, _, patch_size = state["visual.conv1.weight"].shape
    return VitConfig(
        image_size=patch_size * _grid(state["visual.positional_embedding"]),
        patch_size=patch_size,
        width=width,
        layers=_count(state, "visual.transformer.resblocks."),
        heads=_heads(width),
        mlp_width=state["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        activation=activation,
    )


def _resnet(state: dict[str, Tensor]) -> ResNetConfig:
    width = state["visual.layer1.0.conv1.weight"].shape[0]
    return ResNetConfig(
        image_size=32 * _grid(state["visual.attnpool.positional_embedding"]),
        blocks=tuple(_count(state, f"visual.layer{stage}.") for stage in range(1, 5)),
        width=width,
        heads=_heads(width * 32),
    )


def _heads(width: int) -> int:
    if width % _HEAD_WIDTH:
        raise ValueError(f"a width of {width} is not made of heads of {_HEAD_WIDTH}, and no config says otherwise")
    return width // _HEAD_WIDTH


def _grid(positions: Tensor) -> int:
    return math.isqrt(positions.shape[0] - 1)


def _count(state: dict[str, Tensor], prefix: str) -> int:
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})
