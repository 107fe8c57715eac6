"""Labels and templates: filled in, or refused with what to type."""

import pytest

from fullclip.zeroshot.prompts import TEMPLATE_SETS, check_labels, check_templates, fill


def test_every_set_can_be_filled():
    for templates in TEMPLATE_SETS.values():
        check_templates(templates)
        assert all("dog" in sentence and "{}" not in sentence for sentence in fill("dog", templates))


def test_braces_in_a_label_stay():
    assert fill("a {curly} one", ["a {}."]) == ["a a {curly} one."]


@pytest.mark.parametrize("templates", [[], ["a photo"], ["a photo of a {}", "art"], "a {}"])
def test_bad_templates(templates):
    with pytest.raises(ValueError, match=r"template"):
        check_templates(templates)


@pytest.mark.parametrize(
    ("labels", "message"),
    [([], "no labels"), (["dog", " "], "label 2 of 2 is empty"), (["a", "b", "a"], "'a' is given twice"), ("dog", "a list")],
)
def test_bad_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        check_labels(labels)
