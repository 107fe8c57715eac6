"""Small sets of pictures that need no files: a colour for each class, which a model can be made to know."""

import hashlib
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from fullclip.core.distributed import ToldElsewhereError, World, together
from fullclip.core.types import Result
from fullclip.evaluation.features.backbone import ClipBackbone, FunctionBackbone
from fullclip.evaluation.features.cache import CHUNK
from fullclip.evaluation.features.extract import Extracted, extract
from fullclip.evaluation.features.words import weights_of
from fullclip.evaluation.suite.plan import Protocol, questions
from fullclip.evaluation.suite.probing import probe
from fullclip.evaluation.suite.records import About, Record
from fullclip.evaluation.suite.run import Evaluated, run
from fullclip.evaluation.suite.subject import Question, Subject
from fullclip.evaluation.suite.zero_shot import zero_shot
from fullclip.evaluation.tasks.task import Example, Skipped, Split, Task
from fullclip.preprocess.image import PreprocessConfig
from tiny import tiny_encoder


class Listed(Split):
    """A split of what it is given; counts how often a place was read."""

    def __init__(self, examples: Sequence[Example | Skipped]) -> None:
        self.examples, self.num_read = list(examples), 0

    def __len__(self) -> int:
        return len(self.examples)

    def read(self, places: range) -> Iterator[Example | Skipped]:
        for place in places:
            self.num_read += 1
            yield self.examples[place]

    def digest(self) -> str:
        return hashlib.sha256(repr([_told(example) for example in self.examples]).encode()).hexdigest()


def _told(example: Example | Skipped) -> tuple:
    if isinstance(example, Skipped):
        return (example.key, example.reason)
    image = example.image if isinstance(example.image, bytes) else example.image.tobytes()
    return (example.key, hashlib.sha256(image).hexdigest(), example.labels, example.texts, tuple(example.meta.items()))


def pixels(label: int, seed: int, *, side: int = 16) -> np.ndarray:
    """A noisy picture whose colour tells its class."""
    random = np.random.default_rng(1000 * label + seed)
    colour = np.random.default_rng(label).integers(0, 256, 3)
    return np.clip(colour + random.normal(0, 40, (side, side, 3)), 0, 255).astype(np.uint8)


def examples(num_classes: int, per_class: int, *, seed: int = 0) -> list[Example]:
    """`per_class` pictures of each class, the classes taking turns."""
    return [
        Example(key=f"{seed}-{i}-{label}", image=pixels(label, 100 * seed + i), labels=(label,))
        for i in range(per_class)
        for label in range(num_classes)
    ]


def colour_task(num_classes: int = 3, per_class: int = 6, *, name: str = "colours", splits: Sequence[str] = ("test",)) -> Task:
    """A classification of coloured noise."""
    words = ("red", "green", "blue", "yellow", "black", "white", "purple", "orange")
    return Task(
        name=name,
        kind="classification",
        metric="accuracy",
        splits={split: Listed(examples(num_classes, per_class, seed=i)) for i, split in enumerate(splits)},
        classes=tuple((word,) for word in words[:num_classes]),
        templates=("a photo of {}.", "{}"),
    )


def mean_backbone(fingerprint: str = "means") -> FunctionBackbone:
    """The mean colour of a picture."""
    return FunctionBackbone(
        lambda batch: batch.mean(dim=(2, 3)), name="means", fingerprint=fingerprint, preprocess=PreprocessConfig(size=8)
    )


def long_split(num: int = 2 * CHUNK + 30) -> Listed:
    found: list = [Example(key=f"k{i}", image=pixels(i % 5, i, side=8), labels=(i % 5,), meta={"i": i}) for i in range(num)]
    found[3] = Skipped(key="k3", reason="no label")
    if num > CHUNK:
        found[CHUNK + 1] = Example(key="torn", image=b"\x89PNG rubbish", labels=(0,))
    return Listed(found)


def as_extracted(split: Listed) -> list[Example]:
    """The examples of a split that can be read, in the order that features come in."""
    by_key = {example.key: example for example in split.examples if isinstance(example, Example)}
    return [by_key[key] for key in extract(split, mean_backbone(), cache=None, world=World.single(), title="t").keys]


def extract_work(world: World, cache: str | None) -> Extracted:
    return extract(long_split(), mean_backbone(), cache=Path(cache) if cache else None, world=world, title="t")


def own_cache_work(world: World, folder: str) -> Extracted:
    """Each process has a cache of its own."""
    return extract(long_split(), mean_backbone(), cache=Path(folder) / str(world.rank), world=world, title="t")


def bad_label_work(world: World) -> str:
    class Wrong(Listed):
        def read(self, places):
            if places.start == CHUNK:
                raise ValueError("label 9")
            yield from super().read(places)

    try:
        extract(Wrong(long_split().examples), mean_backbone(), cache=None, world=world, title="t")
    except (ValueError, ToldElsewhereError) as error:
        return str(error)
    return "nothing was said"


def words_work(world: World) -> np.ndarray:
    classes = [(f"thing {i}",) for i in range(40)]
    return weights_of(classes, ("{}",), ClipBackbone(tiny_encoder(), name="t"), cache=None, world=world)


def counting_work(world: World, out: str) -> list[tuple[str, float]]:
    """What each process is told of an evaluation of one question."""
    backbone = mean_backbone()
    subject = Subject(backbone=backbone, cache=None, world=world)
    result = Result(task="colours", metric="accuracy", value=0.5, interval=(0.25, 0.75), n=18)

    def answer(subject: Subject) -> Record:
        found = subject.features(colour_task())
        return Record(task="colours", protocol="p", results=(result,), arrays={"keys": np.array(found.keys)})

    asked = [Question(protocol="p", name="colours", tasks=(colour_task(),), answer=answer, settings={})]
    about = About(model="means", fingerprint=backbone.fingerprint)
    done = run(subject, asked, about=about, out=Path(out), on_record=lambda _: None)
    return [(record.task, record.results[0].value) for record in done.records]


def _record(name: str) -> Record:
    result = Result(task=name, metric="accuracy", value=0.5, interval=(0.25, 0.75), n=18)
    return Record(task=name, protocol="p", results=(result,), arrays={"keys": np.array(["a"]), "values": np.ones(1)})


def _asked(world: World, out: str, *, failing: int, error: Exception) -> Evaluated:
    """Two questions, the first of which process `failing` cannot answer."""

    def answer(name: str) -> Record:
        if name == "first" and world.rank == failing:
            raise error
        return _record(name)

    backbone = mean_backbone()
    subject = Subject(backbone=backbone, cache=None, world=world)
    asked = [
        Question(
            protocol="p",
            name=name,
            tasks=(colour_task(name=name),),
            answer=lambda subject, name=name: together(lambda: answer(name), subject.world),
            settings={},
        )
        for name in ("first", "second")
    ]
    about = About(model="means", fingerprint=backbone.fingerprint)
    return run(subject, asked, about=about, out=Path(out), on_record=lambda _: None)


def failing_work(world: World, out: str) -> tuple[list[str], list[tuple[str, str]]]:
    done = _asked(world, out, failing=1, error=ValueError("label 9 of 3, says process 1"))
    return [record.task for record in done.records], [(failure.name, failure.reason) for failure in done.failures]


def full_disk_work(world: World, out: str) -> str:
    try:
        _asked(world, out, failing=0, error=OSError("no space"))
    except (OSError, ToldElsewhereError) as error:
        return str(error)
    return "nothing was said"


class Deadly(Listed):
    """A split that kills its process in its second chunk."""

    def read(self, places: range) -> Iterator[Example | Skipped]:
        for number, example in enumerate(super().read(places), places.start):
            if number == CHUNK + 10:
                os.kill(os.getpid(), signal.SIGKILL)
            yield example


def killable_work(world: World, folder: str, deadly: str) -> dict[str, int]:
    """Zero-shot on two tasks; how many of the images of each were read. The task `deadly` ends the process."""
    tasks = [
        replace(
            colour_task(name=name),
            splits={"test": (Deadly if name == deadly else Listed)(examples(3, 100, seed=seed))},
        )
        for seed, name in enumerate(("first", "second"))
    ]
    backbone = ClipBackbone(tiny_encoder(), name="tiny")
    subject = Subject(backbone=backbone, cache=Path(folder) / "cache", world=world)
    asked = [
        Question(protocol="zero-shot", name=task.name, tasks=(task,), answer=partial(zero_shot, task=task), settings={})
        for task in tasks
    ]
    about = About(model="tiny", fingerprint=backbone.fingerprint)
    run(subject, asked, about=about, out=Path(folder) / "out", on_record=lambda _: None)
    return {task.name: task.splits["test"].num_read for task in tasks}  # type: ignore[attr-defined]


def caption_task(num: int = 20, *, name: str = "captions") -> Task:
    """A retrieval of coloured noise with one or two captions."""
    found = [
        Example(key=f"{i}", image=pixels(i % 8, i), texts=tuple(f"picture {i} number {j}" for j in range(1 + i % 2)))
        for i in range(num)
    ]
    return Task(name=name, kind="retrieval", metric="recall@1", splits={"test": Listed(found)})


def whole_work(world: World, folder: str) -> list[tuple[str, str, float]]:
    """Every question that plan.py asks of a CLIP, of a set, a shift of it and pairs; what each process is told."""
    reference = colour_task(5, 60, name="colours", splits=("test", "train"))
    shift = replace(colour_task(3, 5, name="shades"), reference="colours")
    protocols: tuple[Protocol, ...] = ("zero-shot", "retrieval", "calibration", "robustness")
    asked = questions([reference, shift, caption_task()], protocols)
    backbone = ClipBackbone(tiny_encoder(), name="tiny")
    subject = Subject(backbone=backbone, cache=Path(folder) / "cache", world=world)
    about = About(model="tiny", fingerprint=backbone.fingerprint)
    done = run(subject, asked, about=about, out=Path(folder) / "out", on_record=lambda _: None)
    assert not done.failures, done.failures
    return [(record.task, record.protocol, record.results[0].value) for record in done.records]


def probe_work(world: World) -> list[float]:
    """What each process is told of a probe."""
    subject = Subject(backbone=mean_backbone(), cache=None, world=world)
    return [result.value for result in probe(subject, task=colour_task(3, 12, splits=("test", "train"))).results]
