"""The processes of a run: who I am, how many we are, and what we tell each other. Everything is the identity at size 1.

The only file that talks to other processes, beside the wrappers of `train/parallel.py`.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed
from jaxtyping import Float
from torch import Tensor

T = TypeVar("T")

# Others wait while one looks through shards or fetches a checkpoint; a process that is gone is noticed at once all the same.
_PATIENCE = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True)
class World:
    """This process's place among all: 0 <= rank < size; `local_rank` counts within the machine, and picks the GPU."""

    rank: int
    size: int
    local_rank: int = 0

    @classmethod
    def single(cls) -> "World":
        """A run of one process."""
        return cls(rank=0, size=1)

    @property
    def leads(self) -> bool:
        """Whether this process writes what all share: logs, the model."""
        return self.rank == 0


def start() -> World:
    """Join the processes that torchrun started (RANK, WORLD_SIZE in the environment); alone where there is no torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return World.single()
    # gloo beside nccl: what the host has to say (stop flags, positions) must not wait for the GPU
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    torch.distributed.init_process_group(backend, timeout=_PATIENCE)
    local = int(os.environ.get("LOCAL_RANK", "0"))
    return World(rank=torch.distributed.get_rank(), size=torch.distributed.get_world_size(), local_rank=local)


def stop(world: World) -> None:
    """Leave the processes that `start` joined."""
    if world.size > 1:
        torch.distributed.destroy_process_group()


def gather(rows: Float[Tensor, "local embed"], world: World) -> Float[Tensor, "global embed"]:
    """All processes' rows, in rank order. Each process gives equally many; the gradient of each row comes back summed."""
    return rows if world.size == 1 else _Gather.apply(rows, world)  # type: ignore[no-untyped-call]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, world: World) -> Tensor:
        ctx.world = world
        return stack(rows, world).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return sum_own_rows(gradients[0], ctx.world), None


@torch.no_grad()
def stack(tensor: Tensor, world: World) -> Tensor:
    """All processes' tensors of one shape, [size, *shape], in rank order; no gradient."""
    if world.size == 1:
        return tensor.detach()[None]
    stacked = tensor.new_empty(world.size, *tensor.shape)
    torch.distributed.all_gather(list(stacked), tensor.detach().contiguous())
    return stacked


@torch.no_grad()
def sum_own_rows(rows: Float[Tensor, "global embed"], world: World) -> Float[Tensor, "local embed"]:
    """The sum over processes of the rows that are this process's own: what `gather` does, backwards."""
    if world.size == 1:
        return rows
    own = torch.empty_like(rows[: len(rows) // world.size])
    torch.distributed.reduce_scatter(own, list(rows.contiguous().chunk(world.size)))
    return own


@torch.no_grad()
def total(tensor: Tensor, world: World) -> Tensor:
    """The sum of all processes' tensors; a new one, the same everywhere."""
    summed = tensor.detach().clone()
    if world.size > 1:
        torch.distributed.all_reduce(summed)
    return summed


@torch.no_grad()
def largest(tensor: Tensor, world: World) -> Tensor:
    """Elementwise the largest of all processes' tensors; a new one, the same everywhere."""
    found = tensor.detach().clone()
    if world.size > 1:
        torch.distributed.all_reduce(found, torch.distributed.ReduceOp.MAX)
    return found


def agree(values: Sequence[float], world: World) -> list[float]:
    """Elementwise the largest of what the processes say, so that all of them decide alike. On the host, not on the GPU."""
    if world.size == 1:
        return list(values)
    told = torch.tensor(values, dtype=torch.float64)
    torch.distributed.all_reduce(told, torch.distributed.ReduceOp.MAX)
    return [float(value) for value in told]


def everyones(value: T, world: World) -> list[T]:
    """What every process says, in rank order; any picklable value of moderate size."""
    if world.size == 1:
        return [value]
    told: list[Any] = [None] * world.size
    torch.distributed.all_gather_object(told, value)
    return told


class ToldElsewhereError(Exception):
    """Another process cannot go on, and says why; this one has nothing to add."""


def together(action: Callable[[], T], world: World) -> T:
    """What `action`, which talks to no other process, gives here; where it fails in any process, all end: the first of them
    with its error, the rest with ToldElsewhereError.
    """
    result, error = None, None
    try:
        result = action()
    except (ValueError, OSError, ImportError) as raised:
        error = raised
    failed = [rank for rank, fails in enumerate(everyones(error is not None, world)) if fails]
    if error is not None and failed[0] == world.rank:
        raise error
    if failed:
        raise ToldElsewhereError(f"process {failed[0]} cannot go on")
    return cast(T, result)


def on_leader(action: Callable[[], T], world: World) -> T:
    """What `action` gives on the leading process, told to all; where it fails, all end as with `together`."""
    return cast(T, everyones(together(lambda: action() if world.leads else None, world), world)[0])


def wait_for_all(world: World) -> None:
    """Go on when every process has come here."""
    everyones(None, world)
