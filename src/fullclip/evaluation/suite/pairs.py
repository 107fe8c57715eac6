"""Retrieval: which captions a picture finds, and which picture a caption finds, among all of a split."""

import numpy as np

from fullclip.core.distributed import on_leader
from fullclip.evaluation.features.words import captions_of
from fullclip.evaluation.statistics.recall import retrieval_recall
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.tasks.task import Task
from fullclip.zeroshot.prompts import check_templates

KS = (1, 5, 10)


def retrieval(subject: Subject, task: Task) -> Record:
    """Recall@1, @5 and @10 both ways, every caption a query of its own (appendix E.1).

    Captions are put into the task's one template, where it has one, and cut to the context length. All processes call this
    together.
    """
    found = subject.features(task)
    templates = task.templates or ("{}",)
    check_templates(templates)
    if len(templates) > 1:
        raise ValueError(f"{task.name}: {len(templates)} templates; a caption goes into one, such as 'a photo of {{}}'")
    captions = [templates[0].replace("{c}", "{}").replace("{}", text) for texts in found.texts for text in texts]
    if not captions:
        raise ValueError(f"{task.name}: no image has a caption; retrieval needs pairs")
    words = captions_of(captions, subject.clip, cache=subject.cache, world=subject.world)
    owners = np.repeat(np.arange(len(found)), [len(texts) for texts in found.texts])

    def answer() -> Record:
        images = subject.clip.encoder.project(found.features)
        return Record(
            task=task.name, protocol="retrieval", results=(), details={}, arrays={"owners": owners, "x": images @ words.T}
        )

    return on_leader(answer, subject.world)
