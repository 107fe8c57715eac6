"""Labels into sentences: templates with a `{}` where the label goes. Knows nothing of models."""

from collections.abc import Sequence

PHOTO = ("a photo of a {}.",)

TEMPLATE_SETS: dict[str, tuple[str, ...]] = {
    "label": ("{}",),
    "photo": PHOTO,
    # The subset of seven that forward selection over ImageNet's eighty found (openai/CLIP,
    # notebooks/Prompt_Engineering_for_ImageNet.ipynb).
    "seven": (
        "itap of a {}.",
        "a bad photo of the {}.",
        "a origami {}.",
        "a photo of the large {}.",
        "a {} in a video game.",
        "art of the {}.",
        "a photo of the small {}.",
    ),
}


def check_templates(templates: Sequence[str]) -> None:
    """ValueError where there is none, or one has no `{}` for the label."""
    if isinstance(templates, str):
        raise ValueError(f"templates is a list of texts: [{templates!r}]")
    if not templates:
        raise ValueError("no template given; write one such as 'a photo of a {}.'")
    for template in templates:
        if "{}" not in template:
            raise ValueError(f"template {template!r} has no {{}} for the label; write one such as 'a photo of a {{}}.'")


def check_labels(labels: Sequence[str]) -> None:
    """ValueError where there is none, one is empty, or one stands there twice."""
    if isinstance(labels, str):
        raise ValueError(f"labels is a list of texts: [{labels!r}]")
    if len(labels) == 0:
        raise ValueError("no labels given; name at least one, such as: dog,cat")
    seen: set[str] = set()
    for label in labels:
        if not isinstance(label, str):
            raise ValueError(f"label {len(seen) + 1} of {len(labels)} is a {type(label).__name__}, expected a text: {label!r}")
        if not label.strip():
            raise ValueError(f"label {len(seen) + 1} of {len(labels)} is empty; leave it out")
        if label in seen:
            raise ValueError(f"label {label!r} is given twice; leave one out")
        seen.add(label)


def fill(label: str, templates: Sequence[str]) -> list[str]:
    """The sentences of one label; braces in the label stay as they are."""
    return [template.replace("{}", label) for template in templates]
