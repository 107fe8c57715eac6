"""Follow a run from its config to a model folder, through interruptions. The only place where the parts of training meet."""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import torch
from rich.progress import TextColumn

from fullclip.core.distributed import World
from fullclip.core.logs import MetricsLog, progress, stderr
from fullclip.core.types import Batch
from fullclip.data.drops import Drops
from fullclip.data.loader import Loader
from fullclip.data.shards import find_shards
from fullclip.models.checkpoint import Checkpoint, Provenance
from fullclip.models.clip import Clip, build, initialize
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.image import train_transform
from fullclip.preprocess.tokenizer import Tokenizer
from fullclip.train import checkpoint as checkpoints
from fullclip.train.config import Run
from fullclip.train.optim import build_optimizer, learning_rate
from fullclip.train.step import StepOutcome, has_bfloat16, train_step

_SECONDS_BETWEEN_LINES = 15.0


class Interrupted(Exception):  # noqa: N818 - not an error: the user asked for it
    """The user stopped the run; what was reached is saved in `checkpoint`."""

    def __init__(self, checkpoint: Path, step: int) -> None:
        super().__init__(f"stopped after step {step}, saved in {checkpoint}")
        self.checkpoint, self.step = checkpoint, step


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a finished run leaves: the model folder, its metrics, the numbers of pairs and seconds, and what was dropped."""

    model: Path
    metrics: Path
    steps: int
    pairs: int
    seconds: float
    drops: Drops


def train(run: Run, out: Path, *, resume: bool, world: World, device: torch.device) -> Trained:
    """Train as `run` says and write `out/model/`; on the way `out/checkpoints/<step>/` and `out/metrics.jsonl`.

    ValueError for settings that do not fit together, before the first step. Interrupted on Ctrl-C, after saving.
    """
    tokenizer = _check(run, world)
    shards = find_shards(run.data.shards)
    newest = _claim(out, run, resume=resume)
    torch.manual_seed(run.train.seed)
    model = build(run.model)
    initialize(model, torch.Generator().manual_seed(run.train.seed))
    model.to(device).train()
    model.checkpoint_towers(image=run.train.checkpoint_image_tower, text=run.train.checkpoint_text_tower)
    optimizer = build_optimizer(model, run.optim)
    start = checkpoints.Progress(step=0, position={"epoch": 0, "pairs": 0}, seconds=0.0)
    if newest is not None:
        start = checkpoints.restore(newest, model=model, optimizer=optimizer, device=device)
    drops = Drops(strict=run.data.strict)
    loader = Loader(
        shards,
        transform=train_transform(run.preprocess, run.data.crop),
        tokenizer=tokenizer,
        batch_size=run.train.batch_size,
        seed=run.train.seed,
        shuffle_size=run.data.shuffle_size,
        drops=drops,
        position=start.position,
    )
    loop = _Loop(run=run, out=out, model=model, optimizer=optimizer, world=world, device=device)
    done = loop.follow(loader, start)
    _write_model(out / "model", run, model, tokenizer)
    return Trained(
        model=out / "model",
        metrics=out / "metrics.jsonl",
        steps=done.step,
        pairs=done.step * run.train.batch_size,
        seconds=done.seconds,
        drops=drops,
    )


def _check(run: Run, world: World) -> Tokenizer:
    tokenizer = Tokenizer.clip(context_length=run.model.text.context_length)
    if not run.data.shards:
        raise ValueError("no data: say where the shards are, --set data.shards=FOLDER (`fullclip data shard` makes them)")
    if (run.model.text.vocab_size, run.model.text.end_id) != (tokenizer.vocab_size, tokenizer.end_id):
        raise ValueError(f"model.text.vocab_size is {run.model.text.vocab_size}; the tokenizer has {tokenizer.vocab_size}")
    if run.model.vision.image_size != run.preprocess.size:
        raise ValueError(
            f"model.vision.image_size is {run.model.vision.image_size} and preprocess.size {run.preprocess.size}: set both"
        )
    if world.size > 1:
        raise ValueError(f"{world.size} processes were started; a run uses one: start it without torchrun")
    return tokenizer


def _claim(out: Path, run: Run, *, resume: bool) -> Path | None:
    """Take `out` for this run; the newest checkpoint where it is resumed."""
    newest = checkpoints.latest(out / "checkpoints")
    if not resume and (newest is not None or (out / "model").exists()):
        raise ValueError(f"{out} already holds a run; add --resume to go on with it, or give another --out")
    if resume:
        checkpoints.check_same_run(out, run)
    checkpoints.write_run(out, run)
    checkpoints.remove_unfinished(out / "checkpoints")
    return newest


def _write_model(folder: Path, run: Run, model: Clip, tokenizer: Tokenizer) -> None:
    trained = Checkpoint(
        config=run.model,
        state={name: tensor.cpu() for name, tensor in model.state_dict().items()},
        preprocess=run.preprocess,
        provenance=Provenance(source="fullclip train", training_data=", ".join(run.data.shards)),
    )
    write_checkpoint(trained, folder, tokenizer=tokenizer)


@dataclass(kw_only=True)
class _Loop:
    """The steps of one run, with their clock, log and bar."""

    run: Run
    out: Path
    model: Clip
    optimizer: torch.optim.Optimizer
    world: World
    device: torch.device

    def follow(self, loader: Loader, start: checkpoints.Progress) -> checkpoints.Progress:
        """Step until the steps or the minutes are used up; checkpoints on the way and at the end."""
        config, here = self.run.train, start
        bfloat16 = config.precision == "bfloat16" or (config.precision == "auto" and has_bfloat16(self.device))
        clock = time.monotonic() - start.seconds
        with MetricsLog(self.out, keep_until=start.step) as log, _Bar(config.steps, start.step) as bar, _stop_flag() as stop:
            report = _Report(log, bar, config.batch_size)
            batches = iter(loader)
            while here.step < config.steps and not self._time_is_up(here.seconds):
                rate = learning_rate(self.run.optim, step=here.step, progress=self._share_done(here))
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                batch = next(batches)
                if here.step == 0 and batch.position["epoch"] > 0:
                    raise ValueError(f"the shards hold fewer than train.batch_size = {config.batch_size} pairs: set it lower")
                outcome = train_step(self.model, batch, self.optimizer, world=self.world, device=self.device, bfloat16=bfloat16)
                here = checkpoints.Progress(step=here.step + 1, position=batch.position, seconds=time.monotonic() - clock)
                last = here.step == config.steps or self._time_is_up(here.seconds)
                stopped = stop.is_set()  # read once: a Ctrl-C between saving and leaving counts for the next step
                saves = here.step % config.checkpoint_every == 0 or last or stopped
                if saves or here.step % config.log_every == 0 or here.step == 1:
                    report.write(here, outcome, batch, rate)  # before saving: it refuses a loss that is no number
                if saves:
                    saved = self._save(here)
                    if stopped and not last:
                        raise Interrupted(saved, here.step)
        return here

    def _time_is_up(self, seconds: float) -> bool:
        return self.run.train.minutes is not None and seconds >= 60 * self.run.train.minutes

    def _share_done(self, here: checkpoints.Progress) -> float:
        """By steps, or by time where that is further on."""
        by_steps = here.step / self.run.train.steps
        minutes = self.run.train.minutes
        return by_steps if minutes is None else max(by_steps, here.seconds / (60 * minutes))

    def _save(self, here: checkpoints.Progress) -> Path:
        folder = self.out / "checkpoints"
        return checkpoints.save(folder, model=self.model, optimizer=self.optimizer, progress=here, keep=self.run.train.keep)


class _Report:
    """Numbers of a step, to the log and to the bar. Reading them waits for the device, so it is not done every step."""

    def __init__(self, log: MetricsLog, bar: "_Bar", batch_size: int) -> None:
        self._log, self._bar, self._batch_size = log, bar, batch_size
        self._before: tuple[int, float] | None = None

    def write(self, here: checkpoints.Progress, outcome: StepOutcome, batch: Batch, rate: float) -> None:
        loss = float(outcome.loss)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} at step {here.step}: a smaller optim.learning_rate or a longer optim.warmup may help"
            )
        metrics = {
            "loss": loss,
            "learning_rate": rate,
            "temperature": 1 / float(outcome.scale),
            "gradient_norm": float(outcome.gradient_norm),
            "epoch": float(batch.position["epoch"]),
            "truncated_texts": float(batch.num_truncated),
            "seconds": here.seconds,
        }
        if self._before is not None and here.seconds > self._before[1]:
            steps, seconds = here.step - self._before[0], here.seconds - self._before[1]
            metrics["pairs_per_second"] = steps * self._batch_size / seconds
        self._before = (here.step, here.seconds)
        self._log.write(here.step, metrics)
        self._bar.show(here.step, metrics)


class _Bar:
    """The progress bar; where stderr is no terminal, a line now and then."""

    def __init__(self, steps: int, done: int) -> None:
        shown = TextColumn("{task.fields[shown]}")
        self._context = progress("", shown)
        self._steps, self._done = steps, done
        self._last_line = 0.0

    def __enter__(self) -> "_Bar":
        self._progress = self._context.__enter__()
        self._task = self._progress.add_task("", total=self._steps, completed=self._done, shown="")
        return self

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(None, None, None)

    def show(self, step: int, metrics: dict[str, float]) -> None:
        text = (
            f"{metrics.get('pairs_per_second', 0):.0f} pairs/s loss {metrics['loss']:.2f}"
            f" lr {metrics['learning_rate']:.0e} temp {metrics['temperature']:.3f}"
        )
        self._progress.update(self._task, completed=step, shown=text)
        now = time.monotonic()
        if self._progress.disable and (now - self._last_line > _SECONDS_BETWEEN_LINES or step == self._steps):
            stderr().print(f"step {step:,} of {self._steps:,}  {text}", highlight=False)
            self._last_line = now


@contextmanager
def _stop_flag() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second stops at once. Elsewhere than in the main thread it is never set."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        stderr().print("stopping after this step; once more to stop at once, without saving")
        stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
