import math
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings, strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

import formulas
import processes
from fullclip import losses
from fullclip.core.types import Features

NAMES = ("loss", "image", "text", "scale")


def both(rows, scale, tile, dtype=torch.float64):
    numbers = {"scale": scale}
    whole = formulas.answer(formulas.softmax, formulas.as_leaves(rows, numbers, dtype))
    tiled = formulas.answer(partial(formulas.tiled_softmax, tile=tile), formulas.as_leaves(rows, numbers, dtype))
    assert whole.keys() == tiled.keys() == set(NAMES)
    return whole, tiled


def distance(found, expected):
    """Of one tensor from another, relative, in norm."""
    return ((found.double() - expected).norm() / expected.norm()).item()


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 1000),
    batch=st.integers(1, 14),
    embed=st.integers(1, 6),
    tile=st.integers(1, 16),
    scale=st.sampled_from([1.0, 14.3, 100.0]),
    resemblance=st.sampled_from([0.0, 1.0, 10.0]),
)
@example(seed=0, batch=1, embed=3, tile=1024, scale=14.3, resemblance=0.0)
def test_tiles_of_any_size_are_the_whole(seed, batch, embed, tile, scale, resemblance):
    whole, tiled = both(formulas.rows(seed, batch, embed, resemblance=resemblance), scale, tile)
    for name in NAMES:  # atol: the whole's own noise where a loss is nearly nothing
        torch.testing.assert_close(
            tiled[name], whole[name], rtol=1e-10, atol=2e-13, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("scale", [1.0, 14.3, 100.0])
@pytest.mark.parametrize("resemblance", [0.0, 0.5, 2.0, 10.0])
def test_float32_is_at_least_as_near_to_float64_as_the_whole_is(scale, resemblance):
    rows = formulas.rows(3, 300, 64, resemblance=resemblance)
    rows = {name: array.astype(np.float32) for name, array in rows.items()}
    exact = formulas.answer(partial(formulas.tiled_softmax, tile=300), formulas.as_leaves(rows, {"scale": scale}))
    whole, tiled = both(rows, scale, 128, torch.float32)
    for name in NAMES:
        ours, theirs = distance(tiled[name], exact[name]), distance(whole[name], exact[name])
        assert tiled[name].dtype == torch.float32
        assert ours <= max(1.5 * theirs, 4e-7), (name, ours, theirs)
        assert ours <= 1e-6 or theirs > 1e-6, (name, ours, theirs)


@pytest.mark.parametrize("scale", [1.0, 14.3, 100.0])
def test_float32_equals_the_whole(scale):
    whole, tiled = both(formulas.rows(5, 200, 32, resemblance=0.2), scale, 64, torch.float32)
    for name in NAMES:
        assert distance(tiled[name], whole[name].double()) <= 1e-6, name


@pytest.mark.parametrize("tile", [2, 3, 8])
def test_a_loss_of_nearly_nothing_is_exact_in_float32(tile):
    """Every image is its text, and at right angles to all others: a loss of log(1 + 7 exp(-30)), where float32 sees log(1)."""
    image, text = torch.eye(8).requires_grad_(), torch.eye(8).requires_grad_()
    scale = torch.tensor(30.0, requires_grad=True)
    loss = losses.tiled_softmax(Features(image=image, text=text, scale=scale), formulas.ALONE, tile=tile)
    loss.backward()
    miss = 7 * math.exp(-30)
    np.testing.assert_allclose(loss.item(), math.log1p(miss), rtol=1e-6)
    np.testing.assert_allclose(scale.grad.item(), -miss / (1 + miss), rtol=1e-6)
    expected = 30 / 8 * ((torch.ones(8, 8) - 8 * torch.eye(8)) * math.exp(-30) / (1 + miss))
    torch.testing.assert_close(image.grad, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(text.grad, expected, rtol=1e-6, atol=0)


def test_gradients_are_finite_differences():
    leaves = formulas.as_leaves(formulas.rows(2, 5, 2), {"scale": 5.0})

    def loss(image, text, scale):
        return losses.tiled_softmax(Features(image=image, text=text, scale=scale), formulas.ALONE, tile=2)

    assert torch.autograd.gradcheck(loss, tuple(leaves.values()))


def test_logits_whose_exponential_does_not_fit_survive():
    whole, tiled = both(formulas.rows(5, 9, 4), 3000.0, 4, torch.float32)
    for name in NAMES:
        torch.testing.assert_close(tiled[name], whole[name], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("wanted", [{"image"}, {"text"}, {"scale"}, {"image", "scale"}, {"text", "scale"}])
def test_each_side_may_be_all_that_learns(wanted):
    rows = formulas.rows(1, 7, 3)
    leaves = formulas.as_leaves(rows, {"scale": 9.0})
    for name, leaf in leaves.items():
        leaf.requires_grad_(name in wanted)
    found, (whole, _) = formulas.answer(formulas.tiled_softmax, leaves), both(rows, 9.0, 3)
    assert found.keys() == wanted | {"loss"}
    for name in found:
        torch.testing.assert_close(found[name], whole[name], rtol=1e-11, atol=1e-14)


def test_a_second_way_back_gives_the_same_again():
    leaves = formulas.as_leaves(formulas.rows(1, 7, 3), {"scale": 9.0})
    loss = formulas.tiled_softmax(leaves, formulas.ALONE)
    first, second = (torch.autograd.grad(loss, list(leaves.values()), retain_graph=True) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("loss", [formulas.tiled_softmax, formulas.sigmoid])
def test_a_gradient_of_the_gradient_is_refused(loss):
    leaves = formulas.as_leaves(formulas.rows(1, 7, 3), {"scale": 9.0, "bias": -2.0})
    with pytest.raises(RuntimeError, match="cannot be differentiated twice"):
        torch.autograd.grad(loss(leaves, formulas.ALONE), leaves["image"], create_graph=True)


@pytest.mark.parametrize("loss", [formulas.tiled_softmax, formulas.sigmoid])
@pytest.mark.parametrize(
    "laid_out",
    [
        lambda rows: rows.T.contiguous().T,
        lambda rows: rows.repeat(1, 2)[:, : rows.shape[1]],
        lambda rows: rows[:1].expand(*rows.shape),
        lambda rows: rows.flip(0),
    ],
    ids=["columns first", "part of wider rows", "one row, expanded", "turned over"],
)
def test_rows_may_lie_in_memory_as_they_like_and_stay_as_they_are(loss, laid_out):
    leaves = formulas.as_leaves(formulas.rows(1, 7, 3), {"scale": 9.0, "bias": -2.0})
    odd = leaves | {name: laid_out(leaves[name].detach()).requires_grad_() for name in ("image", "text")}
    plain = leaves | {name: odd[name].detach().clone().contiguous().requires_grad_() for name in ("image", "text")}
    found, expected = (
        formulas.answer(loss, odd),
        formulas.answer(loss, {name: x.detach().clone().requires_grad_() for name, x in plain.items()}),
    )
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-12, atol=1e-15)
    for name in ("image", "text"):
        assert torch.equal(odd[name], plain[name])


@pytest.mark.parametrize("loss", [formulas.tiled_softmax, formulas.sigmoid])
@pytest.mark.parametrize(
    "kinds", [(torch.bfloat16, torch.bfloat16), (torch.float16, torch.float32), (torch.float32, torch.bfloat16)]
)
def test_half_precision_is_widened(loss, kinds):
    leaves = formulas.as_leaves(formulas.rows(1, 7, 3), {"scale": 9.0, "bias": -2.0}, torch.float32)
    half = {name: leaves[name].detach().to(kind).requires_grad_() for name, kind in zip(("image", "text"), kinds, strict=True)}
    wide = {name: rows.detach().float().requires_grad_() for name, rows in half.items()}
    found, expected = (
        formulas.answer(loss, {name: x.detach().clone().requires_grad_() for name, x in (leaves | rows).items()})
        for rows in (half, wide)
    )
    assert found["loss"].dtype == torch.float32
    assert torch.equal(found["loss"], expected["loss"])
    for name in ("image", "text"):
        assert torch.equal(found[name], expected[name].to(half[name].dtype))


def test_a_scale_of_another_type_changes_no_type():
    leaves = formulas.as_leaves(formulas.rows(1, 7, 3), {"scale": 9.0}, torch.float32)
    leaves["scale"] = leaves["scale"].detach().double().requires_grad_()
    found = formulas.answer(formulas.tiled_softmax, leaves)
    assert [found[name].dtype for name in NAMES] == [torch.float32] * 3 + [torch.float64]


@pytest.mark.parametrize("loss", [formulas.tiled_softmax, formulas.sigmoid])
def test_autocast_has_no_say(loss):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = formulas.answer(loss, formulas.as_leaves(formulas.rows(1, 7, 3), {"scale": 9.0, "bias": -2.0}, torch.float32))
    outside = formulas.answer(loss, formulas.as_leaves(formulas.rows(1, 7, 3), {"scale": 9.0, "bias": -2.0}, torch.float32))
    for name in outside:
        assert torch.equal(inside[name], outside[name])


@pytest.mark.parametrize("loss", [formulas.tiled_softmax, formulas.sigmoid])
def test_not_a_number_comes_through(loss):
    rows = formulas.rows(1, 7, 3)
    rows["text"][4, 1] = np.nan
    assert torch.isnan(loss(formulas.as_leaves(rows, {"scale": 9.0, "bias": -2.0}), formulas.ALONE))


@pytest.mark.parametrize("loss", [losses.tiled_softmax, losses.sigmoid])
def test_bad_sizes_are_refused(loss):
    image, number = torch.ones(3, 2), torch.tensor(1.0)
    unequal = Features(image=image, text=image, scale=number, bias=number)
    object.__setattr__(unequal, "text", image[:2])  # outside of tests nothing checks the shapes
    with pytest.raises(ValueError, match="3 images and 2 texts"):
        loss(unequal, formulas.ALONE)
    with pytest.raises(ValueError, match="at least one row, not 0"):
        loss(Features(image=image, text=image, scale=number, bias=number), formulas.ALONE, tile=0)


class Largest(TorchDispatchMode):
    """The number of elements of the largest tensor that any operation makes or takes, and which operations there were."""

    def __init__(self):
        super().__init__()
        self.elements, self.operations = 0, []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.operations.append(function.overloadpacket.__name__)
        for each in result if isinstance(result, tuple | list) else [result]:
            if isinstance(each, torch.Tensor):
                self.elements = max(self.elements, each.untyped_storage().nbytes() // each.element_size())
        return result


def test_no_tensor_is_larger_than_the_features_or_the_tiles():
    rows = formulas.rows(1, 64, 4)
    seen = {}
    for loss in (formulas.softmax, formulas.tiled_softmax, formulas.sigmoid):
        tile = {} if loss is formulas.softmax else {"tile": 8}
        with Largest() as seen[loss]:
            formulas.answer(partial(loss, **tile), formulas.as_leaves(rows, {"scale": 9.0, "bias": -2.0}))
    assert seen[formulas.softmax].elements == 64 * 64
    assert seen[formulas.tiled_softmax].elements == seen[formulas.sigmoid].elements == 64 * 4


@pytest.mark.parametrize("loss", [formulas.tiled_softmax, formulas.sigmoid])
def test_without_gradients_nothing_is_kept_for_them(loss):
    leaves = formulas.as_leaves(formulas.rows(1, 7, 3), {"scale": 9.0, "bias": -2.0})
    expected = formulas.answer(loss, leaves)["loss"]
    with torch.no_grad(), Largest() as seen:
        found = loss(leaves, formulas.ALONE)
    assert found.grad_fn is None
    assert seen.operations.count("mm") == 9
    assert "addmm_" not in seen.operations
    assert torch.equal(found, expected)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of a process from /proc, which Linux has")
@pytest.mark.parametrize("loss", ["tiled", "sigmoid"])
def test_a_process_never_holds_the_matrix(loss):
    """Of 8,192 x 8,192 logits, 268 MB in float32; two tiles, and what the matrix product needs, are about 20."""
    bench = Path(__file__).parents[2] / "bench/loss.py"
    sizes = ["--batch", "8192", "--embed", "16", "--threads", "1"]
    answer = subprocess.run([sys.executable, bench, "--alone", loss, *sizes], check=True, capture_output=True, text=True)
    assert 5 < float(answer.stdout.split()[1]) < 100


@pytest.mark.dist
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("tile", [2, 3, 100])
def test_every_process_has_what_the_whole_gives_it(size, tile):
    """Loss and gradients of each process by itself, though their upstream gradients differ."""
    rows, upstream = formulas.rows(size, 5 * size, 4, resemblance=0.5), [1.0, -0.5, 3.0, 0.25][:size]
    whole, tiled = (
        processes.run(processes.loss_work, size, loss, rows, {"scale": 14.3}, upstream)
        for loss in (formulas.softmax, partial(formulas.tiled_softmax, tile=tile))
    )
    for rank in range(size):
        for name in NAMES:
            np.testing.assert_allclose(tiled[rank][name], whole[rank][name], rtol=1e-11, atol=1e-14, err_msg=f"{rank} {name}")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("loss", [formulas.tiled_softmax, formulas.sigmoid])
def test_a_gpu_is_never_waited_for(loss):
    rows, numbers = formulas.rows(1, 300, 16), {"scale": 14.3, "bias": -2.0}
    leaves = {name: leaf.detach().cuda().requires_grad_() for name, leaf in formulas.as_leaves(rows, numbers).items()}
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = formulas.answer(partial(loss, tile=128), leaves)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    expected = formulas.answer(loss, formulas.as_leaves(rows, numbers))
    for name in expected:
        torch.testing.assert_close(found[name].cpu(), expected[name], rtol=1e-10, atol=1e-13)
