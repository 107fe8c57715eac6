"""Tasks asked of a model on its way through training: the numbers that `fullclip evaluate` would give of it.

Each task gives a function that the training loop calls on all processes: every process encodes its share, all learn the result.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from fullclip.core.distributed import World
from fullclip.core.extras import require
from fullclip.evaluation.features.backbone import ClipBackbone
from fullclip.evaluation.suite.pairs import retrieval
from fullclip.evaluation.suite.subject import Subject
from fullclip.evaluation.suite.zero_shot import zero_shot
from fullclip.evaluation.tasks.task import Skipped, Task
from fullclip.inference import Encoder

Evaluator = Callable[[Encoder, World], Mapping[str, float]]

_READ_AT_ONCE = 8


def ask(tasks: Sequence[Task]) -> list[Evaluator]:
    """An evaluator for each task: zero-shot classification, or retrieval where it is one of pairs. What it finds is called
    `<task>/<metric>`, such as `cifar10/accuracy` or `held-out/image-to-text_recall@1`.

    What is read of each test split at once shows whether any example can be used, so that a run is refused at its start.
    ValueError where none can, and where two tasks have one name; ImportError where what the intervals need is not installed.
    """
    require("scipy.stats", extra="eval")
    twice = [name for name, count in Counter(task.name for task in tasks).items() if count > 1]
    if twice:
        raise ValueError(
            f"two tasks are called {twice[0]!r}, and so would their metrics be; rename a folder or give it a task.toml"
        )
    for task in tasks:
        _check(task)
    return [_evaluator(task) for task in tasks]


def _check(task: Task) -> None:
    """ValueError where no example can be used, or one of those before the first that can is not of the task."""
    split, reasons = task.splits["test"], Counter[str]()
    for start in range(0, len(split), _READ_AT_ONCE):
        for example in split.read(range(start, min(start + _READ_AT_ONCE, len(split)))):
            if not isinstance(example, Skipped):
                return
            reasons[example.reason] += 1
    raise ValueError(f"{task.name}: no example can be used: {reasons.most_common(1)[0][0]}")


def _evaluator(task: Task) -> Evaluator:
    protocol = retrieval if task.kind == "retrieval" else zero_shot

    def evaluate(encoder: Encoder, world: World) -> dict[str, float]:
        subject = Subject(backbone=ClipBackbone(encoder, name="the model in training"), cache=None, world=world)
        record = protocol(subject, task=task)
        return {f"{task.name}/{result.metric.replace(' ', '_')}": result.value for result in record.results}

    return evaluate
