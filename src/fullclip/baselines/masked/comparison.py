"""What towers of one size know after masked patches, after contrast and before any learning: the same pictures, the same probe.

The Vision Transformer paper found masked patches ahead of no pre-training and behind supervision (Dosovitskiy et al. 2021,
section 4.6).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fullclip.baselines.learning.curve import described
from fullclip.baselines.learning.loop import learn
from fullclip.baselines.learning.pairs import Pairs, Pictures, Question, middle, normalized, read_question, side_of
from fullclip.baselines.learning.settings import Settings
from fullclip.baselines.learning.way import Way, image_tower
from fullclip.baselines.masked.patches import NO_PATCHES, MaskedPatches, encoded
from fullclip.baselines.results.parts import Part, completed, in_order, parts_of
from fullclip.baselines.results.records import Row
from fullclip.baselines.ways.methods import METHODS, vocabularies
from fullclip.core.config import to_dict
from fullclip.data.drops import Drops
from fullclip.evaluation.probe.sweep import Examples, fit_best
from fullclip.evaluation.statistics.metrics import accuracy
from fullclip.evaluation.suite.probing import held_out
from fullclip.evaluation.tasks.task import Task
from fullclip.models.config import VitConfig
from fullclip.models.vit import VisionTransformer

VIT = VitConfig(image_size=64, patch_size=8, width=128, layers=4, heads=4, mlp_width=512)
MOST_TRAINING = 10_000  # pictures that a probe is fitted on
READINGS = ("class token", "mean of patches")
_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A task's pictures with their labels, to fit a probe on and to measure it with."""

    train: Question
    test: Question


def read_subject(task: Task, settings: Settings, drops: Drops) -> Subject:
    """At most 10,000 pictures of a task's train split, and `settings.num_questions` of its test split. ValueError where it has
    no train split, or the tower is no ViT.
    """
    if not isinstance(settings.vision, VitConfig):
        raise ValueError(NO_PATCHES)
    if "train" not in task.splits:
        raise ValueError(f"{task.name} has no train split, which a probe is fitted on; give a task with train and test")
    side = side_of(settings.vision.image_size)
    train = replace(task, splits={"test": task.splits["train"]})
    return Subject(
        train=read_question(train, side=side, most=MOST_TRAINING, drops=drops),
        test=read_question(task, side=side, most=settings.num_questions, drops=drops),
    )


def compare_masked(
    pairs: Pairs,
    subject: Subject,
    out: Path,
    settings: Settings,
    *,
    shards: Sequence[str],
    seeds: Sequence[int],
    device: torch.device,
) -> Iterator[list[Row]]:
    """The rows of results.jsonl in `out`, one for each way, seed and reading of the tower, each time that a way has been
    learned with a seed, and at the end; what is there already is not learned again. ValueError for a folder of another
    comparison.
    """

    def made(part: Part) -> list[Row]:
        tower, facts = _learned(part["way"], pairs, subject, settings, seed=part["seed"], device=device)
        return [{**part, **facts, **row} for row in probed(tower, subject)]

    decides = {**described(shards, pairs, subject.test, settings), "training": len(subject.train.labels)}
    for rows in completed(out, decides, parts_of(list(WAYS), seeds, named="way"), made):
        yield in_order(rows, WAYS, named="way")


def _learned(
    name: str, pairs: Pairs, subject: Subject, settings: Settings, *, seed: int, device: torch.device
) -> tuple[VisionTransformer, Mapping[str, float | int]]:
    """A way's tower after all of its images, averaged over its last steps, and what is to be said of its learning."""
    way = WAYS[name](pairs, settings, seed).to(device)
    assert isinstance(way.tower, VisionTransformer)
    if isinstance(way, Unlearned):
        return way.tower.eval(), {"images": 0}
    facts: dict[str, float | int] = {}
    averaged: dict[str, Tensor] = {}
    for images in learn(way, pairs, replace(settings, every=settings.images), seed=seed, title=f"{name}, seed {seed}"):
        averaged = {key: value.clone() for key, value in way.state_dict().items()}
        facts["images"] = images
        if isinstance(way, MaskedPatches):
            facts["held_out_loss"] = _held_out_loss(way, subject.test.pictures, settings)
    way.load_state_dict(averaged)
    return way.tower.eval(), facts


class Unlearned(Way):
    """A tower as it begins."""

    def loss(self, images: Float[Tensor, "batch 3 height width"], texts: Sequence[str]) -> Float[Tensor, ""]:
        raise AssertionError("this way is not to be learned")


def _masked(pairs: Pairs, settings: Settings, seed: int) -> Way:
    way = MaskedPatches(image_tower(settings, seed=seed))
    way.initialize(torch.Generator().manual_seed(seed))
    return way


def _contrastive(pairs: Pairs, settings: Settings, seed: int) -> Way:
    return METHODS["contrastive"].build(settings, vocabularies(pairs, settings), seed)


def _unlearned(pairs: Pairs, settings: Settings, seed: int) -> Way:
    return Unlearned(image_tower(settings, seed=seed))


WAYS: Mapping[str, Callable[[Pairs, Settings, int], Way]] = {
    "contrastive": _contrastive,
    "masked patches": _masked,
    "no learning": _unlearned,
}


@torch.inference_mode()
def _held_out_loss(way: MaskedPatches, pictures: Pictures, settings: Settings) -> float:
    """Of pictures that were not learned from, with patches that a seed draws: what guessing makes ln 512 = 6.24."""
    torch.manual_seed(0)
    device = way.mask.device
    losses = [way.loss(images.to(device), ()).item() * len(images) for images in _images(pictures, settings.vision.image_size)]
    return sum(losses) / len(pictures)


def _images(pictures: Pictures, image_size: int) -> Iterator[Float[Tensor, "batch 3 size size"]]:
    for start in range(0, len(pictures), _BATCH):
        yield normalized(middle(pictures[start : start + _BATCH], image_size))


@torch.inference_mode()
def features(tower: VisionTransformer, pictures: Pictures) -> dict[str, Float[np.ndarray, "n dim"]]:
    """What a probe can be fitted on, before the projection: the class token, which contrast trains and masked patches do not
    look at, and the mean of the patches.
    """
    device, size = tower.class_embedding.device, tower.learned_grid * tower.patch_size
    tokens = [encoded(tower, *tower.embedded_patches(images.to(device))).float().cpu() for images in _images(pictures, size)]
    read = (torch.cat([part[:, 0] for part in tokens]), torch.cat([part[:, 1:].mean(dim=1) for part in tokens]))
    return {name: found.numpy() for name, found in zip(READINGS, read, strict=True)}


def probed(tower: VisionTransformer, subject: Subject) -> list[Row]:
    """The accuracy of a probe on each reading of a tower (appendix A.3 of the CLIP paper): a fifth of each class of the
    training pictures chooses the penalty.
    """
    train, test, rows = features(tower, subject.train.pictures), features(tower, subject.test.pictures), list[Row]()
    labels = subject.train.labels
    chosen = held_out(labels)
    for reading in READINGS:
        fitted = fit_best(
            Examples(features=train[reading][~chosen], targets=labels[~chosen]),
            Examples(features=train[reading][chosen], targets=labels[chosen]),
            len(subject.test.classes),
        )
        found = accuracy(fitted.probe.scores(test[reading]), subject.test.labels, task=subject.test.name).result
        rows.append({"reading": reading, **to_dict(found), "train": len(labels), "lambda": fitted.sweep.best})
    return rows
