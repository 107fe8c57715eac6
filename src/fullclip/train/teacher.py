"""A model whose similarities are imitated, beside the pairs themselves. It is not trained."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from fullclip import losses
from fullclip.core.distributed import World
from fullclip.core.types import Features
from fullclip.inference import load
from fullclip.models.clip import Clip
from fullclip.train.config import Run


class Teacher:
    """Looks at the same images and texts as the model in training, some at a time."""

    def __init__(self, model: Clip, *, weight: float, world: World, part_size: int) -> None:
        self._model, self._weight, self._world, self._part_size = model, weight, world, part_size

    @torch.no_grad()
    def features(self, images: Float[Tensor, "batch channels height width"], tokens: Int[Tensor, "batch context"]) -> Features:
        dtype = self._model.text.dtype
        parts = [
            self._model(*part)
            for part in zip(images.to(dtype).split(self._part_size), tokens.split(self._part_size), strict=True)
        ]
        image, text = (torch.cat([getattr(part, side) for part in parts]).to(images.dtype) for side in ("image", "text"))
        return Features(image=image, text=text, scale=parts[0].scale.to(images.dtype))

    def loss(self, features: Features, taught: Features) -> Float[Tensor, ""]:
        """What the imitation adds to the loss."""
        return self._weight * losses.distillation(features, taught, self._world)


def load_teacher(run: Run, *, world: World, device: torch.device) -> Teacher | None:
    """The teacher that the run names; ValueError where it does not read what the model reads."""
    name = run.loss.teacher
    if not name:
        return None
    encoder = load(name, precision="float32", device=str(device))
    theirs, ours = encoder.preprocess, run.preprocess
    if (theirs.mean, theirs.std) != (ours.mean, ours.std):
        raise ValueError(
            f"loss.teacher {name} wants images of mean {theirs.mean}, std {theirs.std}: set preprocess.mean and .std"
        )
    model = encoder.clip
    text = model.text
    if text.token_embedding.num_embeddings != run.model.text.vocab_size or text.end_id != run.model.text.end_id:
        raise ValueError(f"loss.teacher {name} has another vocabulary than the model: take one with the same tokenizer")
    if text.context_length < run.model.text.context_length:
        raise ValueError(
            f"loss.teacher {name} reads {text.context_length} tokens: set model.text.context_length={text.context_length}"
        )
    if run.train.precision == "float64":
        model.double()
    part_size = run.train.micro_batch or run.train.batch_size // world.size
    return Teacher(model.requires_grad_(False), weight=run.loss.teacher_weight, world=world, part_size=part_size)
