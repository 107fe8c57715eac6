"""The four ways of the comparison by name: pairs and settings in, a way with its first weights out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain

import torch

from fullclip.baselines.learning.pairs import Pairs
from fullclip.baselines.learning.settings import Settings
from fullclip.baselines.learning.vocabulary import Pieces, Words
from fullclip.baselines.learning.way import Answering, image_tower
from fullclip.baselines.ways.bag_of_words import BagOfWords
from fullclip.baselines.ways.caption_lm import CaptionModel
from fullclip.baselines.ways.contrastive import BagEncoder, Contrastive, text_transformer


@dataclass(frozen=True, kw_only=True)
class Vocabularies:
    """What the texts of the pairs are made of."""

    pieces: Pieces
    words: Words


def vocabularies(pairs: Pairs, settings: Settings) -> Vocabularies:
    """Of all captions of the pairs."""
    captions = list(chain.from_iterable(pairs.texts))
    length = settings.text.context_length
    return Vocabularies(
        pieces=Pieces(captions, least=settings.least, most=settings.num_pieces, context_length=length),
        words=Words(captions, least=settings.least, most=settings.num_words),
    )


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way that is to be compared: what people call it, and how it is made of settings, vocabularies and a seed."""

    title: str
    build: Callable[[Settings, Vocabularies, int], Answering]


def _caption_lm(settings: Settings, words: Vocabularies, seed: int) -> Answering:
    decoder = text_transformer(settings, words.pieces, seed=seed)
    return CaptionModel(image_tower(settings, seed=seed), decoder, words.pieces, generator=_generator(seed))


def _bag_of_words(settings: Settings, words: Vocabularies, seed: int) -> Answering:
    tower = image_tower(settings, seed=seed)
    return BagOfWords(tower, words.words, embed=settings.embed, generator=_generator(seed))


def _contrastive_bag(settings: Settings, words: Vocabularies, seed: int) -> Answering:
    encoder = BagEncoder(words.pieces.size, width=settings.text.width, embed=settings.embed, generator=_generator(seed))
    return Contrastive(image_tower(settings, seed=seed), encoder, words.pieces)


def _contrastive(settings: Settings, words: Vocabularies, seed: int) -> Answering:
    encoder = text_transformer(settings, words.pieces, seed=seed)
    return Contrastive(image_tower(settings, seed=seed), encoder, words.pieces)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# In the order in which the paper improves on each (section 2.3); its Figure 2 has the first three.
METHODS: Mapping[str, Method] = {
    "caption-lm": Method(title="Transformer language model", build=_caption_lm),
    "bag-of-words": Method(title="bag of words prediction", build=_bag_of_words),
    "contrastive-bag": Method(title="contrastive, bag of words", build=_contrastive_bag),
    "contrastive": Method(title="contrastive, Transformer", build=_contrastive),
}
