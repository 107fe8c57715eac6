"""Classes in words -> the weights of a zero-shot classifier, computed on all processes and kept on disk."""

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from fullclip.core.distributed import World, everyones, together
from fullclip.core.logs import progress
from fullclip.core.storage import atomic_file
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.zeroshot.classifier import class_weights

_AT_ONCE = 16  # classes; the same for any number of processes, so that weights are equal to the bit


def weights_of(
    classes: Sequence[Sequence[str]],
    templates: Sequence[str],
    backbone: ClipBackbone,
    *,
    cache: Path | None,
    world: World,
) -> Float[np.ndarray, "classes embed"]:
    """The weights of each class, float32, each row of length 1: the mean over its names and templates (section 3.1.4)."""
    words = json.dumps([list(map(list, classes)), list(templates), backbone.fingerprint])
    mark = hashlib.sha256(words.encode()).hexdigest()
    path = None if cache is None else cache / "words" / f"{mark[:32]}.npy"
    kept = everyones(_read(path), world)
    for weights in kept:
        if weights is not None and weights.shape == (len(classes), backbone.encoder.embed):
            return weights
    groups = [classes[start : start + _AT_ONCE] for start in range(0, len(classes), _AT_ONCE)]

    def work() -> dict[int, np.ndarray]:
        own = range(world.rank, len(groups), world.size)
        with progress(f"x {_AT_ONCE} classes") as bar:
            shown = bar.track(own, description="words") if world.leads else own
            return {number: class_weights(backbone.encoder, groups[number], templates) for number in shown}

    found: dict[int, np.ndarray] = {}
    for part in everyones(together(work, world), world):
        found |= part
    weights = np.concatenate([found[number] for number in range(len(groups))])
    if path is not None and world.leads:
        with atomic_file(path) as file:
            np.save(file, weights, allow_pickle=False)
    return weights


def _read(path: Path | None) -> np.ndarray | None:
    if path is None or not path.is_file():
        return None
    try:
        found: np.ndarray = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except (ValueError, EOFError, OSError):  # damaged: written again
        return None
    return found
