"""Retrieval: which captions a picture finds, and which picture a caption finds, among all of a split."""

from collections.abc import Sequence

import numpy as np

from fullclip.core.distributed import on_leader
from fullclip.evaluation.features.words import captions_of
from fullclip.evaluation.statistics.recall import better_captions, better_images, image_to_text, text_to_image
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.tasks.task import Task
from fullclip.zeroshot.prompts import check_templates

KS = (1, 5, 10)
_EXAMPLES = 10


def retrieval(subject: Subject, *, task: Task) -> Record:
    """Recall@1, @5 and @10 both ways, every caption a query of its own (appendix E.1).

    Captions are put into the task's one template, where it has one, and cut to the context length. The number that the task's
    metric names comes first. An image without a caption is not asked about, and is one of those that captions choose from. All
    processes call this together.
    """
    found = subject.features(task)
    templates = tuple(template.replace("{c}", "{}") for template in task.templates) or ("{}",)
    check_templates(templates)
    if len(templates) > 1:
        raise ValueError(f"{task.name}: {len(templates)} templates; a caption goes into one, such as 'a photo of {{}}'")
    captions = [templates[0].replace("{}", text) for texts in found.texts for text in texts]
    if not captions:
        raise ValueError(f"{task.name}: no image has a caption; retrieval needs pairs")
    words = captions_of(captions, subject.clip, cache=subject.cache, world=subject.world)
    owners = np.repeat(np.arange(len(found)), [len(texts) for texts in found.texts])
    ks = sorted(KS, key=lambda k: task.metric != f"recall@{k}")

    def answer() -> Record:
        images = subject.clip.encoder.project(found.features)
        by_caption = better_images(images, words, owners)
        results = text_to_image(by_caption, owners, task=task.name, ks=ks)
        asked = np.unique(owners)
        results += image_to_text(better_captions(images, words, owners)[asked], task=task.name, ks=ks)
        keys = [f"{found.keys[owner]} {place}" for owner, place in zip(owners, _places(found.texts), strict=True)]
        skipped = found.drops.report()
        if silent := [key for key, texts in zip(found.keys, found.texts, strict=True) if not texts]:
            skipped["image without caption"] = {"count": len(silent), "examples": silent[:_EXAMPLES]}
        return Record(
            task=task.name,
            protocol="retrieval",
            results=tuple(results),
            details={"kind": task.kind, "images": len(found), "captions": len(captions), "skipped": skipped},
            arrays={
                "keys": np.array(keys),
                "values": (by_caption < ks[0]).astype(np.float64),
                "groups": np.array(found.keys)[owners],
            },
        )

    return on_leader(answer, subject.world)


def _places(texts: Sequence[Sequence[str]]) -> list[int]:
    """Which of its image's captions each is."""
    return [place for own in texts for place in range(len(own))]
