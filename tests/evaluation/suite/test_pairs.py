"""Retrieval of a task's captions against loops over embeddings."""

import numpy as np
import pytest

from fullclip.core.distributed import World
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.evaluation.statistics.paired import compare
from fullclip.evaluation.suite.pairs import retrieval
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.tasks.task import Example, Task
from tasks import Listed, pixels
from tiny import tiny_encoder


def subject() -> Subject:
    return Subject(backbone=ClipBackbone(tiny_encoder(), name="tiny"), cache=None, world=World.single())


def task(*, metric: str = "recall@1", templates: tuple[str, ...] = (), silent: bool = False, torn: bool = False) -> Task:
    texts = [tuple(f"picture {i} {'of' * j} {chr(97 + i)}" for j in range(1 + i % 3)) for i in range(14)]
    found = [Example(key=f"k{i}", image=pixels(i, i), texts=own) for i, own in enumerate(texts)]
    if silent:
        found[2] = Example(key="k2", image=pixels(2, 2))
    if torn:
        found[0] = Example(key="k0", image=b"torn", texts=texts[0])
    return Task(name="pairs", kind="retrieval", metric=metric, splits={"test": Listed(found)}, templates=templates)


@pytest.mark.parametrize("templates", [(), ("a photo of {}",), ("art: {c}",)])
@pytest.mark.parametrize("silent", [False, True])
def test_recalls_are_those_of_loops(templates, silent):
    who, asked = subject(), task(templates=templates, silent=silent)
    record = retrieval(who, task=asked)
    template = (templates or ("{}",))[0].replace("{c}", "{}")
    examples = asked.splits["test"].examples
    images = who.clip.encoder.encode_images([example.image for example in examples])
    own = [(i, template.format(text)) for i, example in enumerate(examples) for text in example.texts]
    words = who.clip.encoder.encode_texts([text for _, text in own])
    similarity = images @ words.T
    values = {result.metric: (result.value, result.n) for result in record.results}
    for k in (1, 5, 10):
        hits = []
        for j, (i, _) in enumerate(own):
            order = sorted(range(14), key=lambda one, j=j: -similarity[one, j])
            hits.append(i in order[:k])
        assert values[f"text-to-image recall@{k}"] == (pytest.approx(np.mean(hits)), len(own))
        found = []
        for i, example in enumerate(examples):
            if example.texts:
                order = sorted(range(len(own)), key=lambda one, i=i: -similarity[i, one])
                found.append(any(own[j][0] == i for j in order[:k]))
        assert values[f"image-to-text recall@{k}"] == (pytest.approx(np.mean(found)), 14 - silent)
    assert ("image without caption" in record.details["skipped"]) == silent


def test_the_metric_that_the_task_names_comes_first():
    record = retrieval(subject(), task=task(metric="recall@5"))
    assert record.results[0].metric == "text-to-image recall@5"
    assert record.arrays["values"].mean() == pytest.approx(record.results[0].value)


def test_a_key_is_the_captions_own_whatever_else_could_not_be_read():
    whole, torn = (retrieval(subject(), task=task(torn=torn)) for torn in (False, True))
    assert {"k0 0", "k1 0", "k1 1", "k2 0"} < set(whole.arrays["keys"].tolist())
    assert set(torn.arrays["keys"]) < set(whole.arrays["keys"])
    assert torn.details["skipped"]["unreadable image"]["count"] == 1
    found = compare(whole.arrays, torn.arrays, task="pairs", metric=whole.results[0].metric)
    assert (found.n, found.num_alone, found.test) == (len(torn.arrays["keys"]), 1, "paired bootstrap")


def test_what_is_no_retrieval_is_an_error():
    with pytest.raises(ValueError, match=r"pairs: 2 templates; a caption goes into one, such as 'a photo of \{\}'"):
        retrieval(subject(), task=task(templates=("{}", "a {}")))
    mute = Task(
        name="mute", kind="retrieval", metric="recall@1", splits={"test": Listed([Example(key="a", image=pixels(0, 0))])}
    )
    with pytest.raises(ValueError, match="mute: no image has a caption; retrieval needs pairs"):
        retrieval(subject(), task=mute)
