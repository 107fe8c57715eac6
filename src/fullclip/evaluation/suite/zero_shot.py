"""Zero-shot classification of a task's test split: its own metric, accuracy by class, what is mistaken for what."""

import numpy as np
from jaxtyping import Float

from fullclip.core.distributed import on_leader
from fullclip.evaluation.features.extract import Extracted
from fullclip.evaluation.features.words import weights_of
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.suite.scoring import scored
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.tasks.task import Task
from fullclip.zeroshot.classifier import LOGIT_SCALE
from fullclip.zeroshot.prompts import PHOTO, check_templates


def zero_shot(subject: Subject, *, task: Task) -> Record:
    """Ask a CLIP for each image's class, by the task's names and templates (section 3.1). All processes call this together."""
    found, logits = zero_shot_logits(subject, task)

    def answer() -> Record:
        told = scored(task, logits, found)
        details = {**told.details, "templates": len(templates_of(task)), "reference": task.reference}
        return Record(task=task.name, protocol="zero-shot", results=told.results, details=details, arrays=told.arrays)

    return on_leader(answer, subject.world)


def zero_shot_logits(subject: Subject, task: Task, split: str = "test") -> tuple[Extracted, Float[np.ndarray, "n classes"]]:
    """The examples of a split with 100 times the cosine similarity of each to each class, as openai/CLIP multiplies."""
    clip = subject.clip
    found = subject.features(task, split)
    weights = weights_of(task.classes, templates_of(task), clip, cache=subject.cache, world=subject.world)
    return found, LOGIT_SCALE * clip.encoder.project(found.features) @ weights.T


def templates_of(task: Task) -> tuple[str, ...]:
    """The task's sentences, or "a photo of a {}." where it has none."""
    templates = tuple(template.replace("{c}", "{}") for template in task.templates) or PHOTO
    check_templates(templates)
    return templates
