"""A teacher's similarities as the goal of a student's: who resembles whom, and how much, not only who belongs to whom."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from fullclip.core.distributed import World, gather
from fullclip.core.types import Features


def distillation(student: Features, teacher: Features, world: World) -> Float[Tensor, ""]:
    """Cross entropy from the teacher's to the student's softmax over all texts of each image, and over all images of each text.

    Both have this process's rows of the same samples, on every process equally many; their embedding widths may differ, and
    each has its own scale. Each process scores its own rows against all columns, so memory is local x global; averaged over
    processes, loss and gradient are those of one big batch. Nothing flows back into the teacher.

    Raises ValueError where the teacher's rows are not as many as the student's. Source: Hinton et al. (2015, "Distilling the
    Knowledge in a Neural Network"), section 2, each row of similarities being one softmax, as in MobileCLIP (Vasu et al. 2024,
    section 3.3).
    """
    if len(teacher.image) != len(student.image) or len(teacher.text) != len(student.text):
        counts = [f"{len(features.image)} images and {len(features.text)} texts" for features in (student, teacher)]
        raise ValueError(f"the student has {counts[0]}, the teacher {counts[1]}: they must have seen the same samples")
    with torch.no_grad():
        goals = [torch.softmax(logits, dim=1) for logits in _similarities(teacher, world)]
    losses = [
        F.cross_entropy(logits, goal.to(logits.dtype))
        for logits, goal in zip(_similarities(student, world), goals, strict=True)
    ]
    return (losses[0] + losses[1]) / 2


def _similarities(features: Features, world: World) -> tuple[Float[Tensor, "local global"], Float[Tensor, "local global"]]:
    """Own images against all texts, and own texts against all images, scaled."""
    texts, images = gather(features.text, world), gather(features.image, world)
    return features.scale * features.image @ texts.T, features.scale * features.text @ images.T
