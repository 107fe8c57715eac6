"""What a run says: metrics as JSON lines and TensorBoard events, and progress bars. Text for people goes to stderr."""

import json
import math
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from fullclip.core.say import stderr
from fullclip.core.storage import atomic_file

T = TypeVar("T")


class MetricsLog:
    """Numbers of a run by step: `metrics.jsonl` (one object a line) and TensorBoard events, both in `folder`.

    `keep_until`: on resuming, lines of later steps are dropped, so that the file holds one curve; events stay.
    """

    def __init__(self, folder: Path, *, keep_until: int = 0) -> None:
        self._folder = folder
        self._open(keep_until)

    def _open(self, keep_until: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / "metrics.jsonl"
        lines = read_metrics(path) if path.exists() else []
        with atomic_file(path, "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines if line["step"] <= keep_until or "event" in line)
        self._file = path.open("a", encoding="utf-8")
        from tensorboardX import SummaryWriter  # imports torch, which who shows a bar alone does without

        self._events = SummaryWriter(str(self._folder / "tensorboard"), purge_step=keep_until + 1)

    def go_back(self, step: int) -> None:
        """Drop the lines behind `step`: the run goes on from there."""
        self._file.close()
        self._events.close()
        self._open(step)

    def event(self, step: int, event: str, **facts: int | float | str) -> None:
        """Something that happened at `step`: a line of its own."""
        self._file.write(json.dumps({"step": step, "event": event, **facts}) + "\n")
        self._file.flush()

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Append the numbers of one step, and flush them so that a killed run has lost none."""
        plain = {name: value if math.isfinite(value) else None for name, value in metrics.items()}  # JSON has no NaN
        self._file.write(json.dumps({"step": step, **plain}) + "\n")
        self._file.flush()
        for name, value in metrics.items():
            if math.isfinite(value):
                self._events.add_scalar(name, value, step)

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()
        self._events.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl; a last line that was torn by a kill is left out."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue  # the last line of a killed run may be torn
        if not isinstance(line, dict) or "step" not in line:
            raise ValueError(f"{path}: {text[:40]!r} is no line of a run's metrics; move the file away")
        lines.append(line)
    return lines


_within_a_bar = ContextVar("within_a_bar", default=False)


@contextmanager
def progress(unit: str, *columns: ProgressColumn) -> Iterator[Progress]:
    """A progress bar on stderr with count, time left and the given extra columns; silent where stderr is no terminal, and
    within another bar: two on one line flicker.
    """
    console, within = stderr(), _within_a_bar.get()
    shown = [TextColumn("{task.description}"), BarColumn(bar_width=10), MofNCompleteColumn(), TextColumn(unit), *columns]
    token = _within_a_bar.set(True)
    try:
        with Progress(*shown, TimeRemainingColumn(), console=console, disable=within or not console.is_terminal) as bar:
            yield bar
    finally:
        _within_a_bar.reset(token)


def track(items: Iterable[T], description: str, *, unit: str, total: int | None = None) -> Iterator[T]:
    """`items` as they come, with a bar; `total` of them, where they cannot say it themselves."""
    with progress(unit) as bar:
        known = total if total is not None else len(items) if isinstance(items, Sized) else None
        yield from bar.track(items, total=known, description=description)
