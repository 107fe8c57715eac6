"""Learning to predict which words a picture's text has, in no order (CLIP paper, section 2.3 and Figure 2).

The loss is the multi-class logistic one of Joulin et al. 2016 (Learning Visual Features from Large Weakly Supervised Data): a
softmax over all words, and here the mean of the negative log-probabilities of those that are there. Their sampling of pictures
evenly by word is left out: all ways see the same batches.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fullclip.baselines.learning.vocabulary import Words
from fullclip.baselines.learning.way import Answering, ImageTower, Scorer, log_mean
from fullclip.models.layers import at_least_float32


class BagOfWords(Answering):
    """A linear layer on the image tower gives each word its score.

    A name's score is the mean log-probability of its words, a class's the logarithm of the mean of its names' probabilities.
    Templates have no part: their words are the same for all classes. Words outside the vocabulary are left out of a name; a
    class of which no word is known is never the answer, and `num_unknown` counts it as well as those that lack a word.
    """

    is_likelihood = True

    def __init__(self, tower: ImageTower, words: Words, *, embed: int, generator: torch.Generator) -> None:
        super().__init__(tower)
        self.words, self.head = words, nn.Linear(embed, len(words))
        nn.init.normal_(self.head.weight, std=0.02, generator=generator)
        nn.init.zeros_(self.head.bias)

    def loss(self, images: Float[Tensor, "batch 3 height width"], texts: Sequence[str]) -> Float[Tensor, ""]:
        """The mean over the pictures whose text has a known word; 0 where none has."""
        there = [self.words.numbers(text) for text in texts]
        goals = torch.zeros(len(texts), len(self.words))
        for row, numbers in enumerate(there):
            goals[row, numbers] = 1 / max(1, len(numbers))
        losses = -(goals.to(images.device) * self._log_probabilities(images)).sum(dim=1)
        return losses.sum() / max(1, sum(map(bool, there)))

    @torch.no_grad()
    def scorer(self, classes: Sequence[Sequence[str]], templates: Sequence[str]) -> Scorer:
        named = [[numbers for name in names if (numbers := self.words.numbers(name))] for names in classes]
        every = [numbers for names in named for numbers in names]
        means = torch.zeros(len(self.words), len(every), device=self.head.weight.device, dtype=self.head.weight.dtype)
        for column, numbers in enumerate(every):
            means[numbers, column] = 1 / len(numbers)
        return lambda images: log_mean(self._log_probabilities(images) @ means, [len(names) for names in named])

    def num_unknown(self, classes: Sequence[Sequence[str]]) -> int:
        return sum(not any(map(self.words.knows, names)) for names in classes)

    def _log_probabilities(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch words"]:
        return F.log_softmax(at_least_float32(self.head(self.tower(images))), dim=1)
