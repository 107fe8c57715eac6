"""The model that is measured: a preset with random weights, or one that `fullclip.load` opens; opened as a user opens it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fullclip.core.config import lookup
from fullclip.inference import Encoder, load
from fullclip.inference.batch_size import fastest
from fullclip.inference.exported import EXPORT_NAME, Exported
from fullclip.models.checkpoint import Checkpoint
from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS, ClipConfig
from fullclip.models.hub import BUNDLED, HUB_PREFIX, PRETRAINED, locate
from fullclip.models.weights import read_checkpoint
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Subject:
    """`encoder` is in the precision that `fullclip.load` chose. path: what can be loaded again in another. checkpoint: its
    weights; None for an exported model, which no other package opens. is_trained: whether its answers mean anything.
    """

    name: str
    path: Path
    encoder: Encoder
    checkpoint: Checkpoint | None
    is_trained: bool

    @property
    def image_precision(self) -> str:
        """What the image tower's matrices are multiplied in, or what computes an exported one."""
        model = self.encoder.model
        return model.told.format if isinstance(model, Exported) else precision_of(model.visual)

    @property
    def text_precision(self) -> str:
        """The same of the text tower."""
        model = self.encoder.model
        return model.told.format if isinstance(model, Exported) else precision_of(model.text)

    def describe(self) -> str:
        """The model in a line."""
        weights = "" if self.is_trained else " with random weights"
        return f"{self.name}{weights}, images in {self.image_precision}, texts in {self.text_precision}"

    def encode_images(self, pixels: Tensor) -> Tensor:
        """Pixels that are ready, on the model's device, to embeddings of length 1 on the CPU."""
        return embeddings(self.encoder.model.encode_image, pixels)


@torch.inference_mode()
def embeddings(forward: Callable[[Tensor], Tensor], given: Tensor) -> Tensor:
    """What a tower gives, with length 1, on the CPU: so a GPU has been waited for."""
    return F.normalize(forward(given).float(), dim=-1).cpu()


def precision_of(tower: torch.nn.Module) -> str:
    """What most of a tower's weights are kept in, and its matrices multiplied in."""
    weights = dict[torch.dtype, int]()
    for module in tower.modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            weights[module.weight.dtype] = weights.get(module.weight.dtype, 0) + module.weight.numel()
    return str(max(weights, key=lambda dtype: weights[dtype])).removeprefix("torch.")


def check_name(name: str) -> None:
    """ValueError, with the nearest, for what `open_subject` does not know. Asked before anything is measured."""
    if not name.startswith(HUB_PREFIX) and not Path(name).exists():
        lookup(dict.fromkeys([*PRESETS, *BUNDLED, *PRETRAINED]), name, what="model")


def open_subject(name: str, folder: Path) -> Subject:
    """`name` is one of PRESETS, or what `fullclip.load` takes; "small" is the bundled model."""
    if name in PRESETS and name not in BUNDLED:
        path, known = folder / "model", random_checkpoint(PRESETS[name])
        write_checkpoint(known, path, tokenizer=Tokenizer.clip(context_length=known.config.text.context_length))
        return Subject(name=name, path=path, encoder=_opened(path), checkpoint=known, is_trained=False)
    path, _ = locate(name)
    checkpoint = None if (path / EXPORT_NAME).is_file() else read_checkpoint(path)
    return Subject(name=name, path=path, encoder=_opened(name), checkpoint=checkpoint, is_trained=True)


def _opened(name: str | Path) -> Encoder:
    """With the batches that `fullclip embed` takes."""
    encoder = load(name)
    encoder.batch_size = fastest(encoder)
    return encoder


def random_checkpoint(config: ClipConfig) -> Checkpoint:
    """A model of these shapes as training would begin with it."""
    clip = build(config)
    initialize(clip, torch.Generator().manual_seed(0))
    return Checkpoint(config=config, state=clip.state_dict(), preprocess=PreprocessConfig(size=config.vision.image_size))
