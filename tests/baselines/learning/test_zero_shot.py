"""What is asked of a way: against scores that are known."""

import numpy as np
import pytest
import torch

from fullclip.baselines.learning.pairs import middle, normalized
from fullclip.baselines.learning.way import Answering, image_tower
from fullclip.baselines.learning.zero_shot import NUM_AT_LARGE, ask
from learning import SETTINGS, colour_pairs, colour_question


class _Fixed(Answering):
    """Scores that are known: the mean of a channel, plus a class's own bias; one class cannot be answered."""

    is_likelihood = True

    def loss(self, images, texts):
        raise NotImplementedError

    def num_unknown(self, classes):
        return 0

    def scorer(self, classes, templates):
        bias = torch.tensor([3.0, 0.0, 0.0])

        def scores(images):
            known = images.mean(dim=(2, 3)) + bias
            return torch.cat([known, torch.full_like(known[:, :1], -torch.inf)], dim=1)

        return scores


def test_answers_are_by_likelihood_or_by_its_ratio_to_that_at_large():
    pairs, question = colour_pairs(300), colour_question(40)
    plain, ratio = ask(_Fixed(image_tower(SETTINGS, seed=0)), question, SETTINGS, at_large=pairs)
    bias = np.array([3.0, 0.0, 0.0])
    own = normalized(middle(question.pictures, 8)).mean(dim=(2, 3)).double().numpy() + bias
    chosen = np.random.default_rng(0).permutation(300)[:NUM_AT_LARGE]
    large = normalized(middle(pairs.pictures[chosen], 8)).mean(dim=(2, 3)).double().numpy() + bias
    prior = np.log(np.exp(large).mean(axis=0))
    assert plain.value == pytest.approx((own.argmax(axis=1) == question.labels).mean())
    assert ratio.value == pytest.approx(((own - prior).argmax(axis=1) == question.labels).mean())
    assert ratio.value > plain.value  # three of four classes stand out by a channel, once the bias is gone
    assert plain.n == ratio.n == 40
