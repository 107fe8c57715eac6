"""Names of weights: openai/CLIP, OpenCLIP and Hugging Face <-> ours. Renames, stacks and transposes; values stay as they are.

Ours are `visual.*`, `text.*`, `logit_scale` (and `logit_bias`), which are also the names of OpenCLIP's `CustomTextCLIP`.
openai/CLIP and OpenCLIP's `CLIP` have the text tower's names without `text.`.
"""

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from fullclip.models.checkpoint import CheckpointError, State

_TEXT_ROOTS = ("token_embedding.", "positional_embedding", "transformer.", "ln_final.", "text_projection")
# Sizes that openai/CLIP's archives carry as tensors, and masks and indices that older versions stored: no weights.
_NO_WEIGHTS = ("input_resolution", "context_length", "vocab_size", "attn_mask")
_WRAPPERS = re.compile(r"^(module\.|_orig_mod\.)+")


def from_openai(state: State) -> dict[str, Tensor]:
    """From openai/CLIP's names, or OpenCLIP's (`CLIP` and `CustomTextCLIP`), also when wrapped by DDP or compile."""
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        name = _WRAPPERS.sub("", key)
        if name.removeprefix("text.") in _NO_WEIGHTS:
            continue
        if name in ("logit_scale", "logit_bias") and tensor.numel() == 1:
            tensor = tensor.reshape(())
        renamed[f"text.{name}" if name.startswith(_TEXT_ROOTS) else name] = tensor
    return renamed


def to_openai(state: State) -> dict[str, Tensor]:
    """To openai/CLIP's names, which OpenCLIP's `CLIP` shares."""
    return {name.removeprefix("text."): tensor for name, tensor in state.items()}


# (ours, theirs) for what is only renamed; `visual.` / `text.` and the layers' prefixes are put in front below.
_HF_BLOCK = {
    "ln_1.weight": "layer_norm1.weight",
    "ln_1.bias": "layer_norm1.bias",
    "ln_2.weight": "layer_norm2.weight",
    "ln_2.bias": "layer_norm2.bias",
    "attn.out_proj.weight": "self_attn.out_proj.weight",
    "attn.out_proj.bias": "self_attn.out_proj.bias",
    "mlp.c_fc.weight": "mlp.fc1.weight",
    "mlp.c_fc.bias": "mlp.fc1.bias",
    "mlp.c_proj.weight": "mlp.fc2.weight",
    "mlp.c_proj.bias": "mlp.fc2.bias",
}
_HF_NAMES = {
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",  # sic
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
    "text.token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "text.positional_embedding": "text_model.embeddings.position_embedding.weight",
    "text.ln_final.weight": "text_model.final_layer_norm.weight",
    "text.ln_final.bias": "text_model.final_layer_norm.bias",
    "logit_scale": "logit_scale",
}
_HF_TRANSPOSED = {"visual.proj": "visual_projection.weight", "text.text_projection": "text_projection.weight"}
_HF_TOWERS = {"visual": "vision_model", "text": "text_model"}


def from_hugging_face(state: State, layers: Mapping[str, int]) -> dict[str, Tensor]:
    """From `transformers.CLIPModel`'s names; `layers` gives the number of blocks of "visual" and "text"."""
    rest = {key: tensor for key, tensor in state.items() if not key.endswith(".position_ids")}
    ours = {name: _take(rest, theirs) for name, theirs in _hf_renamed(layers)}
    ours |= {name: _take(rest, theirs).T.contiguous() for name, theirs in _HF_TRANSPOSED.items()}
    for name, theirs in _hf_stacked(layers):
        ours[name] = torch.cat([_take(rest, part) for part in theirs])
    if rest:
        raise CheckpointError(f"weights that no CLIPModel has: {', '.join(sorted(rest)[:3])}")
    return ours


def to_hugging_face(state: State, layers: Mapping[str, int]) -> dict[str, Tensor]:
    """To `transformers.CLIPModel`'s names. CheckpointError for a ResNet tower or a bias, which it does not have."""
    if "visual.proj" not in state or "logit_bias" in state:
        raise CheckpointError("transformers' CLIPModel has ViT towers and no logit bias; write --format openclip instead")
    theirs = {name: state[ours] for ours, name in _hf_renamed(layers)}
    theirs |= {name: state[ours].T.contiguous() for ours, name in _HF_TRANSPOSED.items()}
    for ours, names in _hf_stacked(layers):
        theirs |= {name: part.contiguous() for name, part in zip(names, state[ours].chunk(3), strict=True)}
    return theirs


def _take(state: dict[str, Tensor], key: str) -> Tensor:
    if key not in state:
        raise CheckpointError(f"the weights lack {key!r}")
    return state.pop(key)


def _hf_blocks(layers: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    for tower, their_tower in _HF_TOWERS.items():
        for i in range(layers[tower]):
            yield f"{tower}.transformer.resblocks.{i}", f"{their_tower}.encoder.layers.{i}"


def _hf_renamed(layers: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    yield from _HF_NAMES.items()
    for ours, theirs in _hf_blocks(layers):
        for name, their_name in _HF_BLOCK.items():
            yield f"{ours}.{name}", f"{theirs}.{their_name}"


def _hf_stacked(layers: Mapping[str, int]) -> Iterator[tuple[str, tuple[str, str, str]]]:
    for ours, theirs in _hf_blocks(layers):
        for kind in ("weight", "bias"):
            q, k, v = (f"{theirs}.self_attn.{part}_proj.{kind}" for part in "qkv")
            yield f"{ours}.attn.in_proj_{kind}", (q, k, v)
