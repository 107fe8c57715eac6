"""What a training run may be asked on its way: retrieval among held-out pairs, zero-shot answers on a folder of classes.

Each gives a function that the training loop calls on all processes: every process encodes its share, all learn the result.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from fullclip.core.distributed import World, everyones
from fullclip.data.drops import Drops
from fullclip.data.shards import find_shards, read_shard
from fullclip.inference import Encoder
from fullclip.preprocess.image import IMAGE_EXTENSIONS
from fullclip.zeroshot.classifier import ZeroShotClassifier
from fullclip.zeroshot.prompts import PHOTO

Evaluator = Callable[[Encoder, World], Mapping[str, float]]

_KS = (1, 5)


def retrieval(shards: Sequence[str], *, limit: int = 5000) -> Evaluator:
    """Recall@1 and @5 both ways among the first `limit` pairs of `shards`, each by its first text.

    A pair whose image cannot be read is left out. ValueError where the shards hold fewer than two pairs.
    """
    every = (pair for path in find_shards(shards) for pair in read_shard(path, Drops()))
    pairs = list(islice(every, limit))
    if len(pairs) < 2:
        raise ValueError(f"{', '.join(shards)}: {len(pairs)} pairs; retrieval needs at least two")

    def evaluate(encoder: Encoder, world: World) -> dict[str, float]:
        own = pairs[world.rank :: world.size]
        images, kept, _ = encoder.encode_readable_images([pair.image for pair in own])
        texts = encoder.encode_texts([own[i].texts[0] for i in kept], truncate=True)
        told = everyones((images, texts), world)
        similarity = np.concatenate([part for part, _ in told]) @ np.concatenate([part for _, part in told]).T
        recalls: dict[str, float] = {}
        for name, matrix in (("image_to_text", similarity), ("text_to_image", similarity.T)):
            better = (matrix >= np.diag(matrix)[:, None]).sum(axis=1) - 1  # a tie counts as better
            recalls |= {f"{name}_recall@{k}": float((better < k).mean()) for k in _KS}
        return recalls

    return evaluate


def zero_shot(folder: Path, *, templates: Sequence[str] = PHOTO) -> Evaluator:
    """Top-1 accuracy on `folder`, which has a folder of images for each class, named as the class is called.

    ValueError where there are fewer than two classes with an image.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; zero-shot needs one with a folder of images for each class")
    paths = {
        place.name: sorted(path for path in place.rglob("*") if path.suffix.lower().lstrip(".") in IMAGE_EXTENSIONS)
        for place in sorted(folder.iterdir())
        if place.is_dir()
    }
    labels = [label for label, found in paths.items() if found]
    if len(labels) < 2:
        raise ValueError(f"{folder}: {len(labels)} folders with images; zero-shot needs one for each of two or more classes")
    images = [(path, labels.index(label)) for label in labels for path in paths[label]]

    def evaluate(encoder: Encoder, world: World) -> dict[str, float]:
        words = [label.replace("_", " ") for label in labels]
        classifier = ZeroShotClassifier(encoder, labels=words, templates=templates)
        own = images[world.rank :: world.size]
        embeddings, kept, _ = encoder.encode_readable_images([path for path, _ in own])
        right = classifier.probabilities(embeddings).argmax(axis=1) == np.array([own[i][1] for i in kept], dtype=int)
        told = everyones((int(right.sum()), len(right)), world)
        hits, number = (sum(parts) for parts in zip(*told, strict=True))
        return {"zero_shot_top1": hits / number if number else math.nan}

    return evaluate
