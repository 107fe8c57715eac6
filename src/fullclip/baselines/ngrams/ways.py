"""Visual N-Grams (Li et al. 2017): an image tower that scores every n-gram of a dictionary of captions, with both its losses.

The tower's features times an embedding matrix are the scores. A class is answered by how likely its name is for a picture.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fullclip.baselines.learning.way import Answering, ImageTower, Scorer, log_mean
from fullclip.baselines.ngrams.dictionary import NgramDictionary, Occurrences, words_of
from fullclip.baselines.ngrams.smoothing import SMOOTHING, Words, check_smoothing, log_probabilities, words_together

_MOST_KNOWN_TEXTS = 100_000


class NgramScores(nn.Module):
    """An embedding and a bias for each n-gram. Biases begin as logarithms of counts, so that the model of language that the
    counts alone make is where learning starts; the paper has no bias, and does not say where it starts.
    """

    def __init__(self, dictionary: NgramDictionary, *, dim: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(len(dictionary), dim))
        self.bias = nn.Parameter(torch.from_numpy(dictionary.counts).float().log())
        self.register_buffer("starts", torch.from_numpy(dictionary.starts), persistent=False)

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        nn.init.normal_(self.embedding, std=0.02, generator=generator)

    def forward(self, features: Float[Tensor, "batch dim"], words: Words, *, smoothing: float) -> Float[Tensor, " words"]:
        """The log-probability of each word, computed in float32 (or wider)."""
        with torch.autocast(features.device.type, enabled=False):
            wide = features.to(self.embedding.dtype)
            starts = self.get_buffer("starts")
            return log_probabilities(wide, self.embedding, self.bias, words, starts=starts, smoothing=smoothing)

    def all(self, features: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch ngrams"]:
        """The log-probability of each n-gram among all n-grams of the dictionary."""
        with torch.autocast(features.device.type, enabled=False):
            return F.linear(features.to(self.embedding.dtype), self.embedding, self.bias).log_softmax(dim=1)


class VisualNgrams(Answering):
    """The Jelinek-Mercer loss: minus the sum of the smoothed log-probabilities of a caption's words and of its end, the mean
    over the pictures of a batch. Words outside the dictionary are left out, and no n-gram reaches over them.

    A name is as likely as its words after each other, without the beginning and end of a caption; a word outside the dictionary
    counts as one occurrence among all that were counted, whatever the picture. Of a class's names those with a known word have
    a say, and their mean likelihood is the class's; a class without any is never the answer. Templates are left aside: the
    paper scores names.
    """

    is_likelihood = True

    def __init__(self, tower: ImageTower, dictionary: NgramDictionary, *, dim: int, smoothing: float | int = SMOOTHING) -> None:
        super().__init__(tower)
        check_smoothing(smoothing)
        self.dictionary, self.smoothing = dictionary, smoothing
        self.scores = NgramScores(dictionary, dim=dim)
        self._occurrences = lru_cache(_MOST_KNOWN_TEXTS)(dictionary.occurrences)

    def loss(self, images: Float[Tensor, "batch 3 height width"], texts: Sequence[str]) -> Float[Tensor, ""]:
        words = words_together([self._occurrences(text) for text in texts], images.device)
        likelihoods: Tensor = self.scores(self.tower(images), words, smoothing=self.smoothing)
        return -likelihoods.sum() / len(images)

    def scorer(self, classes: Sequence[Sequence[str]], templates: Sequence[str]) -> Scorer:
        device = self.scores.bias.device
        found = [[text for text in map(self._of_name, names) if len(text.ngrams)] for names in classes]
        every = list(chain.from_iterable(found))
        if not every:
            return _never(len(classes))
        words, numbers = words_together(every, device), [len(names) for names in found]
        lost = unseen(self.dictionary) * torch.tensor([text.num_unknown for text in every], device=device)

        def scores(images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch classes"]:
            features, shape = self.tower(images), (len(images), 1)
            rows = torch.arange(len(images), device=device).repeat_interleave(len(words.rows))
            all_words = Words(rows=rows, ngrams=words.ngrams.repeat(shape), contexts=words.contexts.repeat(shape))
            likelihoods = self.scores(features, all_words, smoothing=self.smoothing).view(len(images), -1)
            return log_mean(
                lost + likelihoods.new_zeros(len(images), len(every)).index_add(1, words.rows, likelihoods), numbers
            )

        return scores

    def num_unknown(self, classes: Sequence[Sequence[str]]) -> int:
        return sum(all(self._of_name(name).num_unknown for name in names) for names in classes)

    def _of_name(self, name: str) -> Occurrences:
        return self.dictionary.occurrences(name, bounded=False)


class NaiveNgrams(Answering):
    """The naive loss: minus the log-probabilities of all of a caption's n-grams that the dictionary has, each among all n-grams
    of the dictionary, added up, the mean over the pictures of a batch.

    A name is as likely as the n-gram that it is; one that the dictionary does not have cannot be answered with. A class is as
    likely as its names are in the mean.
    """

    is_likelihood = True

    def __init__(self, tower: ImageTower, dictionary: NgramDictionary, *, dim: int) -> None:
        super().__init__(tower)
        self.dictionary = dictionary
        self.scores = NgramScores(dictionary, dim=dim)
        self._occurrences = lru_cache(_MOST_KNOWN_TEXTS)(dictionary.occurrences)

    def loss(self, images: Float[Tensor, "batch 3 height width"], texts: Sequence[str]) -> Float[Tensor, ""]:
        words = words_together([self._occurrences(text) for text in texts], images.device)
        there = words.ngrams >= 0
        rows = words.rows[:, None].expand_as(words.ngrams)[there]
        return -self.scores.all(self.tower(images))[rows, words.ngrams[there]].sum() / len(images)

    def scorer(self, classes: Sequence[Sequence[str]], templates: Sequence[str]) -> Scorer:
        found = [self._known(names) for names in classes]
        every, numbers = list(chain.from_iterable(found)), [len(names) for names in found]
        if not every:
            return _never(len(classes))
        return lambda images: log_mean(self.scores.all(self.tower(images))[:, every], numbers)

    def num_unknown(self, classes: Sequence[Sequence[str]]) -> int:
        return sum(not self._known(names) for names in classes)

    def _known(self, names: Sequence[str]) -> list[int]:
        """The n-grams that names are."""
        ngrams = [tuple(words_of(name)) for name in names]
        return [self.dictionary.numbers[ngram] for ngram in ngrams if ngram in self.dictionary.numbers]


def _never(num_classes: int) -> Scorer:
    """A scorer for classes of which none is known."""
    return lambda images: images.new_full((len(images), num_classes), -torch.inf)


def unseen(dictionary: NgramDictionary) -> float:
    """The logarithm of one occurrence among all words that were counted."""
    total = sum(int(count) for ngram, count in zip(dictionary.ngrams, dictionary.counts, strict=True) if len(ngram) == 1)
    return -math.log(total)
