"""Follow a run from its config to a model folder, through interruptions. The only place where the parts of training meet."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from fullclip.core.distributed import World, everyones, on_leader, together, wait_for_all
from fullclip.core.logs import MetricsLog
from fullclip.data.drops import Drops
from fullclip.data.loader import Loader, Plan
from fullclip.data.survey import survey
from fullclip.inference import Encoder
from fullclip.models.checkpoint import Checkpoint
from fullclip.models.weights import to_module
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.image import train_pixels
from fullclip.preprocess.tokenizer import Tokenizer
from fullclip.train.checkpoints.claim import checkpoint_folder, claim, held, newest_whole
from fullclip.train.checkpoints.contents import Progress, State, restore, snapshot, trained
from fullclip.train.checkpoints.folder import CheckpointFolder
from fullclip.train.checkpoints.saver import Saver
from fullclip.train.config import Run
from fullclip.train.optim.average import Average
from fullclip.train.optim.guard import Guard
from fullclip.train.optim.lock import lock, train_mode
from fullclip.train.optim.optimizer import build_optimizer, learning_rate
from fullclip.train.pace import Pace
from fullclip.train.parallel import whole, wrap
from fullclip.train.reporting import Bar, Report
from fullclip.train.signals import Interrupted, stop_wish
from fullclip.train.speed import peak_flops
from fullclip.train.start import begin, blank_batch, check, continued, fingerprint, loss_of, num_workers, threads_beside
from fullclip.train.step import Step, computes_in
from fullclip.train.teacher import load_teacher

# Called on all processes; each may measure its share of the data and bring the shares together (`core.distributed`).
Evaluator = Callable[[Encoder, World], Mapping[str, float]]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a finished run leaves: the model folder (and that of the averaged weights), its metrics, the numbers of pairs and
    seconds, and what was dropped.
    """

    model: Path
    average: Path | None
    metrics: Path
    steps: int
    pairs: int
    seconds: float
    drops: Drops


def train(
    run: Run, out: Path, *, resume: bool, world: World, device: torch.device, evaluators: Sequence[Evaluator] = ()
) -> Trained:
    """Train as `run` says and write `out/model/`; on the way checkpoints and `out/metrics.jsonl`.

    ValueError for settings that do not fit together, before the first step. Interrupted on Ctrl-C and SIGTERM, after saving.
    FloatingPointError where gradients stay without a finite value, roll-backs or not.
    """
    together(lambda: check(run, world), world)
    with ExitStack() as stack:
        together(lambda: stack.enter_context(held(out, world)), world)
        stack.enter_context(threads_beside(device))
        return _train(run, out, resume=resume, world=world, device=device, evaluators=evaluators)


def _train(
    run: Run, out: Path, *, resume: bool, world: World, device: torch.device, evaluators: Sequence[Evaluator]
) -> Trained:
    beginning = together(lambda: begin(run), world)
    drops = Drops(strict=run.data.strict)
    sources = survey(run.data.shards, run.data.weights, drops=drops, world=world)
    newest = on_leader(lambda: claim(out, run, resume=resume), world)
    clip = beginning.model.double() if run.train.precision == "float64" else beginning.model
    together(lambda: lock(clip, run.optim.lock, stages=run.optim.lock_stages), world)
    model = wrap(clip, run.train, world=world, device=device)
    state = State(
        model=clip,
        optimizer=build_optimizer(clip, run.optim),
        average=None if run.optim.average is None else Average(clip, run.optim.average),
        guard=Guard(run.guard, device),
    )
    step = Step(
        model=model,
        optimizer=state.optimizer,
        loss=loss_of(run, world),
        guard=state.guard,
        average=state.average,
        teacher=together(lambda: load_teacher(run, world=world, device=device), world),
        train=run.train,
        optim=run.optim,
        preprocess=run.preprocess,
    )
    train_mode(clip, run.optim.lock, stages=run.optim.lock_stages)
    start = Progress(data=fingerprint(sources))
    if newest is not None:
        if world.size > 1:
            step(blank_batch(run, world), number=0, rate=0.0)  # DDP settles the order of its sums after one step
        start = together(lambda: continued(newest, state, start), world)
    plan = Plan(batch_size=run.train.batch_size, seed=run.train.seed, shuffle_size=run.data.shuffle_size, lanes=run.data.lanes)

    def loader() -> Loader:
        return Loader(
            sources,
            transform=train_pixels(run.preprocess, run.data.crop),
            tokenizer=beginning.tokenizer,
            plan=plan,
            drops=drops,
            world=world,
            workers=num_workers(run, device),
            position=start.position or None,
        )

    loop = _Loop(run=run, out=out, step=step, state=state, tokenizer=beginning.tokenizer, evaluators=tuple(evaluators))
    done = loop.follow(together(loader, world), start)
    drops = _everyones_drops(drops, world)
    folders = loop.write_models()
    return Trained(
        model=out / "model",
        average=folders.get("model-average"),
        metrics=out / "metrics.jsonl",
        steps=done.step,
        pairs=done.step * run.train.batch_size,
        seconds=done.seconds,
        drops=drops,
    )


def _everyones_drops(own: Drops, world: World) -> Drops:
    total = Drops(strict=own.strict, num_examples=own.num_examples)
    for drops in everyones(own, world):
        total.merge(drops)
    return total


@dataclass(kw_only=True)
class _Loop:
    """The steps of one run, with their clock, log and bar."""

    run: Run
    out: Path
    step: Step
    state: State
    tokenizer: Tokenizer
    evaluators: tuple[Evaluator, ...]

    @property
    def world(self) -> World:
        return self.step.model.world

    @property
    def device(self) -> torch.device:
        return self.state.guard.state.device

    @property
    def folder(self) -> CheckpointFolder:
        return checkpoint_folder(self.out, self.run)

    def follow(self, loader: Loader, start: Progress) -> Progress:
        """Step until the steps or the minutes are used up; checkpoints on the way and at the end."""
        run, here = self.run, start
        with ExitStack() as stack:
            log = stack.enter_context(MetricsLog(self.out, keep_until=start.step)) if self.world.leads else None
            bar = stack.enter_context(Bar(run.train.steps, start.step, shown=self.world.leads))
            wish = stack.enter_context(stop_wish())
            peak = peak_flops(self.device, computes_in(run.train, self.device)) if self.world.leads else 1.0
            report = Report(log, bar, run, self.world, flops_per_second=peak)
            saver = stack.enter_context(Saver(self.folder, run, self.world, is_sharded=self.step.model.is_sharded))
            batches = stack.enter_context(closing(together(lambda: iter(loader), self.world)))
            pace, in_a_row = Pace(run, self.world, start), 0
            while in_a_row or not pace.ends(here):  # a run does not end with a step that was left out
                rate = learning_rate(run.optim, step=here.step, progress=pace.share_done(here))
                with report.waiting(), self._saved_without_data(here, saver):
                    batch = next(batches)
                outcome = self.step(batch, number=here.step, rate=rate)
                asked, seconds = pace.ask(wish)  # once a step: a wish that comes later counts for the next
                here = replace(here, step=here.step + 1, position=batch.position, seconds=seconds)
                last = pace.ends(here)
                reports, saves = last or asked or pace.reports(here), last or asked or pace.saves(here)
                in_a_row = 0
                if reports or saves or pace.judges(here):
                    verdicts = self.state.guard.read()
                    in_a_row = verdicts.in_a_row
                    if reports:
                        report.write(here, outcome, batch, rate=rate, left_out=verdicts.left_out)
                if in_a_row >= run.guard.patience:
                    here, in_a_row = self._go_back(here, saver, report), 0
                    continue
                saver.check()
                if saves and (asked or not in_a_row):  # else the weights may be what makes gradients infinite
                    self._save(here, saver)
                    pace.saved(here)
                if asked and (in_a_row or not last):
                    saver.wait()
                    raise Interrupted(self.folder.at(here.step), here.step, asked)
                if last and in_a_row:
                    here = replace(here, step=here.step - 1)
                    report.once_more(here)
                elif self.evaluators and (last or pace.evaluates(here)):
                    report.evaluated(here, self._evaluate())
            saver.wait()
        return here

    @contextmanager
    def _saved_without_data(self, here: Progress, saver: Saver) -> Iterator[None]:
        """Where a store stays away, what was reached is saved first; of several processes only one may have noticed."""
        try:
            yield
        except OSError:
            if self.world.size == 1 and here.position:
                self._save(here, saver)
                saver.wait()
            raise

    def _save(self, here: Progress, saver: Saver) -> None:
        """Hand the state to the thread that writes, with the positions of all processes."""
        position = {
            lane: taken for positions in everyones(dict(here.position), self.world) for lane, taken in positions.items()
        }
        saver.wait()  # or there would be two copies of the state in memory
        files = snapshot(self.state, world=self.world, is_sharded=self.step.model.is_sharded)
        saver.save(replace(here, position=position), files)

    def _go_back(self, here: Progress, saver: Saver, report: Report) -> Progress:
        """To the last checkpoint, but on with the data that follow. FloatingPointError where there is none, or too often."""
        saver.wait()
        wait_for_all(self.world)
        last = on_leader(lambda: newest_whole(self.folder), self.world)
        verdicts = self.state.guard.read()
        if last is None or here.rollbacks >= self.run.guard.rollbacks:
            kind = "no finite number or a spike" if self.run.guard.spike else "no finite number"
            again = f", after going back {here.rollbacks} times" if here.rollbacks else ""
            raise FloatingPointError(
                f"the gradient is {kind}, {verdicts.in_a_row} steps in a row up to step {here.step}{again}:"
                " a smaller optim.learning_rate, a longer optim.warmup or optim.clip_norm=1 may help"
            )
        back = together(lambda: restore(last, self.state), self.world)
        self.state.guard.forgive()
        back = replace(back, position=here.position, seconds=here.seconds, rollbacks=here.rollbacks + 1)
        report.went_back(here.step, back, left_out=verdicts.left_out)
        return back

    def _evaluate(self) -> dict[str, float]:
        """What the evaluators find of the model as it would be written now: averaged, where an average is kept."""
        encoder = Encoder(
            to_module(self._trained(self._names[-1])).to(self.device), preprocess=self.run.preprocess, tokenizer=self.tokenizer
        )
        return {name: value for evaluator in self.evaluators for name, value in evaluator(encoder, self.world).items()}

    @property
    def _names(self) -> list[str]:
        """Of the folders that models are written to: the last weights, and their average where one is kept."""
        return ["model"] if self.state.average is None else ["model", "model-average"]

    def _trained(self, name: str) -> Checkpoint:
        """One of `_names`, whole on every process and apart from the model in training."""
        average = self.state.average if name == "model-average" else None
        with nullcontext() if average is None else average.applied(self.state.model):
            state = whole(self.state.model.state_dict().items())
            return trained(self.run, {key: tensor.to("cpu", copy=True) for key, tensor in state.items()})

    def write_models(self) -> dict[str, Path]:
        """The finished model's folder, and that of its average; by name."""
        folders = {}
        for name in self._names:
            folders[name], checkpoint = self.out / name, self._trained(name)
            if self.world.leads:
                write_checkpoint(checkpoint, folders[name], tokenizer=self.tokenizer)
        wait_for_all(self.world)
        return folders
