import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import formulas
import processes
from fullclip import losses
from fullclip.core.distributed import World
from fullclip.core.types import Features

ALONE = World.single()


def random_rows(seed, batch=8, embed=5):
    random = torch.Generator().manual_seed(seed)
    return tuple(F.normalize(torch.randn(batch, embed, generator=random, dtype=torch.float64), dim=1) for _ in range(2))


def softmax(image, text, scale):
    return losses.softmax(Features(image=image, text=text, scale=torch.as_tensor(scale, dtype=image.dtype)), ALONE)


def naive(image, text, scale):
    """The CLIP paper's Figure 3, a pair at a time, with the logarithm of the softmax written out."""
    total = 0
    for i in range(len(image)):
        of_image = [scale * torch.dot(image[i], other) for other in text]
        of_text = [scale * torch.dot(text[i], other) for other in image]
        total += torch.log(sum(map(torch.exp, of_image))) - of_image[i] + torch.log(sum(map(torch.exp, of_text))) - of_text[i]
    return total / (2 * len(image))


@pytest.mark.parametrize("batch", [1, 2, 7])
@pytest.mark.parametrize("scale", [1.0, 1 / 0.07, 100.0])
def test_softmax_is_the_paper_s_formula(batch, scale):
    image, text = random_rows(batch, batch)
    torch.testing.assert_close(softmax(image, text, scale), naive(image, text, scale), rtol=1e-12, atol=1e-12)


def test_softmax_gradients_are_the_formula_s():
    leaves = [[rows.clone().requires_grad_() for rows in (*random_rows(1), torch.tensor(9.0).double())] for _ in range(2)]
    softmax(*leaves[0]).backward()
    naive(*leaves[1]).backward()
    for ours, theirs in zip(*leaves, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-11, atol=1e-13)


def test_softmax_gradients_are_finite_differences():
    image, text = (rows.requires_grad_() for rows in random_rows(2, 3, 2))
    assert torch.autograd.gradcheck(softmax, (image, text, torch.tensor(5.0, dtype=torch.float64, requires_grad=True)))


def test_images_and_texts_may_change_sides():
    image, text = random_rows(3)
    torch.testing.assert_close(softmax(image, text, 20.0), softmax(text, image, 20.0), rtol=1e-14, atol=0)


def test_the_order_of_pairs_does_not_matter_but_their_pairing_does():
    image, text = random_rows(4)
    order = torch.randperm(len(image), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(softmax(image[order], text[order], 20.0), softmax(image, text, 20.0), rtol=1e-12, atol=0)
    assert abs(softmax(image[order], text, 20.0) - softmax(image, text, 20.0)) > 0.1


def test_features_without_information_cost_the_logarithm_of_the_batch():
    row = torch.ones(6, 4, dtype=torch.float64) / 2
    torch.testing.assert_close(softmax(row, row, 100.0).item(), math.log(6), rtol=1e-14, atol=0)


def test_softmax_survives_logits_whose_exponential_does_not_fit():
    image, text = (rows.float() for rows in random_rows(5))
    assert torch.isfinite(softmax(image, text, 1000.0))


@pytest.mark.dist
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize(
    "loss", [formulas.softmax, formulas.tiled_softmax, formulas.sigmoid, formulas.distillation], ids=lambda loss: loss.__name__
)
def test_the_average_over_processes_is_one_big_batch(loss, size):
    rows, numbers = formulas.rows(size, 4 * size, 5), {"scale": 14.0}
    if loss is formulas.sigmoid:
        numbers["bias"] = -3.0
    if loss is formulas.distillation:
        rows |= {f"teacher_{name}": array for name, array in formulas.rows(9, 4 * size, 7).items()}
        numbers["teacher_scale"] = 9.0
    answers = processes.run(processes.loss_work, size, loss, rows, numbers, [1.0] * size)
    whole = formulas.answer(loss, formulas.as_leaves(rows, numbers))
    assert all(answer.keys() == whole.keys() for answer in answers)
    for name, expected in whole.items():
        found = [answer[name] for answer in answers]
        average = np.concatenate(found) / size if expected.ndim else np.mean(found)
        np.testing.assert_allclose(average, expected, rtol=1e-11, atol=1e-14, err_msg=name)
