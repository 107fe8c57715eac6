"""The texts that are measured with: ImageNet's classes in 80 sentences (the paper's authors'), and the sample's captions."""

from collections.abc import Sequence
from importlib.resources import files

import torch
from torch import Tensor

from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.data.shards import read_shards
from fullclip.evaluation.datasets import class_names, templates
from fullclip.preprocess.tokenizer import Tokenizer
from fullclip.zeroshot.prompts import fill


def eighty() -> tuple[str, ...]:
    """ImageNet's templates, with `{}` for the class."""
    return tuple(template.replace("{c}", "{}") for template in templates("imagenet"))


def some_classes(number: int) -> list[str]:
    """The first name of so many of ImageNet's classes, spread over its list."""
    names = [words[0] for words in class_names("imagenet")]
    return [names[i * len(names) // number] for i in range(number)]


def prompts(classes: int) -> list[str]:
    """All templates for each of so many classes."""
    return [prompt for name in some_classes(classes) for prompt in fill(name, eighty())]


def spread(texts: Sequence[str], number: int) -> list[str]:
    """So many of the texts, or all, from everywhere in the list."""
    number = min(number, len(texts))
    return [texts[i * len(texts) // number] for i in range(number)]


def padded(tokenizer: Tokenizer, texts: Sequence[str], device: torch.device) -> Tensor:
    """Tokens up to the whole context, as openai/CLIP gives them to its model."""
    return tokenizer.encode(texts, truncate=True).ids.to(device)


def sample(part: str) -> list[Pair]:
    """The pairs of a part of the sample that ships with the package: train or heldout."""
    return list(read_shards([str(files("fullclip").joinpath(f"assets/sample/{part}"))], Drops(strict=True)))
