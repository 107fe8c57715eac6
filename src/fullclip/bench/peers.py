"""The same weights in other packages' hands, as their users would run them: pixels or tokens in, embeddings out. On a CPU in
float32, on a GPU that multiplies bfloat16 in that.

What is not installed, or has no such model, is absent, with what to type. They run in this process; while one is timed, freed
memory goes back to the system as it does in a process of theirs (`core.processor.free_as_usual`).
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from fullclip.bench.subject import Subject, embeddings
from fullclip.inference.precision import has
from fullclip.models.checkpoint import Checkpoint, CheckpointError
from fullclip.models.writing import Format, write_checkpoint
from fullclip.preprocess.tokenizer import Tokenizer

AGREES = 0.99  # the lowest cosine with ours below which a peer computes something else, and a comparison is void


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A package with our model. folder: where its files are."""

    name: str
    folder: Path
    image_features: Callable[[Tensor], Tensor]
    text_features: Callable[[Tensor], Tensor]

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Pixels on the model's device to embeddings of length 1 on the CPU."""
        return embeddings(self.image_features, pixels)

    def encode_texts(self, tokens: Tensor) -> Tensor:
        """Tokens on the model's device, padded to its context, to embeddings of length 1 on the CPU."""
        return embeddings(self.text_features, tokens)


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A package that cannot be compared with, and why, in a line."""

    name: str
    why: str


class AbsentError(Exception):
    """Why a package cannot be compared with."""


def module(name: str, *, package: str | None = None) -> ModuleType:
    """Import another package; AbsentError says how to install it (`package` is its name at PyPI), or why it does not import."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == name:
            raise AbsentError(f"{name} is not installed: pip install {package or name}") from None
        raise AbsentError(f"{name} does not import here: {error}") from None
    except (ImportError, RuntimeError, OSError, AttributeError) as error:  # what libraries of other builds raise
        raise AbsentError(f"{name} does not import here: {' '.join(str(error).split())[:120]}") from None


def open_peers(subject: Subject, folder: Path) -> tuple[tuple[Peer, ...], tuple[Absent, ...]]:
    """All of `OPENERS`, with the subject's weights on its device: those that are here, and the others."""
    here, absent = list[Peer](), list[Absent]()
    for name, open_it in OPENERS.items():
        try:
            if subject.checkpoint is None:
                raise AbsentError("an exported model is opened by fullclip alone")
            here.append(open_it(subject.checkpoint, folder / name, subject.encoder.device))
        except AbsentError as error:
            absent.append(Absent(name=name, why=str(error)))
    return tuple(here), tuple(absent)


def usual(device: torch.device) -> torch.dtype:
    """What other packages' users multiply in."""
    return torch.bfloat16 if device.type == "cuda" and has("bfloat16", device) else torch.float32


def _written(checkpoint: Checkpoint, folder: Path, form: Format) -> Path:
    tokenizer = Tokenizer.clip(context_length=checkpoint.config.text.context_length)
    of_clip = checkpoint.config.text.vocab_size == tokenizer.vocab_size
    try:
        write_checkpoint(checkpoint, folder, tokenizer=tokenizer if of_clip else None, form=form)
    except CheckpointError as error:
        raise AbsentError(str(error).partition(";")[0]) from None  # without advice on formats
    return folder


def _transformers(checkpoint: Checkpoint, folder: Path, device: torch.device) -> Peer:
    transformers = quiet_transformers()
    dtype = usual(device)
    model = transformers.CLIPModel.from_pretrained(_written(checkpoint, folder, "hf")).to(device, dtype).eval()
    return Peer(
        name="transformers",
        folder=folder,
        image_features=lambda pixels: _tensor(model.get_image_features(pixel_values=pixels.to(dtype))),
        text_features=lambda tokens: _tensor(model.get_text_features(input_ids=tokens)),
    )


def quiet_transformers() -> Any:
    """The module, without bars and advice of its own. AbsentError where it is not."""
    transformers: Any = module("transformers")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def _tensor(found: Any) -> Tensor:
    """Features, bare before transformers 5 and in an output of several since."""
    features: Tensor = found if isinstance(found, Tensor) else found.pooler_output
    return features


def _open_clip(checkpoint: Checkpoint, folder: Path, device: torch.device) -> Peer:
    open_clip: Any = module("open_clip", package="open_clip_torch")
    dtype = usual(device)
    try:
        model = open_clip.create_model(f"local-dir:{_written(checkpoint, folder, 'openclip')}", device=device).to(dtype).eval()
    except (RuntimeError, ValueError, TypeError) as error:
        raise AbsentError(f"open_clip does not open this model: {' '.join(str(error).split())[:120]}") from None
    return Peer(
        name="open_clip",
        folder=folder,
        image_features=lambda pixels: model.encode_image(pixels.to(dtype)),
        text_features=model.encode_text,
    )


OPENERS: dict[str, Callable[[Checkpoint, Path, torch.device], Peer]] = {"transformers": _transformers, "open_clip": _open_clip}
