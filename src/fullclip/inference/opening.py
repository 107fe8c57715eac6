"""A name or a path -> an Encoder: weights for PyTorch, or a folder that `fullclip export` wrote."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch

from fullclip.core.processor import keep_freed_memory
from fullclip.core.storage import cache_folder
from fullclip.inference.encoder import BATCH_SIZE, Decoding, Encoder
from fullclip.inference.exported import EXPORT_NAME, Exported, open_towers, read_export
from fullclip.inference.precision import Precision, check, in_precision
from fullclip.models.checkpoint import Checkpoint, Provenance
from fullclip.models.clip import Clip
from fullclip.models.config import Activation
from fullclip.models.hub import locate
from fullclip.models.weights import CONFIG_NAME, TOKENIZER_NAME, read_checkpoint, to_module
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.tokenizer import Tokenizer


def load(
    name_or_path: str | Path,
    precision: Precision | None = None,
    device: str | None = None,
    *,
    activation: Activation | None = None,
    batch_size: int = BATCH_SIZE,
    decoding: Decoding = "exact",
    compiled: bool = False,
) -> Encoder:
    """Open a model: a name that `fullclip models list` shows, "hf-hub:owner/repository", a folder, or a weight file; or a
    folder that `fullclip export` wrote, which ONNX Runtime or OpenVINO computes.

    precision: what matrices are multiplied in; None is bfloat16 for Transformers where the device does that in hardware, and
    float32 otherwise: "float32" gives the same numbers, to their last digits, on every machine. device: None is the GPU where
    there is one. activation: for a weight file that does not say (see `models.weights.read_checkpoint`). batch_size, decoding:
    see `Encoder`.

    compiled: the image tower by torch.compile, at its first batch: half a minute, kept on disk for later processes. On a CPU it
    pays for ResNets, a fifth, and for no other tower (docs/log.md).

    On a CPU, the process keeps memory that it has freed, for later (`core.processor.keep_freed_memory`).
    ValueError for a precision or a device that there is not; CheckpointError for what cannot be read.
    """
    path, provenance = locate(str(name_or_path))
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    _check_device(device)
    if precision is not None:
        check(precision, torch.device(device))
    if device == "cpu":
        keep_freed_memory()
    is_export = (path / EXPORT_NAME).is_file()
    if is_export and compiled:
        raise ValueError(f"{path}: an exported model is compiled by its own runtime; leave compiled out")
    opened = _exported(path, precision, device) if is_export else _weights(path, precision, device, activation)
    if compiled:
        _compile(opened.model)
    return Encoder(
        opened.model,
        preprocess=opened.preprocess,
        tokenizer=opened.tokenizer,
        provenance=provenance if provenance.source else opened.provenance,
        batch_size=batch_size,
        decoding=decoding,
        compiled=compiled,
    )


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        said = (str(error).splitlines() or [""])[0]
        raise ValueError(f"device {device!r}: not to be had here ({said}); leave it out, or give cpu") from None


@dataclass(frozen=True, kw_only=True)
class _Opened:
    model: Clip | Exported
    preprocess: PreprocessConfig
    tokenizer: Tokenizer | None
    provenance: Provenance


def _weights(path: Path, precision: Precision | None, device: str, activation: Activation | None) -> _Opened:
    checkpoint = read_checkpoint(path, activation=activation)
    model = to_module(checkpoint, source=path).to(device)
    return _Opened(
        model=in_precision(model, precision),
        preprocess=checkpoint.preprocess,
        tokenizer=tokenizer_of(path, checkpoint),
        provenance=checkpoint.provenance,
    )


def _compile(model: Clip | Exported) -> None:
    """The image tower in place, by PyTorch's compiler, which needs a C++ compiler on a CPU; what it makes lies in our cache."""
    assert isinstance(model, Clip)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))
    model.visual.compile(dynamic=False)


def _exported(folder: Path, precision: Precision | None, device: str) -> _Opened:
    if device != "cpu":
        raise ValueError(f'{folder}: an exported model is computed on the CPU; load it with device="cpu"')
    told = read_export(folder)
    tokenizer = Tokenizer.from_file(folder / TOKENIZER_NAME, context_length=told.context_length) if told.tokenizer else None
    model = open_towers(folder, told, precision)
    return _Opened(model=model, preprocess=told.preprocess, tokenizer=tokenizer, provenance=told.provenance)


def tokenizer_of(path: Path, checkpoint: Checkpoint) -> Tokenizer | None:
    """The tokenizer that belongs to a model: its folder's own, else CLIP's where the vocabulary is CLIP's."""
    text, folder = checkpoint.config.text, path if path.is_dir() else path.parent
    if (folder / CONFIG_NAME).is_file() and (folder / TOKENIZER_NAME).is_file():
        found = Tokenizer.from_file(folder / TOKENIZER_NAME, context_length=text.context_length)
        if found.vocab_size != text.vocab_size:
            raise ValueError(f"{folder / TOKENIZER_NAME} has {found.vocab_size} pieces, the model {text.vocab_size}")
        return found
    clip = Tokenizer.clip(context_length=text.context_length)
    return clip if text.vocab_size == clip.vocab_size else None
