"""What is computed otherwise where no gradient is asked for: the last block for one token alone, the others packed."""

import copy
import pickle

import pytest
import torch

from fullclip.models import packed
from fullclip.models.config import TextConfig
from fullclip.models.transformer import Transformer, build_transformer

HAS_HALF = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
needs_onednn = pytest.mark.skipif(not HAS_HALF, reason="this build of PyTorch has no oneDNN for bfloat16")


def tower(*, causal: bool = True, activation: str = "quick_gelu", layers: int = 3) -> Transformer:
    config = TextConfig(width=64, layers=layers, heads=4, mlp_width=128, activation=activation)
    made, generator = build_transformer(config, causal=causal), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            is_gain = ".ln_" in name and name.endswith("weight")
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.15 + (1.0 if is_gain else 0.0))
    return made.eval()


def rows(batch: int, tokens: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, tokens, 64, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_summary_is_one_of_all_tokens(causal, layers):
    """In float64, whether a gradient is asked for or not, at every place."""
    made, x = tower(causal=causal, layers=layers).double(), rows(5, 7)
    for places in (torch.tensor([0, 6, 3, 1, 5]), torch.zeros(5, dtype=torch.int64)):
        expected = made(x)[torch.arange(5), places]
        torch.testing.assert_close(made.summary(x, places), expected, rtol=0, atol=0)
        with torch.no_grad():
            torch.testing.assert_close(made.summary(x, places), expected, rtol=1e-12, atol=1e-12)


def error(found: torch.Tensor, exact: torch.Tensor) -> float:
    return ((found.double() - exact).norm() / exact.norm()).item()


@needs_onednn
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
@pytest.mark.parametrize(("causal", "tokens"), [(True, 9), (True, 40), (False, 50), (False, 1)])
def test_packed_blocks_are_as_near_to_float64_as_plain_ones(activation, causal, tokens):
    made, x, places = tower(causal=causal, activation=activation), rows(6, tokens), torch.full((6,), tokens - 1)
    exact = copy.deepcopy(made).double().summary(x, places)
    half, given = made.bfloat16(), x.bfloat16()
    with torch.no_grad():
        plain = half(given)[:, tokens - 1]
        assert packed.are_packable(given, half.resblocks[0].mlp.c_fc.weight)
        found = half.summary(given, places)
    assert found.dtype == torch.bfloat16
    assert 0 < error(found, exact) < 1.5 * error(plain, exact) < 0.05
    assert half._packed._packed


@needs_onednn
def test_many_scores_are_not_kept(monkeypatch):
    made, x, places = tower().bfloat16(), rows(4, 33).bfloat16(), torch.full((4,), 20)
    with torch.no_grad():
        found = made.summary(x, places)
        monkeypatch.setattr(packed, "_MOST_SCORES", 4 * 4 * 33**2 - 1)
        assert 0 < error(made.summary(x, places), found.double()) < 0.02


@needs_onednn
def test_changed_weights_are_packed_again():
    made, x, places = tower().bfloat16(), rows(2, 5).bfloat16(), torch.tensor([1, 4])
    with torch.no_grad():
        before = made.summary(x, places)
        kept = made._packed._packed
        assert torch.equal(made.summary(x, places), before)
        assert made._packed._packed is kept  # not again without need
        made.resblocks[0].mlp.c_fc.weight.mul_(2)
        after = made.summary(x, places)
        assert not torch.equal(after, before)
        other = tower().bfloat16()
        other.resblocks[0].mlp.c_fc.weight.mul_(2)
        assert torch.equal(other.summary(x, places), after)
        made.load_state_dict(tower().bfloat16().state_dict())
        assert torch.equal(made.summary(x, places), before)


@needs_onednn
def test_what_is_packed_is_no_part_of_the_model():
    made, x, places = tower().bfloat16(), rows(2, 5).bfloat16(), torch.tensor([1, 4])
    names = made.state_dict().keys()
    with torch.no_grad():
        expected = made.summary(x, places)
        assert made.state_dict().keys() == names
        for twin in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
            assert not twin._packed._packed
            assert torch.equal(twin.summary(x, places), expected)


def test_what_is_not_packed():
    made, x, places = tower(), rows(2, 5).float(), torch.tensor([1, 4])
    with torch.no_grad():
        made.summary(x, places)  # float32
    assert not made._packed._packed
    half = made.bfloat16()
    half.summary(x.bfloat16(), places).sum().backward()  # a gradient is asked for
    assert not half._packed._packed
    assert half.resblocks[0].mlp.c_fc.weight.grad is not None


def test_in_training_mode_a_pass_without_gradients_sees_the_same_bits():
    """As GradCache's first pass has to (`train/cached.py`)."""
    made, x, places = tower().train(), rows(3, 6).float(), torch.tensor([1, 4, 5])
    expected = made.summary(x, places)
    with torch.no_grad():
        assert torch.equal(made.summary(x, places), expected)
