"""Probes of tasks: on what they are fitted, what they find, and that they are fitted once."""

from dataclasses import replace

import numpy as np
import pytest

import processes
from clouds import theirs
from fullclip.core.distributed import World
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.evaluation.suite.few_shots import few_shot
from fullclip.evaluation.suite.probing import held_out, probe, training
from fullclip.evaluation.suite.shifts import adapted_robustness
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.suite.zero_shot import zero_shot
from fullclip.evaluation.tasks.task import Example
from tasks import Listed, colour_task, examples, mean_backbone, pixels, probe_work
from tiny import tiny_encoder


def asking(cache=None, backbone=None) -> Subject:
    return Subject(backbone=backbone or mean_backbone(), cache=cache, world=World.single())


def split_task(per_class: int = 20, **more):
    return replace(colour_task(4, per_class, splits=("test", "train")), **more)


def hard_task():
    """Of classes whose colours are near each other."""

    def near(place: int, example: Example) -> Example:
        colour = 120 + (example.image.mean(axis=(0, 1)) - 120) / 30
        noise = np.random.default_rng(place).normal(0, 40, example.image.shape)
        return replace(example, image=(colour + noise).clip(0, 255).astype(np.uint8))

    task = split_task()
    return replace(
        task, splits={name: Listed([near(*told) for told in enumerate(split.examples)]) for name, split in task.splits.items()}
    )


def accuracy(record) -> float:
    return next(result.value for result in record.results if result.metric == "accuracy")


def test_a_fifth_of_each_class_is_held_out_the_same_every_time():
    groups = np.repeat(np.arange(4), [50, 11, 4, 1])
    chosen = held_out(groups)
    assert np.bincount(groups[chosen], minlength=4).tolist() == [10, 3, 1, 0]
    np.testing.assert_array_equal(chosen, held_out(groups))


def test_a_validation_split_is_used_where_there_is_one():
    task = split_task()
    with_validation = replace(task, splits={**task.splits, "validation": Listed(examples(4, 5, seed=7))})
    assert training(asking(), task).origin == "1/5 of train, of each class, at random"
    given = training(asking(), with_validation)
    assert given.origin == "the validation split"
    assert (len(given.train), len(given.validation)) == (80, 20)


def test_the_probe_is_scikit_learns_on_train_and_validation_under_the_chosen_penalty():
    task, subject = split_task(), asking()
    record = probe(subject, task=task)
    train, test = subject.features(task, "train"), subject.features(task)
    last = theirs(train.features, train.classes, record.details["C"])
    assert (record.arrays["predictions"] == last.predict(test.features)).mean() > 0.98
    assert accuracy(record) == pytest.approx(last.score(test.features, test.classes), abs=0.02)
    assert record.details["train"] == 80
    assert record.details["dim"] == 3
    assert record.details["lambda"] in [point["lambda"] for point in record.details["sweep"]]
    assert record.results[0].n == 80


@pytest.mark.parametrize("metric", ["accuracy", "mean_per_class", "mean_top1_top5"])
def test_the_tasks_own_metric_comes_first(metric):
    assert probe(asking(), task=split_task(metric=metric)).results[0].metric == metric


def test_two_classes_are_asked_for_the_area_under_their_curve():
    task = replace(colour_task(2, 20, splits=("test", "train")), metric="roc_auc")
    record = probe(asking(), task=task)
    assert record.results[0].metric == "roc_auc"
    assert record.results[0].value > 0.9


def test_a_multilabel_task_has_a_regression_for_each_class():
    def shows(seed: int) -> list[Example]:
        random = np.random.default_rng(seed)
        found = []
        for i in range(60):
            shown = tuple(label for label in range(3) if random.random() < 0.5)
            base = np.full((16, 16, 3), 40.0)
            for label in shown:
                base[..., label] += 120
            image = np.clip(base + random.normal(0, 30, base.shape), 0, 255).astype(np.uint8)
            found.append(Example(key=f"{seed}-{i}", image=image, labels=shown))
        return found

    task = replace(
        colour_task(3, name="several"),
        kind="multilabel",
        metric="map_11_point",
        splits={"train": Listed(shows(0)), "test": Listed(shows(1))},
    )
    record = probe(asking(), task=task)
    assert record.results[0].metric == "map_11_point"
    assert record.results[0].value > 0.95


def test_a_class_that_training_does_not_show_is_named():
    task = split_task()
    seen = [example for example in task.splits["train"].examples if example.labels != (2,)]
    with pytest.raises(ValueError, match="colours: no training image of class 'blue' can be read; a probe needs some"):
        probe(asking(), task=replace(task, splits={**task.splits, "train": Listed(seen)}))


def test_a_probe_is_fitted_once_and_again_for_other_data(tmp_path, monkeypatch):
    from fullclip.evaluation.suite import probing

    fits = []
    monkeypatch.setattr(probing, "fit_best", lambda *args, real=probing.fit_best, **more: fits.append(1) or real(*args, **more))
    task = split_task()
    first = probe(asking(tmp_path), task=task)
    again = probe(asking(tmp_path), task=task)
    assert len(fits) == 1
    assert first.results == again.results
    more = [*task.splits["train"].examples, Example(key="new", image=pixels(1, 999), labels=(1,))]
    probe(asking(tmp_path), task=replace(task, splits={**task.splits, "train": Listed(more)}))
    probe(asking(tmp_path, mean_backbone("another")), task=task)
    assert len(fits) == 3


def test_few_shots_rise_to_what_the_whole_set_teaches():
    record = few_shot(asking(), task=hard_task(), shots=(1, 4, 16), seeds=3)
    metrics = [result.metric for result in record.results]
    assert metrics == ["accuracy at 1 shot", "accuracy at 4 shots", "accuracy at 16 shots"]
    values = [result.value for result in record.results]
    assert values == pytest.approx(np.mean(record.details["by_seed"], axis=1))
    assert values[0] < values[2] <= 1
    assert values[2] == pytest.approx(record.details["full"], abs=0.05)
    assert all(low <= value <= high for value, (low, high) in [(r.value, r.interval) for r in record.results])
    assert record.details["zero_shot"] is None
    assert record.arrays["values"].mean() == pytest.approx(values[0])
    assert record.details["full_shots"] == 20


@pytest.mark.parametrize("metric", ["mean_per_class", "mean_top1_top5"])
def test_a_points_value_is_the_tasks_metric_and_its_interval_holds_it(metric):
    task = split_task(metric=metric)
    uneven = [example for example in task.splits["test"].examples if example.labels != (1,) or "-1-" in example.key]
    task = replace(task, splits={**task.splits, "test": Listed(uneven)})
    record = few_shot(asking(), task=task, shots=(2,), seeds=2)
    low, high = record.results[0].interval
    assert low <= record.results[0].value <= high


def test_numbers_of_shots_that_a_class_does_not_have_are_left_out():
    record = few_shot(asking(), task=split_task(per_class=6), shots=(1, 4, 16), seeds=2)
    assert record.details["shots"] == [1, 4]
    with pytest.raises(ValueError, match="colours: a class has 4 training images; few-shot probes begin with 8"):
        few_shot(asking(), task=split_task(per_class=6), shots=(8,), seeds=2)


def test_a_clips_zero_shot_answer_stands_beside_its_shots(tmp_path):
    task = split_task()
    subject = asking(tmp_path, ClipBackbone(tiny_encoder(), name="tiny"))
    record = few_shot(subject, task=task, shots=(1, 2), seeds=2)
    assert record.details["zero_shot"] == pytest.approx(accuracy(zero_shot(subject, task=task)))
    assert record.details["zero_shot_equals"]["said"]


def test_adaptation_is_measured_on_a_shift_by_the_references_probe(tmp_path):
    reference = split_task()
    shift = replace(
        colour_task(4, 10, name="drawings"),
        classes=(("red",), ("blue",)),
        splits={
            "test": Listed([replace(e, labels=(e.labels[0] // 2,)) for e in examples(4, 10, seed=5) if e.labels[0] % 2 == 0])
        },
        reference="colours",
    )
    subject = asking(tmp_path)
    record = adapted_robustness(subject, shift=shift, reference=reference, classes=((0,), (2,)))
    fitted = theirs(
        subject.features(reference, "train").features,
        subject.features(reference, "train").classes,
        probe(subject, task=reference).details["C"],
    )
    found = subject.features(shift)
    logits = fitted.decision_function(found.features)[:, [0, 2]]
    assert record.results[0].value == pytest.approx((logits.argmax(axis=1) == found.classes).mean(), abs=0.06)
    assert record.protocol == "adapted-robustness"
    assert record.results[1].metric == "accuracy on colours"
    assert record.results[1].n == 40
    assert {"reference_accuracy", "shift_accuracy", "reference", "shift"} <= record.details.keys()


@pytest.mark.dist
def test_all_processes_learn_the_leaders_probe():
    alone = probe_work(World.single())
    assert processes.run(probe_work, 2) == [alone, alone]


def test_a_metric_of_frames_is_chosen_by_accuracy():
    def frames(split: Listed) -> Listed:
        return Listed([replace(e, meta={"anchor": e.key, "offset": 0}) for e in split.examples])

    task = split_task(metric="mean_pm0_pm10")
    task = replace(task, splits={name: frames(split) for name, split in task.splits.items()})
    assert probe(asking(), task=task).results[0].metric == "mean_pm0_pm10"
    assert few_shot(asking(), task=task, shots=(2,), seeds=1).results[0].metric == "accuracy at 2 shots"
