"""CLIP's byte-pair encoding: strings in, token ids out, identical to openai/CLIP's `simple_tokenizer.py`.

The cleaning is Python (ftfy, html, str.lower: the very functions that openai/CLIP calls), the encoding is the
`tokenizers` engine. Knows nothing of models.
"""

import html
import json
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import ftfy
import numpy as np
import tokenizers
import torch
from jaxtyping import Int
from tokenizers.decoders import ByteLevel
from tokenizers.pre_tokenizers import ByteLevel as ByteLetters
from torch import Tensor

START, END = "<|startoftext|>", "<|endoftext|>"

# On such a text ftfy and html.unescape change nothing (there is no control character, no entity, no non-ASCII letter),
# so they need not be called; tests/preprocess/test_tokenizer.py proves it against the slow way.
_PLAIN = re.compile(r"[\t\n\x20-\x25\x27-\x7e]*").fullmatch
# Words repeat so much that remembering their ids beats any engine.
_MOST_KNOWN_WORDS, _LONGEST_KNOWN_WORD = 100_000, 32
_BYTES = ByteLetters(add_prefix_space=False, use_regex=False)
_SPACE = re.compile(r"\s+")
_LONE_SURROGATE = re.compile("[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]")


def clean(text: str) -> str:
    """Mend mojibake (ftfy), unescape HTML twice, fold white space, lower-case: openai/CLIP's three cleaning functions.

    ValueError on a lone surrogate: such a string is no text, and cannot be encoded.
    """
    if _PLAIN(text):
        return " ".join(text.split()).lower()
    if surrogate := _LONE_SURROGATE.search(text):
        raise ValueError(
            f"a lone surrogate {surrogate.group()!a} at position {surrogate.start()} of {text[:40]!a}: decode the text"
            " with errors='replace', or drop it"
        )
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return _SPACE.sub(" ", text.strip()).strip().lower()


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Token ids, start and end included, zero after the end; and how many of the texts were cut to fit."""

    ids: Int[Tensor, "batch context"]
    num_truncated: int


class Tokenizer:
    """Texts to ids [batch, context_length]. Made by `Tokenizer.clip()` or `Tokenizer.from_file(path)`.

    `engine` splits and encodes a cleaned text; it must know the pieces <|startoftext|> and <|endoftext|>.
    """

    def __init__(self, engine: tokenizers.Tokenizer, *, context_length: int = 77) -> None:
        if context_length < 3:
            raise ValueError(f"context_length is {context_length}: at least 3, for start, one piece and end")
        start, end = engine.token_to_id(START), engine.token_to_id(END)
        if start is None or end is None:
            raise ValueError(f"this tokenizer has no {START} and {END}: it was not made for CLIP")
        self._engine = engine
        self.context_length = context_length
        self.start_id, self.end_id = start, end
        self.vocab_size = engine.get_vocab_size()
        self._known: dict[str, tuple[int, ...]] = {}
        self._pattern = _pattern_of(engine)

    @classmethod
    def clip(cls, *, context_length: int = 77) -> "Tokenizer":
        """openai/CLIP's own vocabulary of 49,408 pieces, which ships with the package."""
        return cls(_bundled_engine(), context_length=context_length)

    @classmethod
    def from_file(cls, path: str | Path, *, context_length: int = 77) -> "Tokenizer":
        """A `tokenizer.json` that `save` wrote."""
        return cls(_read_engine(Path(path).read_text(encoding="utf-8"), source=str(path)), context_length=context_length)

    def save(self, path: str | Path) -> None:
        """Write the vocabulary as a `tokenizer.json`."""
        Path(path).write_text(self._engine.to_str(), encoding="utf-8")

    def pieces(self) -> tuple[dict[str, int], list[tuple[str, str]]]:
        """The vocabulary (piece -> id) and the merges in order of rank, for writing other libraries' files."""
        model = json.loads(self._engine.to_str())["model"]
        return model["vocab"], [(left, right) for left, right in model["merges"]]

    def __call__(self, texts: str | Sequence[str], *, truncate: bool = False) -> Int[Tensor, "batch context"]:
        """Ids of the texts, int64. A text over the context length is an error, or with `truncate` a warning."""
        tokens = self.encode(texts, truncate=truncate)
        if tokens.num_truncated:
            total = tokens.ids.shape[0]
            warnings.warn(f"{tokens.num_truncated} of {total} texts cut to {self.context_length} tokens", stacklevel=2)
        return tokens.ids

    def encode(self, texts: str | Sequence[str], *, truncate: bool = False) -> Tokens:
        """Ids of the texts, int64, and the number of texts that were cut (the last kept id becomes the end).

        ValueError where a text is too long and `truncate` is not set, or is not a string.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        rows = [[self.start_id, *self._pieces_of(text, row), self.end_id] for row, text in enumerate(texts)]
        too_long = [row for row, ids in enumerate(rows) if len(ids) > self.context_length]
        if too_long and not truncate:
            row = too_long[0]
            raise ValueError(
                f"text {row} has {len(rows[row])} tokens, the context holds {self.context_length}:"
                f" {texts[row][:60]!r}...; shorten it or pass truncate=True"
            )
        for row in too_long:
            rows[row] = [*rows[row][: self.context_length - 1], self.end_id]
        return Tokens(ids=torch.from_numpy(_pad(rows, self.context_length)), num_truncated=len(too_long))

    def _pieces_of(self, text: str, row: int) -> list[int]:
        if not isinstance(text, str):
            raise ValueError(f"text {row} is a {type(text).__name__}, expected a string: {text!r}")
        text = clean(text)
        up_to = "\x7f" if text.isascii() else "\uffff" if max(text) <= "\uffff" else "\U0010ffff"
        words, known = _splitter(self._pattern, up_to)(text), self._known
        try:
            return [i for word in words for i in known[word]]
        except KeyError:
            return [i for word in words for i in self._learned(word)]

    def _learned(self, word: str) -> tuple[int, ...]:
        """The ids of a word, remembered from now on; the memory is bounded, and starts anew when it is full."""
        ids = self._known.get(word) or self._encode_word(word)
        if len(self._known) >= _MOST_KNOWN_WORDS:
            self._known = {}
        if len(word) <= _LONGEST_KNOWN_WORD:
            self._known[word] = ids
        return ids

    def _encode_word(self, word: str) -> tuple[int, ...]:
        """One word of the splitting pattern. A spelled-out start or end is that id, as in openai/CLIP."""
        if word in (START, END):
            return (self.start_id if word == START else self.end_id,)
        [(letters, _)] = _BYTES.pre_tokenize_str(word)
        return tuple(token.id for token in self._engine.model.tokenize(letters))

    def decode(self, ids: Sequence[int] | Int[Tensor, " context"]) -> str:
        """The text of one row of ids, as openai/CLIP decodes it: lower case, start and end and padding left out."""
        row = [int(i) for i in ids]
        if self.end_id in row:
            row = row[: row.index(self.end_id)]
        letters = "".join(str(self._engine.id_to_token(i)) for i in row if i != self.start_id)
        return " ".join(ByteLevel().decode([word]) for word in letters.split("</w>")).strip()


def _pattern_of(engine: tokenizers.Tokenizer) -> str:
    """The engine's splitting pattern; ValueError for an engine that splits in another way than CLIP's."""
    try:
        return str(json.loads(engine.pre_tokenizer.__getstate__())["pretokenizers"][0]["pattern"]["Regex"])
    except (AttributeError, LookupError, TypeError):
        raise ValueError("this tokenizer does not split words by a pattern, as CLIP's does") from None


_RANGE = re.compile(r"\\x\{([0-9a-f]+)\}-\\x\{([0-9a-f]+)\}")


@lru_cache(maxsize=8)
def _splitter(pattern: str, up_to: str) -> Callable[[str], list[str]]:
    """The engine's splitting pattern for Python's `re`, for texts of no character above `up_to`: fewer ranges are faster."""

    def kept(match: re.Match[str]) -> str:
        first, last = int(match[1], 16), min(int(match[2], 16), ord(up_to))
        return f"\\U{first:08x}-\\U{last:08x}" if first <= last else ""

    return re.compile(_RANGE.sub(kept, pattern)).findall


def _pad(rows: list[list[int]], context_length: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Rows of ids as one array [rows, context_length], zero after each row's last id."""
    lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
    ids = np.zeros((len(rows), context_length), dtype=np.int64)
    ids[np.arange(context_length) < lengths[:, None]] = np.fromiter((i for row in rows for i in row), dtype=np.int64)
    return ids


@lru_cache(maxsize=1)
def _bundled_engine() -> tokenizers.Tokenizer:
    return _read_engine(files("fullclip").joinpath("assets/tokenizer.json").read_text(encoding="utf-8"), source="assets")


def _read_engine(text: str, *, source: str) -> tokenizers.Tokenizer:
    try:
        return tokenizers.Tokenizer.from_str(text)
    except Exception as error:  # the engine raises bare Exception
        raise ValueError(f"{source}: not a tokenizer.json: {error}") from None
