"""A vocabulary of one's own: byte pairs learned from texts, splitting and cleaning as CLIP's does.

Comes in: files of texts, one a line. Goes out: a `tokenizer.json` for `--set data.tokenizer=...`: 256 bytes, 256 bytes that
end a word, the merges, start and end, the same bytes for the same texts.

    python runs/small/vocabulary.py --size 12000 --out small/tokenizer.json small/texts.txt
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path

import tokenizers
from tokenizers import models, trainers

from fullclip.preprocess.tokenizer import END, START, clean

CLIP = files("fullclip").joinpath("assets/tokenizer.json")


def learn(texts: Iterable[str], *, size: int) -> str:
    """A tokenizer.json of at most `size` pieces, the pairs that occur most often first."""
    clip = json.loads(CLIP.read_text(encoding="utf-8"))
    letters = sorted(clip["model"]["vocab"], key=clip["model"]["vocab"].__getitem__)[:512]
    if size < len(letters) + 3:
        raise ValueError(f"size is {size}: at least {len(letters) + 3}, for the bytes, one merge, start and end")
    engine = tokenizers.Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    engine.pre_tokenizer = tokenizers.Tokenizer.from_str(json.dumps(clip)).pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=size - 2, end_of_word_suffix="</w>", initial_alphabet=letters[:256], show_progress=False
    )
    engine.train_from_iterator((clean(text) for text in texts), trainer)
    merges = [tuple(merge) for merge in json.loads(engine.to_str())["model"]["merges"]][: size - len(letters) - 2]
    pieces = [*letters, *("".join(merge) for merge in merges), START, END]
    clip["model"] |= {"vocab": {piece: i for i, piece in enumerate(pieces)}, "merges": [list(merge) for merge in merges]}
    clip["added_tokens"] = []
    return json.dumps(clip, ensure_ascii=False)


def lines(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        with path.open(encoding="utf-8") as file:
            yield from file


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--size", type=int, default=12_000)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        learned = learn(lines(given.texts), size=given.size)
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(learned, encoding="utf-8")
    except (ValueError, OSError) as error:
        sys.exit(f"vocabulary: {error}")
    print(f"{given.out}: {len(json.loads(learned)['model']['vocab']):,} pieces")


if __name__ == "__main__":
    main()
