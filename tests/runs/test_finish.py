"""What ships: halves where there are matrices, the rest as it was; and the embeddings that a text tower begins with."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from finish import PROVENANCE, halved
from start import SPREAD, principal

from fullclip.models.checkpoint import Checkpoint
from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS
from fullclip.preprocess.image import PreprocessConfig


def whole() -> Checkpoint:
    model = build(PRESETS["tiny"])
    initialize(model, torch.Generator().manual_seed(0))
    return Checkpoint(config=PRESETS["tiny"], state=model.state_dict(), preprocess=PreprocessConfig(size=32))


def test_matrices_are_halved_and_nothing_else():
    before = whole()
    after = halved(before)
    assert after.provenance == PROVENANCE
    for name, tensor in before.state.items():
        expected = tensor.half() if tensor.ndim >= 2 else tensor
        assert after.state[name].dtype == expected.dtype
        assert torch.equal(after.state[name], expected)


def test_what_half_precision_cannot_hold_is_refused():
    before = whole()
    large = {**before.state, "visual.proj": before.state["visual.proj"] + 1e6}
    with pytest.raises(ValueError, match=r"visual\.proj does not fit into half precision"):
        halved(replace(before, state=large))


def test_principal_components_keep_the_similarities_that_they_can():
    vectors = np.random.default_rng(0).standard_normal((50, 3)) @ np.random.default_rng(1).standard_normal((3, 12))
    found = principal(vectors, 4)
    centred = vectors - vectors.mean(axis=0)
    scale = (found**2).sum() / (centred**2).sum()
    np.testing.assert_allclose(found @ found.T, scale * centred @ centred.T, atol=1e-9)
    assert found.std() == pytest.approx(SPREAD)
