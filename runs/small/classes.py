"""The classes that an ImageNet network knows, as pairs of features and texts, without a picture of theirs.

Comes in: the network's last layer, shards of features of pictures of some of its classes (`features.py`), and WordNet. Goes
out: a shard with one pair for each class that has no pictures: views drawn from a normal distribution around the features that
the class's pictures must have had, and WordNet's words for it.

A linear classifier that was trained to the end says where a class's features lie: were they normal around the classes' means
with one covariance S for all, its weights would be S's inverse times the means (linear discriminant analysis; Hastie et al.
2009, section 4.3), so the means are S times the weights. Taken for S is the covariance of all
known features, that between classes included. How far from the centre they lie is measured on the classes that have
pictures; the report says how near these means come to the true ones.

    python runs/small/classes.py small/features/named --network efficientnet-lite2-9656183e.pth --out small/features/classes
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from class_texts import ClassTexts
from jaxtyping import Float, Int
from trunk import read_network
from wordnet import WordNet

from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.data.shards import read_shards, write_shards
from fullclip.preprocess.features import pack_features, unpack_features


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Features of pictures [n, width], and for each the number of its class."""

    features: Float[np.ndarray, "n width"]
    classes: Int[np.ndarray, " n"]

    def means(self) -> tuple[Int[np.ndarray, " known"], Float[np.ndarray, "known width"]]:
        known = np.unique(self.classes)
        return known, np.stack([self.features[self.classes == number].mean(axis=0) for number in known])


def read_seen(shards: Sequence[str], wnids: Sequence[str]) -> Seen:
    """All views of all pairs; a pair's metadata name its class's wnid. ValueError where they do not, or widths differ."""
    numbers = {wnid: number for number, wnid in enumerate(wnids)}
    features, classes = list[np.ndarray](), list[int]()
    for pair in read_shards(shards, Drops(strict=True)):
        views, wnid = unpack_features(pair.image, name=pair.key), pair.meta.get("wnid")
        if wnid not in numbers:
            what = f"is of {wnid}, which is no class of the network" if wnid else "has no wnid"
            raise ValueError(f"the pair {pair.key} {what}; give the features of named pictures")
        features.append(views)
        classes += [numbers[wnid]] * len(views)
    return Seen(features=np.concatenate(features), classes=np.array(classes))


def inferred_means(
    weights: Float[np.ndarray, "classes width"], seen: Seen
) -> tuple[Float[np.ndarray, "classes width"], Float[np.ndarray, " known"], float]:
    """(the means of all classes, the cosine of each known class's and its true one, the share of known classes whose nearest
    true mean is their own), all from the centre of the known ones.
    """
    known, true = seen.means()
    centre = true.mean(axis=0)
    directions = (weights - weights[known].mean(axis=0)) @ np.cov(seen.features.T)
    lengths = np.linalg.norm(directions[known], axis=1)
    distances = np.linalg.norm(true - centre, axis=1)
    cosines = directions[known] @ (true - centre).T / lengths[:, None] / distances
    scale = np.median(distances / lengths)
    nearest = float((cosines.argmax(axis=1) == np.arange(len(known))).mean())
    return centre + scale * directions, np.diag(cosines), nearest


def drawn(
    means: Float[np.ndarray, "classes width"], seen: Seen, *, views: int, seed: int
) -> Float[np.ndarray, "classes views width"]:
    """Views around each mean that vary as pictures of one class do; like all such features they are not below zero."""
    known, true = seen.means()
    within = np.cov((seen.features - true[np.searchsorted(known, seen.classes)]).T)
    values, vectors = np.linalg.eigh(within)
    noise = np.random.default_rng(seed).standard_normal((len(means), views, means.shape[1]))
    return np.maximum(means[:, None] + noise * np.sqrt(np.maximum(values, 0)) @ vectors.T, 0)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", nargs="+")
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--views", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    wnids = files("fullclip").joinpath("assets/datasets/imagenet/wordnet_ids.txt").read_text(encoding="utf-8").split()
    try:
        seen = read_seen(given.features, wnids)
        _, weights, _ = read_network(given.network)
        if seen.features.shape[1] != weights.shape[1]:
            raise ValueError(f"features of {seen.features.shape[1]} numbers, the network's classes have {weights.shape[1]}")
        wordnet = WordNet.read(given.wordnet)
    except (ValueError, OSError) as error:
        sys.exit(f"classes: {error}")
    means, cosines, nearest = inferred_means(weights.double().numpy(), seen)
    print(f"{len(cosines)} known classes: cosine with the true mean {cosines.mean():.2f}, nearest to their own {nearest:.1%}")
    unseen = np.setdiff1d(np.arange(len(wnids)), seen.classes)
    texts = ClassTexts(wordnet)
    made = drawn(means[unseen], seen, views=given.views, seed=given.seed)

    def pairs() -> Iterator[Pair]:
        for turn, (number, views) in enumerate(zip(unseen, made, strict=True)):
            wnid = wnids[number]
            captions = texts.captions(wnid, turn=turn)
            yield Pair(key=wnid, image=pack_features(views), texts=captions, meta={"wnid": wnid, "inferred": True})

    index = write_shards(pairs(), given.out)
    print(f"{given.out}: {sum(shard.num_pairs for shard in index.shards):,} classes")


if __name__ == "__main__":
    main()
