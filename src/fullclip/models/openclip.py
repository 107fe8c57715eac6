"""OpenCLIP's model folder (open_clip_config.json) <-> our configs. What its models can be and ours cannot is refused."""

from collections.abc import Mapping
from typing import Any

from fullclip.models.checkpoint import CheckpointError
from fullclip.models.config import Activation, ClipConfig, ResNetConfig, TextConfig, VitConfig
from fullclip.preprocess.image import OPENAI_MEAN, OPENAI_STD, PreprocessConfig

CONFIG_NAME = "open_clip_config.json"
# In the order in which OpenCLIP looks for them (its factory and constants).
WEIGHT_NAMES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)

# Settings whose listed values mean the architecture of this package, beside null and false, which always do.
_SAME = {"custom_text": [True], "nonscalar_logit_scale": [True], "pool_type": ["tok", "argmax"]}
_ONLY_FOR_TRAINING = ("init_logit_scale", "init_logit_bias", "patch_dropout")  # the last is read for ViTs, too


def config_from_openclip(model: Mapping[str, Any]) -> ClipConfig:
    """A `model_cfg`; CheckpointError names the first setting that this package's architectures do not have."""
    activation: Activation = "quick_gelu" if model.get("quick_gelu", False) else "gelu"
    vision, text = dict(model.get("vision_cfg") or {}), dict(model.get("text_cfg") or {})
    _refuse_unknown(model, {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg"}, "model_cfg")
    _refuse_unknown(vision, {"image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio"}, "vision_cfg")
    _refuse_unknown(text, {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"}, "text_cfg")
    bias = model.get("init_logit_bias")
    try:
        return ClipConfig(
            embed=model["embed_dim"],
            vision=_vision(vision, activation),
            text=_text(text, activation),
            logit_bias=None if bias is None else float(bias),
        )
    except KeyError as error:
        raise CheckpointError(f"model_cfg lacks {error}") from None


def _vision(vision: Mapping[str, Any], activation: Activation) -> VitConfig | ResNetConfig:
    width, layers, size = vision.get("width", 768), vision.get("layers", 12), vision.get("image_size", 224)
    if isinstance(size, list):
        if size[0] != size[1]:
            raise CheckpointError(f"vision_cfg.image_size {size} is not square")
        size = size[0]
    head_width = vision.get("head_width", 64)
    if isinstance(layers, list):
        return ResNetConfig(image_size=size, blocks=tuple(layers), width=width, heads=width * 32 // head_width)
    return VitConfig(
        image_size=size,
        patch_size=vision["patch_size"],
        width=width,
        layers=layers,
        heads=width // head_width,
        mlp_width=int(width * vision.get("mlp_ratio", 4.0)),
        activation=activation,
        patch_dropout=float(vision.get("patch_dropout") or 0),
    )


def _text(text: Mapping[str, Any], activation: Activation) -> TextConfig:
    width, vocab_size = text.get("width", 512), text.get("vocab_size", 49408)
    return TextConfig(
        context_length=text.get("context_length", 77),
        vocab_size=vocab_size,
        width=width,
        layers=text.get("layers", 12),
        heads=text.get("heads", 8),
        mlp_width=int(width * text.get("mlp_ratio", 4.0)),
        end_id=vocab_size - 1,  # OpenCLIP pools at the largest id
        activation=activation,
    )


def _refuse_unknown(settings: Mapping[str, Any], known: set[str], where: str) -> None:
    for name, value in settings.items():
        if name in known or name in _ONLY_FOR_TRAINING or value in (None, False) or value in _SAME.get(name, []):
            continue
        raise CheckpointError(f"{where}.{name} = {value!r} is an architecture that fullclip does not have")


def config_to_openclip(config: ClipConfig) -> dict[str, Any]:
    """A `model_cfg`; CheckpointError where OpenCLIP has no word for the shapes."""
    vision, text = config.vision, config.text
    activations = {text.activation} | ({vision.activation} if isinstance(vision, VitConfig) else set())
    if len(activations) > 1 or text.end_id != text.vocab_size - 1:
        raise CheckpointError("OpenCLIP has one activation for both towers, and the last id as the end of a text")
    model: dict[str, Any] = {"embed_dim": config.embed}
    if activations == {"quick_gelu"}:
        model["quick_gelu"] = True
    if config.logit_bias is not None:
        model |= {"init_logit_bias": config.logit_bias, "custom_text": True}
    if not isinstance(vision, (VitConfig, ResNetConfig)):
        raise CheckpointError(f"OpenCLIP has no image tower of the kind {vision.kind}; write --format fullclip instead")
    width = vision.width
    if isinstance(vision, VitConfig):
        head_width = width // vision.heads
        shape = {"layers": vision.layers, "patch_size": vision.patch_size, "mlp_ratio": vision.mlp_width / width}
        if vision.patch_dropout:
            shape["patch_dropout"] = vision.patch_dropout
    else:
        head_width = width * 32 // vision.heads
        shape = {"layers": list(vision.blocks), "patch_size": None}
    model["vision_cfg"] = {"image_size": vision.image_size, "width": width, "head_width": head_width, **shape}
    model["text_cfg"] = {
        "context_length": text.context_length,
        "vocab_size": text.vocab_size,
        "width": text.width,
        "heads": text.heads,
        "layers": text.layers,
        "mlp_ratio": text.mlp_width / text.width,
    }
    return model


def preprocess_from_openclip(preprocess: Mapping[str, Any], image_size: int) -> PreprocessConfig:
    """A `preprocess_cfg`; what it leaves out is OpenCLIP's default."""
    interpolation, resize = preprocess.get("interpolation", "bicubic"), preprocess.get("resize_mode", "shortest")
    if interpolation not in ("bicubic", "bilinear") or resize not in ("shortest", "squash"):
        raise CheckpointError(f"preprocess_cfg: resizing {resize!r} with {interpolation!r} is not known to fullclip")
    return PreprocessConfig(
        size=image_size,
        mean=tuple(preprocess.get("mean") or OPENAI_MEAN),
        std=tuple(preprocess.get("std") or OPENAI_STD),
        interpolation=interpolation,
        resize=resize,
    )


def preprocess_to_openclip(preprocess: PreprocessConfig) -> dict[str, Any]:
    return {
        "mean": list(preprocess.mean),
        "std": list(preprocess.std),
        "interpolation": preprocess.interpolation,
        "resize_mode": preprocess.resize,
    }
