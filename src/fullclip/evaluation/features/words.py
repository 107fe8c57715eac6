"""Words into features: the weights of a zero-shot classifier, the embeddings of captions; computed on all processes, kept on
disk.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from fullclip.core.distributed import World, everyones, on_leader, together
from fullclip.core.kept import read_kept, write_kept
from fullclip.core.logs import progress
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.zeroshot.classifier import class_weights

# What is encoded at once; the same for any number of processes, so that the rows are.
_CLASSES, _CAPTIONS = 16, 512


def weights_of(
    classes: Sequence[Sequence[str]], templates: Sequence[str], backbone: ClipBackbone, *, cache: Path | None, world: World
) -> Float[np.ndarray, "classes embed"]:
    """The weights of each class, float32, each row of length 1: the mean over its names and templates (section 3.1.4)."""
    groups = [classes[start : start + _CLASSES] for start in range(0, len(classes), _CLASSES)]
    path = _path(cache, backbone, [list(map(list, classes)), list(templates)])
    return _rows(
        groups, lambda group: class_weights(backbone.encoder, group, templates), path, world, unit=f"x {_CLASSES} classes"
    )


def captions_of(
    captions: Sequence[str], backbone: ClipBackbone, *, cache: Path | None, world: World
) -> Float[np.ndarray, "captions embed"]:
    """The embedding of each caption, float32, of length 1; what is longer than the context is cut."""
    groups = [captions[start : start + _CAPTIONS] for start in range(0, len(captions), _CAPTIONS)]
    path = _path(cache, backbone, list(captions))
    encode = backbone.encoder.encode_texts
    return _rows(groups, lambda group: encode(group, truncate=True), path, world, unit=f"x {_CAPTIONS} captions")


def _path(cache: Path | None, backbone: ClipBackbone, words: list[Any]) -> Path | None:
    if cache is None:
        return None
    mark = hashlib.sha256(json.dumps([words, backbone.fingerprint, backbone.vocabulary]).encode()).hexdigest()
    return cache / "words" / f"{mark[:32]}.npz"


def _rows(
    groups: Sequence[Sequence[Any]],
    encode: Callable[[Sequence[Any]], np.ndarray],
    path: Path | None,
    world: World,
    *,
    unit: str,
) -> np.ndarray:
    kept = on_leader(lambda: None if path is None else read_kept(path), world)
    if kept is not None:
        return kept[1]["rows"]

    def work() -> dict[int, np.ndarray]:
        own = range(world.rank, len(groups), world.size)
        if not world.leads:
            return {i: encode(groups[i]) for i in own}
        with progress(unit) as bar:
            return {i: encode(groups[i]) for i in bar.track(own, description="words")}

    found: dict[int, np.ndarray] = {}
    for part in everyones(together(work, world), world):
        found |= part
    rows = np.concatenate([found[i] for i in range(len(groups))])
    if path is not None:
        on_leader(lambda: write_kept(path, len(rows), rows=rows), world)
    return rows
