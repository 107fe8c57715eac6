"""Who is asked, and what a question is: a protocol, the tasks it looks at, and how its record is made."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullclip.core.distributed import World
from fullclip.evaluation.features.backbone import Backbone, ClipBackbone
from fullclip.evaluation.features.extract import Extracted, extract
from fullclip.evaluation.suite.records import Record
from fullclip.evaluation.tasks.task import SPLITS, Task

_VERSION = 2  # of what the protocols compute: a higher one measures again what an older one has kept


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A backbone with the processes it runs on, the folder where its features are kept (None: nowhere), and where probes of
    them are fitted (None: the processor).
    """

    backbone: Backbone
    cache: Path | None
    world: World
    device: str | None = None

    @property
    def clip(self) -> ClipBackbone:
        """The backbone, where it knows words; ValueError where it does not."""
        if not isinstance(self.backbone, ClipBackbone):
            raise ValueError(f"{self.backbone.name} knows no words: ask it for --probe or --few-shot")
        return self.backbone

    def features(self, task: Task, split: str = "test") -> Extracted:
        """A split of a task through the backbone; all processes call this together."""
        title = f"{task.name} {split}"
        return extract(task.splits[split], self.backbone, cache=self.cache, world=self.world, title=title)


@dataclass(frozen=True, kw_only=True)
class Question:
    """One record to be made: by `protocol`, of `tasks`, under `settings` (JSON-able); `name` is the record's task.

    `answer` is called on all processes, and gives all of them the record. `splits` are those it looks at, where they are there:
    no other is read through for what it holds.
    """

    protocol: str
    name: str
    tasks: tuple[Task, ...]
    answer: Callable[[Subject], Record]
    settings: Mapping[str, Any]
    splits: tuple[str, ...] = SPLITS

    def identity(self, subject: Subject) -> str:
        """The SHA-256 of all that the answer depends on: the model, the data, the words, the settings."""
        told = {
            "version": _VERSION,
            "protocol": self.protocol,
            "model": subject.backbone.fingerprint,
            "tasks": [_told(task, self.splits) for task in self.tasks],
            "settings": dict(self.settings),
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _told(task: Task, splits: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": task.name,
        "kind": task.kind,
        "metric": task.metric,
        "classes": [list(names) for names in task.classes],
        "templates": list(task.templates),
        "reference": task.reference,
        "dataset": task.dataset,
        "reference_classes": [list(classes) for classes in task.reference_classes],
        "splits": {name: split.digest() for name, split in task.splits.items() if name in splits},
    }
