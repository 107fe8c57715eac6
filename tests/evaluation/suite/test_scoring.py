"""What a record says of a task: by its own metric, with arrays that belong to the keys."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sklearn

from fullclip.core.distributed import World
from fullclip.evaluation.features.extract import Extracted, extract
from fullclip.evaluation.statistics.metrics import average_precisions, map_11_point
from fullclip.evaluation.suite.scoring import scored
from fullclip.evaluation.tasks.task import Example, Task
from tasks import Listed, colour_task, mean_backbone, pixels


def found(task: Task) -> Extracted:
    return extract(task.splits["test"], mean_backbone(), cache=None, world=World.single(), title="t")


def scores_of(task: Task, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(len(task.splits["test"]), len(task.classes))).astype(np.float32)


@pytest.mark.parametrize("metric", ["accuracy", "mean_per_class", "mean_top1_top5"])
def test_a_classification_is_told_with_all_that_a_reader_may_ask(metric):
    task = replace(colour_task(7, 9), metric=metric)
    scores, examples = scores_of(task), found(task)
    told = scored(task, scores, examples)
    labels, predictions = examples.classes, scores.argmax(axis=1)
    values = {result.metric: result.value for result in told.results}
    assert told.results[0].metric == metric
    assert values["accuracy"] == sklearn.accuracy_score(labels, predictions)
    assert values["accuracy@5"] == pytest.approx(sklearn.top_k_accuracy_score(labels, scores, k=5))
    assert values["mean_per_class"] == pytest.approx(sklearn.balanced_accuracy_score(labels, predictions))
    assert told.details["per_class"] == pytest.approx(sklearn.recall_score(labels, predictions, average=None).tolist())
    assert told.details["class_counts"] == [9] * 7
    np.testing.assert_array_equal(told.arrays["confusion"], sklearn.confusion_matrix(labels, predictions))
    np.testing.assert_array_equal(told.arrays["labels"], labels)
    assert len({len(told.arrays[name]) for name in ("keys", "values", "labels", "predictions")}) == 1


def test_a_class_without_an_example_has_no_accuracy():
    task = colour_task(3, 4)
    whole = found(task)
    few = whole.at(np.flatnonzero(whole.classes < 2)[:6])
    told = scored(task, scores_of(task)[:6], few)
    assert told.details["per_class"][2] is None
    assert told.details["class_counts"] == np.bincount(few.classes, minlength=3).tolist()
    assert [result.metric for result in told.results] == ["accuracy", "mean_per_class"]


def test_a_multi_label_set_has_an_average_precision_for_each_class():
    random = np.random.default_rng(0)
    shown = [tuple(np.flatnonzero(row).tolist()) for row in random.random((30, 3)) < 0.4]
    examples = [
        Example(key=f"k{i}", image=pixels(0, i), labels=labels, meta={"not_judged": [2]} if i == 4 and 2 not in labels else {})
        for i, labels in enumerate(shown)
    ]
    task = Task(
        name="m", kind="multilabel", metric="map_11_point", splits={"test": Listed(examples)}, classes=(("a",), ("b",), ("c",))
    )
    scores = scores_of(task)
    told = scored(task, scores, found(task))
    targets = found(task).targets(3)
    assert told.results[0] == map_11_point(scores, targets, task="m").result
    assert told.details["per_class"] == pytest.approx(average_precisions(scores, targets, task="m").tolist())
    assert np.mean(told.details["per_class"]) == pytest.approx(told.results[0].value)
    assert told.details["class_counts"] == [sum(c in labels for labels in shown) for c in range(3)]
    np.testing.assert_array_equal(told.arrays["targets"], targets)


def test_the_arrays_of_frames_are_those_of_their_anchors():
    frames = [
        Example(
            key=f"{anchor}{offset}",
            image=pixels(label, offset + 50),
            labels=(label,),
            meta={"anchor": anchor, "offset": offset},
        )
        for label, anchor in enumerate("abc")
        for offset in (-2, 0, 5)
    ]
    lost = Example(key="d1", image=pixels(1, 9), labels=(1,), meta={"anchor": "d", "offset": 1})
    torn = Example(key="d0", image=b"torn", labels=(1,), meta={"anchor": "d", "offset": 0})
    task = replace(colour_task(), metric="mean_pm0_pm10", splits={"test": Listed([*frames, torn, lost])})
    told = scored(task, scores_of(task)[:10], found(task))
    keys = [key for key in found(task).keys if key in ("a0", "b0", "c0")]
    assert told.arrays["keys"].tolist() == keys
    assert told.arrays["labels"].tolist() == ["abc".index(key[0]) for key in keys]
    places = [found(task).keys.index(key) for key in keys]
    np.testing.assert_array_equal(told.arrays["predictions"], scores_of(task).argmax(axis=1)[places])
    assert told.details["skipped"]["anchor whose own frame is not there"] == {"count": 1, "examples": ["d"]}
    assert told.details["skipped"]["unreadable image"]["count"] == 1
    assert [(result.metric, result.n) for result in told.results] == [
        ("mean_pm0_pm10", 3),
        ("accuracy", 10),
        ("mean_per_class", 10),
    ]


def test_the_area_under_the_curve_comes_with_its_scores():
    task = replace(colour_task(2, 12), metric="roc_auc")
    scores = scores_of(task)
    told = scored(task, scores, found(task))
    assert told.results[0].value == pytest.approx(sklearn.roc_auc_score(found(task).classes, scores[:, 1] - scores[:, 0]))
    np.testing.assert_array_equal(told.arrays["scores"], scores)


def test_numbers_that_are_not_finite_are_an_error():
    task = colour_task()
    scores = scores_of(task)
    scores[5, 1] = np.nan
    with pytest.raises(ValueError, match=r"row 5 of the scores holds NaN or infinity: are the model's weights finite\?"):
        scored(task, scores, found(task))
