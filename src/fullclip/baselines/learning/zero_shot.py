"""A way of learning, asked of a task: its accuracy with the exact interval, from words alone."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fullclip.baselines.learning.pairs import Pairs, Pictures, Question, middle, normalized
from fullclip.baselines.learning.settings import Settings
from fullclip.baselines.learning.way import Answering, Scorer
from fullclip.core.types import Result
from fullclip.evaluation.statistics.metrics import accuracy

_BATCH = 64
NUM_AT_LARGE = 256


def ask(way: Answering, question: Question, settings: Settings, *, at_large: Pairs) -> tuple[Result, Result | None]:
    """(the accuracy by the scores as they are; the accuracy by what they are above the words' likelihood at large).

    The second, for ways whose scores are likelihoods: log p(words | picture) - log p(words), where p(words) is the mean over
    256 pictures of `at_large`, the pairs that were trained on. It is what a contrastive loss learns to tell (van den Oord et
    al. 2018, section 2.3, of InfoNCE), and by Bayes' rule what to choose by where every class is as frequent as the others.
    """
    scorer = way.scorer(question.classes, question.templates)
    scores = scores_of(way, scorer, question.pictures, settings)
    plain = _accuracy(scores, question)
    if not way.is_likelihood:
        return plain, None
    chosen = np.sort(np.random.default_rng(0).permutation(len(at_large))[:NUM_AT_LARGE])
    elsewhere = scores_of(way, scorer, at_large.pictures[chosen], settings)
    prior = elsewhere.logsumexp(dim=0) - np.log(len(elsewhere))
    return plain, _accuracy(torch.where(scores.isneginf(), scores, scores - prior), question)


def _accuracy(scores: Float[Tensor, "n classes"], question: Question) -> Result:
    """A class that no picture can be answered with (minus infinity) comes behind all others."""
    possible = scores[~scores.isneginf()]
    last = possible.min() - 1 if len(possible) else torch.zeros(())
    return accuracy(torch.where(scores.isneginf(), last, scores).numpy(), question.labels, task=question.name).result


@torch.inference_mode()
def scores_of(way: Answering, scorer: Scorer, pictures: Pictures, settings: Settings) -> Float[Tensor, "n classes"]:
    """Scores of the pictures' middles, all computed in float32."""
    device = next(way.parameters()).device
    rows = []
    for start in range(0, len(pictures), _BATCH):
        images = normalized(middle(pictures[start : start + _BATCH], settings.vision.image_size)).to(device)
        rows.append(scorer(images).float().cpu())
    return torch.cat(rows)
