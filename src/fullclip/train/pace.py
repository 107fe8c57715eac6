"""When a run does what: by steps, by the clock that all processes agree on, or by whichever comes first."""

import time

from fullclip.core.distributed import World, agree
from fullclip.train.checkpoints.contents import Progress
from fullclip.train.config import Run
from fullclip.train.signals import StopWish


class Pace:
    """The clock of a run, and what is due after a step."""

    def __init__(self, run: Run, world: World, start: Progress) -> None:
        self._run, self._world = run, world
        self._clock = time.monotonic() - start.seconds
        self._saved_at, self._is_due = start.seconds, False

    def ask(self, wish: StopWish) -> tuple[int, float]:
        """(the signal that asked any process to stop, or 0; the seconds of the slowest clock): the same on all processes."""
        signal_number, seconds = agree([float(wish.signal_number), time.monotonic() - self._clock], self._world)
        return int(signal_number), seconds

    def ends(self, here: Progress) -> bool:
        """The steps or the minutes are used up."""
        return here.step >= self._run.train.steps or self._share_of_time(here) >= 1

    def share_done(self, here: Progress) -> float:
        """By steps, or by time where that is further on."""
        return max(here.step / self._run.train.steps, self._share_of_time(here))

    def _share_of_time(self, here: Progress) -> float:
        minutes = self._run.train.minutes
        return 0.0 if minutes is None else here.seconds / (60 * minutes)

    def reports(self, here: Progress) -> bool:
        return here.step % self._run.train.log_every == 0 or here.step == 1

    def judges(self, here: Progress) -> bool:
        """Whether it is time to look if too many steps in a row were left out."""
        return here.step % min(self._run.train.log_every, self._run.guard.patience) == 0

    def evaluates(self, here: Progress) -> bool:
        every = self._run.train.evaluate_every or self._run.train.checkpoint_every
        return here.step % every == 0

    def saves(self, here: Progress) -> bool:
        """Whether a checkpoint is due, or has been since a step at which none could be written."""
        config = self._run.train
        since = here.seconds - self._saved_at
        by_time = config.checkpoint_minutes is not None and since >= 60 * config.checkpoint_minutes
        milestone = config.milestone_every is not None and here.step % config.milestone_every == 0
        self._is_due = self._is_due or here.step % config.checkpoint_every == 0 or milestone or by_time
        return self._is_due

    def saved(self, here: Progress) -> None:
        self._saved_at, self._is_due = here.seconds, False
