import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

import formulas
import processes
from fullclip import losses
from fullclip.core.types import Features


def both(rows, numbers, tile, dtype=torch.float64):
    naive = formulas.answer(formulas.naive_sigmoid, formulas.as_leaves(rows, numbers, torch.float64))
    return naive, formulas.answer(partial(formulas.sigmoid, tile=tile), formulas.as_leaves(rows, numbers, dtype))


def test_the_formula_a_pair_at_a_time():
    rows = formulas.rows(1, 4, 3)
    found = formulas.sigmoid(formulas.as_leaves(rows, {"scale": 3.0, "bias": -1.5}), formulas.ALONE)
    total = 0.0
    for i in range(4):
        for j in range(4):
            z = 1 if i == j else -1
            total -= math.log(1 / (1 + math.exp(-z * (3.0 * float(rows["image"][i] @ rows["text"][j]) - 1.5))))
    np.testing.assert_allclose(found.item(), total / 4, rtol=1e-13)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    batch=st.integers(1, 14),
    embed=st.integers(1, 6),
    tile=st.integers(1, 16),
    scale=st.sampled_from([1.0, 10.0, 100.0]),
    bias=st.sampled_from([-10.0, -50.0, 0.0, 5.0]),
)
def test_tiles_of_any_size_are_the_whole(seed, batch, embed, tile, scale, bias):
    naive, tiled = both(formulas.rows(seed, batch, embed), {"scale": scale, "bias": bias}, tile)
    assert naive.keys() == tiled.keys()
    for name in naive:
        torch.testing.assert_close(
            tiled[name], naive[name], rtol=1e-11, atol=1e-14, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("bias", [-10.0, 0.0, 30.0])
@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
def test_float32_stays_near_float64(scale, bias):
    rows = {name: array.astype(np.float32) for name, array in formulas.rows(2, 200, 32, resemblance=1.0).items()}
    naive, tiled = both(rows, {"scale": scale, "bias": bias}, 64, torch.float32)
    for name in naive:
        assert ((tiled[name].double() - naive[name]).norm() / naive[name].norm()).item() < 2e-6, name


def test_pairs_and_others_that_are_certain_cost_next_to_nothing_but_not_nothing():
    """Logits of +20 for pairs and -20 for others: 8 terms a row of log(1 + exp(-20)), below what float32 sees beside 1."""
    scale, bias, rows = torch.tensor(40.0), torch.tensor(-20.0), torch.eye(8)
    loss = losses.sigmoid(Features(image=rows, text=rows, scale=scale, bias=bias), formulas.ALONE, tile=3)
    np.testing.assert_allclose(loss.item(), 8 * math.log1p(math.exp(-20)), rtol=1e-6)


def test_gradients_are_finite_differences():
    leaves = formulas.as_leaves(formulas.rows(2, 5, 2), {"scale": 5.0, "bias": -2.0})

    def loss(image, text, scale, bias):
        return losses.sigmoid(Features(image=image, text=text, scale=scale, bias=bias), formulas.ALONE, tile=2)

    assert torch.autograd.gradcheck(loss, tuple(leaves.values()))


@pytest.mark.parametrize("wanted", ["image", "text", "scale", "bias"])
def test_each_input_may_be_all_that_learns(wanted):
    rows, numbers = formulas.rows(1, 7, 3), {"scale": 9.0, "bias": -2.0}
    leaves = formulas.as_leaves(rows, numbers)
    for name, leaf in leaves.items():
        leaf.requires_grad_(name == wanted)
    found, (naive, _) = formulas.answer(formulas.sigmoid, leaves), both(rows, numbers, 3)
    assert found.keys() == {wanted, "loss"}
    torch.testing.assert_close(found[wanted], naive[wanted], rtol=1e-11, atol=1e-14)


def test_features_without_a_bias_are_refused():
    with pytest.raises(ValueError, match=r"set model.logit_bias=-10"):
        losses.sigmoid(Features(image=torch.eye(2), text=torch.eye(2), scale=torch.tensor(1.0)), formulas.ALONE)


@pytest.mark.dist
@pytest.mark.parametrize("size", [2, 4])
def test_every_process_has_what_the_naive_whole_gives_it(size):
    rows, upstream = formulas.rows(size, 5 * size, 4), [1.0, -0.5, 3.0, 0.25][:size]
    naive, tiled = (
        processes.run(processes.loss_work, size, loss, rows, {"scale": 9.0, "bias": -2.0}, upstream)
        for loss in (formulas.naive_sigmoid, formulas.sigmoid)
    )
    for rank in range(size):
        for name in naive[rank]:
            np.testing.assert_allclose(tiled[rank][name], naive[rank][name], rtol=1e-11, atol=1e-14, err_msg=f"{rank} {name}")
