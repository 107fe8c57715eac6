"""Shifts of a reference: which classes correspond, and the accuracies of both sides against loops."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import expit, logit

from fullclip.core.distributed import World
from fullclip.evaluation.datasets import class_names, imagenet_classes
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.evaluation.statistics.robustness import Accuracies, average, fit, robustness as robust
from fullclip.evaluation.suite import shifts
from fullclip.evaluation.suite.shifts import corresponding, robustness, subset_scores
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.suite.zero_shot import zero_shot_logits
from fullclip.evaluation.tasks.find import find_task
from fullclip.evaluation.tasks.task import Example, Task
from tasks import Listed, pixels
from tiny import tiny_encoder

REAL = ("imagenet_a", "imagenet_r", "objectnet", "imagenet_vid", "youtube_bb")


def subject() -> Subject:
    return Subject(backbone=ClipBackbone(tiny_encoder(), name="tiny"), cache=None, world=World.single())


def task(name: str, classes, labels, **settings) -> Task:
    found = [Example(key=f"{name}{i}", image=pixels(label, i), labels=(label,)) for i, label in enumerate(labels)]
    names = tuple(each if isinstance(each, tuple) else (each,) for each in classes)
    common = {"kind": "classification", "metric": "accuracy", "templates": ("{}",)}
    return Task(name=name, splits={"test": Listed(found)}, classes=names, **{**common, **settings})


ANIMALS = ("cat", "dog", "fox", ("grey wolf", "timber wolf"), "owl")


def test_classes_correspond_by_name_or_as_the_task_says():
    reference = task("animals", ANIMALS, [0] * 2)
    by_name = task("sketches", ("Owl", "timber wolf", "cat"), [0])
    assert corresponding(by_name, reference) == ((4,), (3,), (0,))
    assert corresponding(replace(reference, name="again"), reference) == ((0,), (1,), (2,), (3,), (4,))
    said = replace(by_name, reference_classes=(("owl",), (1, "fox", "Grey Wolf"), ()))
    assert corresponding(said, reference) == ((4,), (1, 2, 3), ())


def test_names_that_imagenet_has_twice_correspond_in_order():
    names = class_names("imagenet")
    imagenet = task("imagenet", names, [0])
    assert corresponding(replace(imagenet, name="imagenet_v2"), imagenet) == tuple((i,) for i in range(1000))
    numbers = [i for i, (name,) in enumerate(names) if name in ("missile", "sunglasses")]
    four = task("four", ("missile", "sunglasses", "cat", "dog"), [0])
    reference_classes = (("missile",), ("sunglasses",), ("missile", "sunglasses"), ())
    found = corresponding(replace(four, reference_classes=reference_classes), imagenet)
    assert sorted(number for own in found for number in own) == numbers


def test_classes_that_do_not_correspond_are_an_error():
    reference = task("animals", ANIMALS, [0])
    shift = task("s", ("cat", "dig"), [0])
    retrieval = Task(name="pairs", kind="retrieval", metric="recall@1", splits=shift.splits)
    for said, wrong, other in [
        (
            r"s: animals has no class 'dig'; did you mean 'dog'\?; say under \[reference_classes\] of its task.toml",
            shift,
            reference,
        ),
        (
            "s: its class 'dig' is said to be 'fux' of animals; did you mean 'fox'",
            said_to_be(shift, ("cat",), ("fux",)),
            reference,
        ),
        ("s: its class 'dig' is said to be 5 of animals; 0 to 4", said_to_be(shift, ("cat",), (5,)), reference),
        ("s: its class 'dig' is said to be -1 of animals; 0 to 4", said_to_be(shift, ("cat",), (-1,)), reference),
        ("s: 'cat' and 'dig': 'fox' of animals is one class's only", said_to_be(shift, (2,), ("fox",)), reference),
        ("s: none of its classes is a class of animals", said_to_be(shift, (), ()), reference),
        ("s: a shift and its reference are classifications; pairs is a retrieval task", shift, retrieval),
    ]:
        with pytest.raises(ValueError, match=said):
            corresponding(wrong, other)


def said_to_be(shift: Task, *classes: tuple) -> Task:
    return replace(shift, reference_classes=classes)


def test_both_sides_are_measured_among_the_classes_they_share():
    reference = task("animals", ANIMALS, [0, 1, 2, 3, 4] * 12)
    shift = task("s", ("wolf or fox", "lamp", "cat"), [0, 1, 2] * 10, reference_classes=(("fox", "grey wolf"), (), ("cat",)))
    who = subject()
    record = robustness(who, shift=shift, reference=reference, classes=corresponding(shift, reference))
    found, logits = zero_shot_logits(who, shift)
    right = [
        (0 if row[0] >= row[2] else 2) == label
        for row, label in zip(logits, found.classes, strict=True)
        if label != 1  # lamps are no animals
    ]
    on_shift, on_reference = record.results
    assert (on_shift.metric, on_shift.n, on_shift.value) == ("accuracy", 20, np.mean(right))
    found, logits = zero_shot_logits(who, reference)
    right = []
    for row, label in zip(logits, found.classes, strict=True):
        if label in (0, 2, 3):
            answered_cat = row[0] > max(row[2], row[3])
            right.append(answered_cat == (label == 0))
    assert (on_reference.metric, on_reference.n) == ("accuracy on animals", 36)
    assert on_reference.value == np.mean(right)
    told = record.details
    assert (told["reference"], told["shift"], told["classes"], told["other_classes"]) == ("animals", "s", 2, 10)
    assert (told["reference_accuracy"], told["shift_accuracy"]) == (on_reference.value, on_shift.value)
    assert len(record.arrays["keys"]) == len(record.arrays["values"]) == 20


def test_a_group_of_classes_scores_as_its_best():
    scores = np.array([[1.0, 5.0, 2.0, 3.0], [4.0, 0.0, 9.0, 1.0]])
    np.testing.assert_array_equal(subset_scores(scores, [(3,), (0, 2), (1,)]), [[3, 2, 5], [1, 9, 0]])


def test_sides_without_a_common_image_are_an_error():
    reference = task("animals", ANIMALS, [0, 1])
    for shift, said in [
        (task("s", ("owl", "lamp"), [0, 0], reference_classes=(("owl",), ())), "animals: no image is of a class that s has"),
        (task("s", ("cat", "lamp"), [1, 1], reference_classes=(("cat",), ())), "s: no image is of a class that animals has"),
    ]:
        with pytest.raises(ValueError, match=said):
            robustness(subject(), shift=shift, reference=reference, classes=corresponding(shift, reference))


@pytest.mark.parametrize("name", REAL)
def test_the_published_maps_of_imagenets_shifts_run_through(monkeypatch, name):
    """Random scores on ImageNet's size of classes; what is found is what loops find."""
    random = np.random.default_rng(0)
    labels = random.permutation(np.arange(1000))
    imagenet = task("imagenet", class_names("imagenet"), labels.tolist())
    names, numbers = class_names(name), imagenet_classes(name)
    theirs = random.integers(len(names), size=300)
    shift = task(name, names, theirs.tolist(), reference_classes=numbers)
    if name in ("imagenet_vid", "youtube_bb"):
        frames = [
            replace(example, meta={"anchor": f"v{i // 3}", "offset": i % 3 - 1}, labels=(int(theirs[i // 3]),))
            for i, example in enumerate(shift.splits["test"].examples)
        ]
        shift = replace(shift, metric="mean_pm0_pm10", splits={"test": Listed(frames)})
    classes = corresponding(shift, imagenet)
    assert classes == numbers
    logits = {one.name: random.normal(size=(len(one.splits["test"]), len(one.classes))) for one in (shift, imagenet)}
    who = subject()

    def told(_, one):
        found = who.features(one)
        places = {example.key: place for place, example in enumerate(one.splits["test"].examples)}
        return found, logits[one.name][[places[key] for key in found.keys]]

    monkeypatch.setattr(shifts, "zero_shot_logits", told)
    record = robustness(who, shift=shift, reference=imagenet, classes=classes)
    there = [place for place, own in enumerate(numbers) if own]
    right = []
    for label, row in zip(labels, logits["imagenet"], strict=True):
        own = next((place for place in there if label in numbers[place]), None)
        if own is not None:
            right.append(own == max(there, key=lambda place: max(row[number] for number in numbers[place])))
    assert (record.results[1].value, record.results[1].n) == (np.mean(right), sum(map(len, numbers)))
    if shift.metric == "accuracy":
        right = [
            label == max(there, key=lambda place: row[place])
            for label, row in zip(theirs, logits[name], strict=True)
            if label in there
        ]
        assert (record.results[0].value, record.results[0].n) == (np.mean(right), len(right))
    else:
        assert record.results[0].n == sum(int(theirs[i]) in there for i in range(100))


def test_a_models_average_is_over_the_shifts_and_their_subsets():
    """Section 3.3: the mean of the accuracies on the shifts over the mean of those on the reference's classes of each."""
    seven = {name: (0.5 + 0.05 * i, 0.3 + 0.06 * i) for i, name in enumerate("abcdefg")}
    mean = average([Accuracies(model="m", reference=r, shift=s, reference_n=1000, shift_n=500) for r, s in seven.values()])
    assert (mean.reference, mean.shift) == pytest.approx((0.65, 0.48))
    line = [
        Accuracies(model=str(r), reference=r, shift=float(expit(logit(r) - 1)), reference_n=1000, shift_n=500)
        for r in (0.5, 0.6, 0.7, 0.8)
    ]
    assert robust(mean, fit(line)).effective == pytest.approx(0.48 - expit(logit(0.65) - 1))


def test_a_users_two_folders_are_a_reference_and_its_shift(tmp_path):
    def write(folder: Path, classes: dict[str, int]) -> None:
        for name, label in classes.items():
            (folder / name).mkdir(parents=True)
            for i in range(4):
                Image.fromarray(pixels(label, i, side=32)).save(folder / name / f"{i}.png")

    write(tmp_path / "photos", {"cat": 0, "red_fox": 1, "grey_fox": 2, "owl": 3})
    write(tmp_path / "drawings", {"fox": 4, "owl": 3})
    (tmp_path / "drawings/task.toml").write_text(
        'reference = "photos"\ntemplates = ["a drawing of a {}."]\n'
        '[reference_classes]\nfox = ["red fox", "grey fox"]\nowl = "owl"\n'
    )
    reference, shift = find_task(str(tmp_path / "photos")), find_task(str(tmp_path / "drawings"))
    assert shift.reference == reference.name
    classes = corresponding(shift, reference)
    names = [[reference.class_names[number] for number in own] for own in classes]
    assert dict(zip(shift.class_names, names, strict=True)) == {"fox": ["red fox", "grey fox"], "owl": ["owl"]}
    record = robustness(subject(), shift=shift, reference=reference, classes=classes)
    assert [result.n for result in record.results] == [8, 12]
    assert record.results[1].metric == "accuracy on photos"
