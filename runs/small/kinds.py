"""What the classes are kinds of, as pairs of their own: a horse is shown by the sorrel, a dog by 118 breeds.

Comes in: shards of features of classes' pictures (`features.py`) and of classes without (`classes.py`), whose metadata name
their wnid, and WordNet. Goes out: a shard with one pair for each concrete hypernym that some class has: views of its classes,
as many of each, and WordNet's words for it. In a class's own captions such a word is one of twenty, and a kind that has one
class only would hardly be met.

    python runs/small/kinds.py small/features/named small/features/classes --out small/features/kinds
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from class_texts import ClassTexts
from jaxtyping import Float
from wordnet import WordNet

from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.data.shards import read_shards, write_shards
from fullclip.preprocess.features import pack_features, unpack_features

MOST_OF_A_CLASS = 256  # views that are kept in memory

Views = Float[np.ndarray, "views width"]


def views_by_class(shards: Sequence[str]) -> dict[str, Views]:
    """By wnid, the first pairs' views."""
    found = defaultdict[str, list[np.ndarray]](list)
    for pair in read_shards(shards, Drops(strict=True)):
        kept = found[pair.meta["wnid"]]
        if sum(map(len, kept)) < MOST_OF_A_CLASS:
            kept.append(unpack_features(pair.image, name=pair.key))
    return {wnid: np.concatenate(views) for wnid, views in sorted(found.items())}


def classes_by_kind(classes: Sequence[str], texts: ClassTexts) -> dict[str, list[str]]:
    """By the wnid of each concrete hypernym, the classes below it."""
    found = defaultdict[str, list[str]](list)
    for wnid in classes:
        for kind in dict.fromkeys(synset.wnid for synset, _ in texts.hypernyms(wnid)):
            found[kind].append(wnid)
    return dict(sorted(found.items()))


def shown_by(classes: Sequence[str], views: Mapping[str, Views], *, count: int, random: np.random.Generator) -> Views:
    """`count` views, of each class as many as of any other, or one more."""
    order = random.permutation(len(classes))
    chosen = [classes[order[number % len(classes)]] for number in range(count)]
    return np.stack([views[wnid][int(random.integers(len(views[wnid])))] for wnid in chosen])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", nargs="+")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--views", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    texts, views = ClassTexts(WordNet.read(given.wordnet)), views_by_class(given.features)
    kinds = classes_by_kind(list(views), texts)
    random = np.random.default_rng(given.seed)

    def pairs() -> Iterator[Pair]:
        for turn, (kind, classes) in enumerate(kinds.items()):
            shown = shown_by(classes, views, count=given.views, random=random)
            yield Pair(
                key=kind, image=pack_features(shown), texts=texts.captions(kind, turn=turn), meta={"classes": len(classes)}
            )

    index = write_shards(pairs(), given.out)
    print(f"{given.out}: {sum(shard.num_pairs for shard in index.shards):,} kinds of {len(views):,} classes")


if __name__ == "__main__":
    main()
