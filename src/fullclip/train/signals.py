"""Ctrl-C and SIGTERM (pre-emption), as a wish that the loop reads between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from fullclip.core.say import say


class Interrupted(Exception):  # noqa: N818 - not an error: somebody asked for it
    """A signal stopped the run; what was reached is saved in `checkpoint`, the newest there is."""

    def __init__(self, checkpoint: str | None, step: int, signal_number: int = signal.SIGINT) -> None:
        super().__init__(f"stopped after step {step}, {f'saved in {checkpoint}' if checkpoint else 'nothing saved yet'}")
        self.checkpoint, self.step, self.signal_number = checkpoint, step, signal_number


class StopWish:
    """Which signal asked for an end; 0 while none has."""

    def __init__(self) -> None:
        self.signal_number = 0


@contextmanager
def stop_wish() -> Iterator[StopWish]:
    """A wish that SIGTERM and the first Ctrl-C set; the second Ctrl-C stops at once. Elsewhere than in the main thread none is
    ever set.
    """
    wish = StopWish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return

    def handle(number: int, frame: FrameType | None) -> None:
        again = "; once more to stop at once, without saving" if number == signal.SIGINT else ""
        say(f"stopping after this step{again}")
        wish.signal_number = max(wish.signal_number, number)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
