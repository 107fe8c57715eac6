"""Which steps are left out: those whose gradient is no finite number, or a spike. Decided and counted on the device."""

from dataclasses import dataclass

import torch
from torch import Tensor

from fullclip.train.config import GuardConfig

_PACE = 0.02  # how much of a new norm goes into the running average: it looks back over some fifty steps


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """How many steps were left out, in all and in the last unbroken row."""

    left_out: int
    in_a_row: int


class Guard:
    """Looks at each step's gradient norm. Nothing is read back from the device but in `read`."""

    def __init__(self, config: GuardConfig, device: torch.device) -> None:
        self._spike = config.spike
        self.state = torch.zeros(3, dtype=torch.float64, device=device)  # left out, in a row, average norm

    def judge(self, norm: Tensor) -> Tensor:
        """1.0 where the step is to be left out, else 0.0."""
        left_out, in_a_row, average = self.state.unbind()
        norm = norm.double()
        bad = ~torch.isfinite(norm)
        if self._spike is not None:
            bad |= (average > 0) & (norm > self._spike * average)
        moved = torch.where(average > 0, average.lerp(norm, _PACE), norm)
        average = torch.where(bad, average, moved)
        one = bad.double()
        self.state = torch.stack([left_out + one, (in_a_row + one) * one, average])
        return bad.float()

    def read(self) -> Verdicts:
        """Waits for the device."""
        left_out, in_a_row, _ = (float(value) for value in self.state)
        return Verdicts(left_out=int(left_out), in_a_row=int(in_a_row))

    def forgive(self) -> None:
        """After a roll-back: nothing is in a row any more."""
        self.state[1] = 0
