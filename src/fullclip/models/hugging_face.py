"""Hugging Face's CLIPModel folder (config.json, preprocessor_config.json, tokenizer files) <-> our configs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fullclip.models.checkpoint import CheckpointError
from fullclip.models.config import Activation, ClipConfig, TextConfig, VitConfig
from fullclip.preprocess.image import OPENAI_MEAN, OPENAI_STD, PreprocessConfig
from fullclip.preprocess.tokenizer import END, START, Tokenizer

CONFIG_NAME = "config.json"
WEIGHT_NAMES = ("model.safetensors", "pytorch_model.bin")
PREPROCESSOR_NAME, PROCESSOR_NAME = "preprocessor_config.json", "processor_config.json"

# Hugging Face writes only what differs from these defaults (CLIPTextConfig, CLIPVisionConfig) in older folders.
_TEXT_DEFAULTS = {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "eos_token_id": 49407,
}
_VISION_DEFAULTS = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
_LEGACY_END_ID = 2  # folders of 2021 say 2, and mean: pool at the largest id
_RESAMPLE: dict[int, Any] = {2: "bilinear", 3: "bicubic"}


def config_from_hugging_face(config: Mapping[str, Any]) -> ClipConfig:
    """A config.json of a CLIPModel; CheckpointError for any other model, or one with settings that ours do not have."""
    if config.get("model_type") != "clip":
        raise CheckpointError(f"model_type is {config.get('model_type')!r}: expected a CLIPModel, 'clip'")
    # Where a folder of 2021 has both forms, transformers takes the one that ends in _dict.
    text = _TEXT_DEFAULTS | (config.get("text_config") or {}) | (config.get("text_config_dict") or {})
    vision = _VISION_DEFAULTS | (config.get("vision_config") or {}) | (config.get("vision_config_dict") or {})
    for name, part in (("text_config", text), ("vision_config", vision)):
        if part["layer_norm_eps"] != 1e-5:
            raise CheckpointError(f"{name}.layer_norm_eps is {part['layer_norm_eps']}: only 1e-5 is known to fullclip")
    if vision["num_channels"] != 3:
        raise CheckpointError(f"vision_config.num_channels is {vision['num_channels']}: only 3 is known to fullclip")
    end_id = text["eos_token_id"]
    return ClipConfig(
        embed=config.get("projection_dim", 512),
        vision=VitConfig(
            image_size=vision["image_size"],
            patch_size=vision["patch_size"],
            width=vision["hidden_size"],
            layers=vision["num_hidden_layers"],
            heads=vision["num_attention_heads"],
            mlp_width=vision["intermediate_size"],
            activation=_activation(vision["hidden_act"]),
        ),
        text=TextConfig(
            context_length=text["max_position_embeddings"],
            vocab_size=text["vocab_size"],
            width=text["hidden_size"],
            layers=text["num_hidden_layers"],
            heads=text["num_attention_heads"],
            mlp_width=text["intermediate_size"],
            end_id=text["vocab_size"] - 1 if end_id == _LEGACY_END_ID else end_id,
            activation=_activation(text["hidden_act"]),
        ),
    )


def _activation(name: str) -> Activation:
    if name == "quick_gelu":
        return "quick_gelu"
    if name == "gelu":
        return "gelu"
    raise CheckpointError(f"hidden_act {name!r} is not known to fullclip: quick_gelu or gelu")


def config_to_hugging_face(config: ClipConfig) -> dict[str, Any]:
    """A config.json; CheckpointError for an image tower that is no ViT, which transformers does not have."""
    vision, text = config.vision, config.text
    if not isinstance(vision, VitConfig):
        other = "openclip" if vision.kind == "resnet" else "fullclip"
        raise CheckpointError(f"transformers' CLIPModel has no {vision.kind} tower; write --format {other} instead")
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": config.embed,
        "text_config": {
            "model_type": "clip_text_model",
            "vocab_size": text.vocab_size,
            "hidden_size": text.width,
            "intermediate_size": text.mlp_width,
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads,
            "max_position_embeddings": text.context_length,
            "hidden_act": text.activation,
            "bos_token_id": text.end_id - 1,
            "eos_token_id": text.end_id,
            "pad_token_id": text.end_id,
            "projection_dim": config.embed,
        },
        "vision_config": {
            "model_type": "clip_vision_model",
            "hidden_size": vision.width,
            "intermediate_size": vision.mlp_width,
            "num_hidden_layers": vision.layers,
            "num_attention_heads": vision.heads,
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "hidden_act": vision.activation,
            "projection_dim": config.embed,
        },
    }


def layers_of(config: ClipConfig) -> dict[str, int]:
    """The number of blocks of each tower, for renaming weights."""
    return {"visual": config.vision.layers if isinstance(config.vision, VitConfig) else 0, "text": config.text.layers}


def preprocess_from_hugging_face(settings: Mapping[str, Any], *, image_size: int) -> PreprocessConfig:
    """A preprocessor_config.json; what it leaves out is CLIPImageProcessor's default."""
    settings = settings.get("image_processor", settings)
    for step in ("do_resize", "do_rescale", "do_normalize"):
        if not settings.get(step, True):
            raise CheckpointError(f"{PREPROCESSOR_NAME}: {step} is false, which is not known to fullclip")
    if abs(settings.get("rescale_factor", 1 / 255) - 1 / 255) > 1e-6:
        raise CheckpointError(f"{PREPROCESSOR_NAME}: rescale_factor {settings['rescale_factor']} is not 1/255")
    resample = settings.get("resample", 3)
    if resample not in _RESAMPLE:
        raise CheckpointError(f"{PREPROCESSOR_NAME}: resample {resample} is neither 2 (bilinear) nor 3 (bicubic)")
    size, cropped = _side(settings.get("size", image_size)), settings.get("do_center_crop", True)
    if cropped and _side(settings.get("crop_size", size)) != size:
        raise CheckpointError(f"{PREPROCESSOR_NAME}: resizing to {size} and cropping to another size is not known to fullclip")
    return PreprocessConfig(
        size=size,
        mean=tuple(settings.get("image_mean", OPENAI_MEAN)),
        std=tuple(settings.get("image_std", OPENAI_STD)),
        interpolation=_RESAMPLE[resample],
        resize="shortest" if cropped else "squash",
        rgb_first=bool(settings.get("do_convert_rgb", True)),
    )


def _side(size: Any) -> int:
    """A size in any of the forms that Hugging Face has used: a number, a shortest edge, or height and width."""
    if isinstance(size, int):
        return size
    sides = {size[name] for name in ("shortest_edge", "height", "width") if name in size}
    if len(sides) != 1:
        raise CheckpointError(f"{PREPROCESSOR_NAME}: {size} is not a square")
    return int(sides.pop())


def preprocess_to_hugging_face(preprocess: PreprocessConfig) -> dict[str, Any]:
    side = {"height": preprocess.size, "width": preprocess.size}
    cropped = preprocess.resize == "shortest"
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": preprocess.size} if cropped else side,
        "resample": next(code for code, name in _RESAMPLE.items() if name == preprocess.interpolation),
        "do_center_crop": cropped,
        "crop_size": side,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preprocess.mean),
        "image_std": list(preprocess.std),
        "do_convert_rgb": True,
    }


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """The files that transformers' CLIPTokenizer opens."""
    vocabulary, merges = tokenizer.pieces()
    specials = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": tokenizer.context_length, **specials}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(specials, indent=1), encoding="utf-8")
