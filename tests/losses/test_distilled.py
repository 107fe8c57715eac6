import pytest
import torch

import formulas
from fullclip import losses
from fullclip.core.types import Features


def leaves(batch=6, *, teacher_scale=7.0):
    rows = formulas.rows(1, batch, 4) | {f"teacher_{name}": array for name, array in formulas.rows(2, batch, 9).items()}
    return formulas.as_leaves(rows, {"scale": 5.0, "teacher_scale": teacher_scale})


@pytest.mark.parametrize("batch", [1, 2, 6])
def test_the_formula_a_row_at_a_time(batch):
    found, naive = (formulas.answer(loss, leaves(batch)) for loss in (formulas.distillation, formulas.naive_distillation))
    assert found.keys() == naive.keys() == {"loss", "image", "text", "scale"}  # nothing for the teacher
    for name in naive:
        torch.testing.assert_close(found[name], naive[name], rtol=1e-11, atol=1e-14)


def test_gradients_are_finite_differences():
    made = leaves(3)
    teacher = formulas.features(made, "teacher_")

    def loss(image, text, scale):
        return losses.distillation(Features(image=image, text=text, scale=scale), teacher, formulas.ALONE)

    assert torch.autograd.gradcheck(loss, (made["image"], made["text"], made["scale"]))


def test_a_student_that_is_the_teacher_has_nothing_to_learn():
    """Cross entropy is least, and is the teacher's own entropy, where both distributions are the same."""
    made = formulas.as_leaves(formulas.rows(1, 6, 4), {"scale": 5.0})
    made |= {f"teacher_{name}": leaf.detach().clone() for name, leaf in made.items()}
    found = formulas.answer(formulas.distillation, made)
    for name in ("image", "text", "scale"):
        torch.testing.assert_close(found[name], torch.zeros_like(found[name]), rtol=0, atol=1e-15)
    made["image"] = made["image"].detach().flip(0)
    assert formulas.distillation(made, formulas.ALONE) > found["loss"] + 0.01


def test_a_teacher_without_doubt_is_the_contrastive_loss():
    """Where every image of the teacher is its text and the scale is great, its distributions are the pairs themselves."""
    made = leaves(4)
    sure = Features(image=torch.eye(4).double(), text=torch.eye(4).double(), scale=torch.tensor(1e4).double())
    found = losses.distillation(formulas.features(made), sure, formulas.ALONE)
    torch.testing.assert_close(found, formulas.softmax(made, formulas.ALONE), rtol=1e-13, atol=0)


def test_other_rows_than_the_student_s_are_refused():
    made = leaves()
    fewer = Features(image=made["teacher_image"][:5], text=made["teacher_text"][:5], scale=made["teacher_scale"])
    with pytest.raises(ValueError, match=r"the student has 6 images and 6 texts, the teacher 5 images and 5 texts"):
        losses.distillation(formulas.features(made), fewer, formulas.ALONE)
