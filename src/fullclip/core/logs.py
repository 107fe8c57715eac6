"""What a run says: metrics as JSON lines and TensorBoard events, and progress bars. Text for people goes to stderr."""

import json
import math
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from tensorboardX import SummaryWriter

from fullclip.core.storage import atomic_file

T = TypeVar("T")


def stderr() -> Console:
    """The console for logs and bars; results go to stdout."""
    return Console(stderr=True)


class MetricsLog:
    """Numbers of a run by step: `metrics.jsonl` (one object a line) and TensorBoard events, both in `folder`.

    `keep_until`: on resuming, lines of later steps are dropped, so that the file holds one curve.
    """

    def __init__(self, folder: Path, *, keep_until: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "metrics.jsonl"
        kept = [line for line in read_metrics(path) if line["step"] <= keep_until] if path.exists() else []
        with atomic_file(path, "w") as file:
            file.writelines(json.dumps(line) + "\n" for line in kept)
        self._file = path.open("a", encoding="utf-8")
        self._events = SummaryWriter(str(folder / "tensorboard"), purge_step=keep_until + 1)

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Append the numbers of one step, and flush them so that a killed run has lost none."""
        plain = {name: value if math.isfinite(value) else None for name, value in metrics.items()}  # JSON has no NaN
        self._file.write(json.dumps({"step": step, **plain}) + "\n")
        self._file.flush()
        for name, value in metrics.items():
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
            break  # only the last line can be torn: each is flushed whole before the next begins
        if not isinstance(line, dict) or "step" not in line:
            raise ValueError(f"{path}: {text[:40]!r} is no line of a run's metrics; move the file away")
        lines.append(line)
    return lines


@contextmanager
def progress(unit: str, *columns: ProgressColumn) -> Iterator[Progress]:
    """A progress bar on stderr with count, time left and the given extra columns; silent where stderr is no terminal."""
    console = stderr()
    shown = [TextColumn("{task.description}"), BarColumn(bar_width=10), MofNCompleteColumn(), TextColumn(unit), *columns]
    with Progress(*shown, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        yield bar


def track(items: Iterable[T], description: str, *, unit: str) -> Iterator[T]:
    """`items` as they come, with a bar."""
    with progress(unit) as bar:
        yield from bar.track(items, total=len(items) if isinstance(items, Sized) else None, description=description)
