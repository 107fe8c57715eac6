"""A checkpoint out as a folder: ours, OpenCLIP's or Hugging Face's. Tensors are written as they are, to the bit."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from safetensors.torch import save_file
from torch import Tensor

from fullclip.core.config import to_dict
from fullclip.core.storage import atomic_folder
from fullclip.models import hugging_face, openclip
from fullclip.models.checkpoint import Checkpoint, CheckpointError
from fullclip.models.keymaps import to_hugging_face, to_openai
from fullclip.models.weights import CONFIG_NAME, TOKENIZER_NAME, WEIGHTS_NAME, ModelFile
from fullclip.preprocess.tokenizer import Tokenizer

Format = Literal["fullclip", "openclip", "hf"]


def write_checkpoint(
    checkpoint: Checkpoint, path: str | Path, *, tokenizer: Tokenizer | None, form: Format = "fullclip"
) -> None:
    """Write weights, config, preprocessing and tokenizer. The folder appears, or takes an older one's place, when all of it
    is on disk. CheckpointError where the format has no word for this model.
    """
    writers = {"fullclip": _write_ours, "openclip": _write_openclip, "hf": _write_hugging_face}
    writers[form](checkpoint, Path(path), tokenizer)


def _write_ours(checkpoint: Checkpoint, path: Path, tokenizer: Tokenizer | None) -> None:
    content = ModelFile(
        model=checkpoint.config,
        preprocess=checkpoint.preprocess,
        provenance=checkpoint.provenance,
        tokenizer=TOKENIZER_NAME if tokenizer else None,
    )
    with atomic_folder(path) as folder:
        save_tensors(checkpoint.state, folder / WEIGHTS_NAME)
        _write_json(to_dict(content), folder / CONFIG_NAME)
        if tokenizer:
            tokenizer.save(folder / TOKENIZER_NAME)


def _write_openclip(checkpoint: Checkpoint, path: Path, tokenizer: Tokenizer | None) -> None:
    settings = {
        "model_cfg": openclip.config_to_openclip(checkpoint.config),
        "preprocess_cfg": openclip.preprocess_to_openclip(checkpoint.preprocess),
    }
    if tokenizer is not None and tokenizer.pieces() != Tokenizer.clip().pieces():
        raise CheckpointError("OpenCLIP would use CLIP's own vocabulary, which is not this model's; write --format hf instead")
    # OpenCLIP's `CustomTextCLIP`, the class for a model with a bias, has our names.
    state = to_openai(checkpoint.state) if checkpoint.config.logit_bias is None else checkpoint.state
    with atomic_folder(path) as folder:
        save_tensors(state, folder / openclip.WEIGHT_NAMES[0])
        _write_json(settings, folder / openclip.CONFIG_NAME)


def _write_hugging_face(checkpoint: Checkpoint, path: Path, tokenizer: Tokenizer | None) -> None:
    config = hugging_face.config_to_hugging_face(checkpoint.config)
    state = to_hugging_face(checkpoint.state, hugging_face.layers_of(checkpoint.config))
    with atomic_folder(path) as folder:
        save_tensors(state, folder / hugging_face.WEIGHT_NAMES[0])
        _write_json(config, folder / hugging_face.CONFIG_NAME)
        preprocess = hugging_face.preprocess_to_hugging_face(checkpoint.preprocess)
        _write_json(preprocess, folder / hugging_face.PREPROCESSOR_NAME)
        if tokenizer:
            hugging_face.write_tokenizer(tokenizer, folder)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """A safetensors file, to be read by whom the folder lets read: safetensors itself would leave it to its owner alone."""
    path.touch()
    mode = path.stat().st_mode
    save_file({name: tensor.detach().contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    path.chmod(mode)


def _write_json(content: dict[str, object], path: Path) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
