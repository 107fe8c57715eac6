"""Padding behind the longest text of a batch is not computed, and nothing else changes."""

import pytest
import torch

from fullclip.models.clip import build, initialize
from fullclip.models.config import ClipConfig, TextConfig, VitConfig
from fullclip.models.text import TextTransformer, trim_padding

TEXT = TextConfig(context_length=12, vocab_size=50, width=32, layers=2, heads=4, mlp_width=64, end_id=49)
VIT = VitConfig(image_size=16, patch_size=8, width=32, layers=1, heads=2, mlp_width=32)
END = TEXT.end_id
# Ends at 3, 5 and 1; then zeros, random ids, and the end again, once at the very end of the row.
ROWS = [[5, 7, 2, END, 0, 0, 0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, END, 9, 8, 7, 6, 5, 4], [8, END] + 9 * [END] + [END]]


def text_tower() -> TextTransformer:
    model = build(ClipConfig(embed=16, vision=VIT, text=TEXT)).double()
    initialize(model, torch.Generator().manual_seed(0))
    return model.text


@pytest.mark.parametrize(("multiple", "kept"), [(1, 6), (2, 6), (4, 8), (5, 10), (8, 8), (100, 12)])
def test_rows_are_cut_behind_the_last_first_end(multiple, kept):
    tokens = torch.tensor(ROWS)
    assert torch.equal(trim_padding(tokens, END, multiple=multiple), tokens[:, :kept])


def test_nothing_to_cut():
    tokens = torch.full((2, 12), 3)
    tokens[:, -1] = END
    assert torch.equal(trim_padding(tokens, END), tokens)
    assert trim_padding(torch.zeros(0, 12, dtype=torch.int64), END).shape == (0, 12)
    assert text_tower()(torch.zeros(0, 12, dtype=torch.int64)).shape == (0, 16)


def test_wrong_use_of_trimming():
    with pytest.raises(ValueError, match="text 1 has no end-of-text token"):
        trim_padding(torch.tensor([[END, 0], [3, 4]]), END)
    with pytest.raises(ValueError, match="multiple is 0: at least 1"):
        trim_padding(torch.tensor(ROWS), END, multiple=0)


def whole(tower: TextTransformer, tokens: torch.Tensor) -> torch.Tensor:
    """The tower's features with every position computed, spelled out."""
    x = tower.transformer(tower.token_embedding(tokens) + tower.positional_embedding)
    ends = (tokens == END).int().argmax(dim=1)
    return tower.ln_final(x)[torch.arange(len(x)), ends] @ tower.text_projection


def test_features_and_gradients_stay_the_same():
    tower, tokens = text_tower(), torch.tensor(ROWS)
    weights = torch.randn(3, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found, gradients = [], []
    for features in (whole(tower, tokens), tower(tokens), tower(trim_padding(tokens, END, multiple=4))):
        tower.zero_grad()
        (features * weights).sum().backward()
        found.append(features.detach())
        gradients.append({name: parameter.grad.clone() for name, parameter in tower.named_parameters()})
    for features, gradient in zip(found[1:], gradients[1:], strict=True):
        assert torch.allclose(features, found[0], rtol=0, atol=1e-12)
        for name, expected in gradients[0].items():
            assert torch.allclose(gradient[name], expected, rtol=0, atol=1e-12), name


def many_rows(n: int) -> torch.Tensor:
    """Texts of all lengths, the short ones among the long ones."""
    generator = torch.Generator().manual_seed(n)
    tokens = torch.randint(1, END, (n, 12), generator=generator)
    tokens[torch.arange(n), torch.randint(0, 12, (n,), generator=generator)] = END
    return tokens


@pytest.mark.parametrize("n", [128, 129, 300])
def test_rows_in_groups_of_like_length_are_the_rows_one_by_one(n):
    tower, tokens = text_tower(), many_rows(n)
    weights = torch.randn(n, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found, gradients = [], []
    for features in (torch.cat([tower(row[None]) for row in tokens]), tower(tokens)):
        tower.zero_grad()
        (features * weights).sum().backward()
        found.append(features.detach())
        gradients.append({name: parameter.grad.clone() for name, parameter in tower.named_parameters()})
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-12)
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, rtol=1e-10, atol=1e-11)


def test_many_rows_are_computed_no_longer_than_their_group_s_longest():
    tower, lengths, tokens = text_tower(), [], many_rows(300)
    tower.transformer.register_forward_pre_hook(lambda _, arguments: lengths.append(arguments[0].shape[:2]))
    tower(tokens)
    ends = sorted((tokens == END).int().argmax(dim=1).tolist())
    assert [tuple(shape) for shape in lengths] == [(128, ends[127] + 1), (128, ends[255] + 1), (44, ends[299] + 1)]


def test_the_one_of_many_that_has_no_end_is_named():
    tokens = many_rows(200)
    tokens[171] = 3
    with pytest.raises(ValueError, match=r"text 171 has no end-of-text token \(49\)"):
        text_tower()(tokens)


def test_the_blocks_see_the_longest_text_only():
    tower, lengths = text_tower(), []
    tower.transformer.register_forward_pre_hook(lambda _, arguments: lengths.append(arguments[0].shape[1]))
    tower(torch.tensor(ROWS))
    tower(torch.tensor(ROWS[:1]))
    assert lengths == [6, 4]


def test_a_compiled_tower_computes_the_whole_context(monkeypatch):
    """A length that depends on the ids would break its graph."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    tower, lengths = text_tower(), []
    tower.transformer.register_forward_pre_hook(lambda _, arguments: lengths.append(arguments[0].shape[1]))
    tower(torch.tensor(ROWS))
    assert lengths == [12]
