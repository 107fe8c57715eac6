"""The processes of a run: who I am, how many we are, and a gather that gradients flow through. The identity at size 1.

The only file that talks to other processes.
"""

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class World:
    """This process's place among all: 0 <= rank < size."""

    rank: int
    size: int

    @classmethod
    def single(cls) -> "World":
        """A run of one process."""
        return cls(rank=0, size=1)


def start() -> World:
    """Join the processes that torchrun started (RANK, WORLD_SIZE in the environment); alone where there is no torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return World.single()
    torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return World(rank=torch.distributed.get_rank(), size=torch.distributed.get_world_size())


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
        gathered = rows.new_empty(world.size * rows.shape[0], *rows.shape[1:])
        torch.distributed.all_gather_into_tensor(gathered, rows.contiguous())
        return gathered

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].contiguous().clone()
        torch.distributed.all_reduce(total)
        return total.chunk(ctx.world.size)[ctx.world.rank].contiguous(), None
