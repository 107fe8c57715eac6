"""What a run says while it goes: a line of metrics now and then, and the progress bar."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from jaxtyping import Int
from rich.progress import TextColumn
from torch import Tensor

from fullclip.core.distributed import World, total
from fullclip.core.logs import MetricsLog, progress
from fullclip.core.say import say
from fullclip.core.types import Batch
from fullclip.models.flops import image_flops, text_flops
from fullclip.models.text import rows_of_like_length, trim_padding
from fullclip.train.checkpoints.contents import Progress
from fullclip.train.config import Run
from fullclip.train.speed import memory_bytes
from fullclip.train.step import StepOutcome

_SECONDS_BETWEEN_LINES = 15.0


class Report:
    """Numbers of a step, to the log and to the bar of the leading process. Reading them waits for the device and for the
    other processes, so it is not done every step.
    """

    def __init__(self, log: MetricsLog | None, bar: "Bar", run: Run, world: World, *, flops_per_second: float) -> None:
        self._log, self._bar, self._run, self._world = log, bar, run, world
        self._ceiling = flops_per_second * world.size
        self._before: tuple[int, float] | None = None
        self._waited = 0.0  # seconds for data since the last line

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Time spent in here is spent waiting for data."""
        began = time.monotonic()
        yield
        self._waited += time.monotonic() - began

    def write(self, here: Progress, outcome: StepOutcome, batch: Batch, *, rate: float, left_out: int) -> None:
        """One line. `mfu` is the share of the device's own matrix product (`train/speed.py`) that the model's arithmetic
        reaches; what checkpointing computes twice counts once.
        """
        sums = total(outcome.loss.new_tensor([float(outcome.loss), batch.num_truncated], dtype=outcome.loss.dtype), self._world)
        metrics = {
            "loss": float(sums[0]) / self._world.size,
            "learning_rate": rate,
            "temperature": 1 / float(outcome.scale),
            "gradient_norm": float(outcome.gradient_norm),
            "epoch": batch.epoch,
            "truncated_texts": float(sums[1]),
            "steps_left_out": float(left_out),
            "seconds": here.seconds,
            "memory_bytes": float(memory_bytes(outcome.loss.device)),
        }
        if self._before is not None and here.seconds > self._before[1]:
            steps, seconds = here.step - self._before[0], here.seconds - self._before[1]
            pairs_per_second = steps * len(batch.images) * self._world.size / seconds
            metrics["pairs_per_second"] = pairs_per_second
            metrics["mfu"] = pairs_per_second * self._flops_of_a_pair(batch, outcome.loss.device) / self._ceiling
            metrics["data_wait"] = min(1.0, self._waited / seconds)
        self._before, self._waited = (here.step, here.seconds), 0.0
        if self._log is not None:
            self._log.write(here.step, metrics)
        self._bar.show(here.step, metrics)

    def _flops_of_a_pair(self, batch: Batch, device: torch.device) -> float:
        """Forward, and twice as much backward where a tower is trained (Kaplan et al. 2020, section 2.1)."""
        image, lock = image_flops(self._run.model, training=True), self._run.optim.lock
        text = self._flops_of_a_text(batch.tokens, device)
        return image * (1 if lock == "image" else 3) + text * (1 if lock == "text" else 3)

    def _flops_of_a_text(self, tokens: Int[Tensor, "batch context"], device: torch.device) -> float:
        """On a CPU short texts are computed apart from long ones; on a GPU, or compiled, all are as long as the longest."""
        end_id, apart = self._run.model.text.end_id, device.type == "cpu" and not self._run.train.compile
        parts = [tokens[rows] for rows in rows_of_like_length(tokens, end_id)] if apart else [tokens]
        lengths = [trim_padding(part, end_id).shape[1] for part in parts]
        flops = [len(part) * text_flops(self._run.model, tokens=length) for part, length in zip(parts, lengths, strict=True)]
        return sum(flops) / len(tokens)

    def evaluated(self, here: Progress, found: Mapping[str, float]) -> None:
        """The numbers of an evaluation, on a line of their own."""
        if self._log is not None:
            self._log.write(here.step, {f"evaluation/{name}": value for name, value in found.items()})
            shown = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
            say(f"step {here.step:,}: {shown}")

    def once_more(self, here: Progress) -> None:
        """The step behind `here` was the last, and left out: it is made again."""
        self._before = None
        if self._log is not None:
            self._log.go_back(here.step)

    def went_back(self, left: int, here: Progress, *, left_out: int) -> None:
        """A roll-back from step `left`, when so many steps had been left out."""
        self._before = None
        if self._log is not None:
            self._log.go_back(here.step)
            self._log.event(left, "rolled back", to=here.step, rollbacks=here.rollbacks, steps_left_out=left_out)
            say(f"step {left:,}: too many steps without a finite gradient; back to step {here.step:,}")
        self._bar.show(here.step, {})


class Bar:
    """The progress bar of the leading process; where stderr is no terminal, a line now and then."""

    def __init__(self, steps: int, done: int, *, shown: bool) -> None:
        self._steps, self._done, self._shown = steps, done, shown
        self._stack = ExitStack()
        self._last_line = 0.0

    def __enter__(self) -> "Bar":
        if self._shown:
            self._progress = self._stack.enter_context(progress("", TextColumn("{task.fields[shown]}")))
            self._task = self._progress.add_task("", total=self._steps, completed=self._done, shown="")
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def show(self, step: int, metrics: Mapping[str, float]) -> None:
        """Move the bar to `step`."""
        if not self._shown:
            return
        text = ""
        if metrics:
            speed = f"{metrics.get('pairs_per_second', 0):.0f} pairs/s mfu {metrics.get('mfu', 0):.0%}"
            text = f"{speed} loss {metrics['loss']:.2f} lr {metrics['learning_rate']:.0e} temp {metrics['temperature']:.3f}"
        self._progress.update(self._task, completed=step, shown=text)
        now = time.monotonic()
        if self._progress.disable and text and (now - self._last_line > _SECONDS_BETWEEN_LINES or step == self._steps):
            say(f"step {step:,} of {self._steps:,}  {text}")
            self._last_line = now
