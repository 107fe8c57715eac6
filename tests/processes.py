"""Several gloo processes on this machine, and what they do in the tests.

They are forked from a server that has imported torch once, so that starting them is quick.
"""

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from typing import Any

import torch
from torch import Tensor

import formulas
from fullclip.core.distributed import ToldElsewhereError, World, gather, start, stop, together

_SECONDS = 60


def run(work: Callable[..., Any], size: int, *arguments: Any) -> list[Any]:
    """`work(world, *arguments)` in `size` processes; their answers in rank order."""
    context = _context()
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        port = listener.getsockname()[1]
    ends, processes = [], []
    for rank in range(size):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_process, args=(theirs, rank, size, port, work, arguments))
        process.start()
        theirs.close()
        ends.append(ours)
        processes.append(process)
    try:
        answers = [_answer(end) for end in ends]
    finally:
        for process, end in zip(processes, ends, strict=True):
            process.join(5)
            process.kill()
            process.join()
            process.close()
            end.close()
    for answer in answers:
        if isinstance(answer, Failed):
            raise AssertionError(answer.text)
    return answers


class Failed:
    """What went wrong in a process."""

    def __init__(self, text: str) -> None:
        self.text = text


def _answer(end: Connection) -> Any:
    try:
        return end.recv() if end.poll(_SECONDS) else Failed("no answer")
    except EOFError:
        return Failed("the process ended without an answer")


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fullclip.losses"])  # not this module: the server has no `tests` in its path
    return context


def _process(end: Connection, rank: int, size: int, port: int, work: Callable[..., Any], arguments: Any) -> None:
    os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=str(port), RANK=str(rank), WORLD_SIZE=str(size))
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(1)
    try:
        world = start()
        answer = work(world, *arguments)
        stop(world)
        end.send(answer)
    except Exception:
        end.send(Failed(traceback.format_exc()))


def own_rows(rows: Tensor, world: World) -> Tensor:
    """This process's share of the global rows, as a leaf that collects a gradient."""
    return rows.chunk(world.size)[world.rank].clone().requires_grad_()


def gather_work(world: World, rows: Any, weights: Any) -> dict[str, Any]:
    """Gather all rows; weigh them with this process's own weights; take the gradient of the sum."""
    own = own_rows(torch.from_numpy(rows), world)
    gathered = gather(own, world)
    (gathered * torch.from_numpy(weights)[world.rank]).sum().backward()
    return {"rank": world.rank, "size": world.size, "gathered": gathered.detach().numpy(), "gradient": own.grad.numpy()}


def loss_work(
    world: World, loss: Callable[[dict[str, Tensor], World], Tensor], rows: Any, numbers: Any, upstream: Any
) -> dict[str, Any]:
    """A loss of this process's rows, times this process's upstream factor; its value and gradients. See `formulas`."""
    leaves = {name: own_rows(torch.from_numpy(array), world) for name, array in rows.items()}
    leaves |= {name: torch.tensor(number, dtype=torch.float64, requires_grad=True) for name, number in numbers.items()}
    found = formulas.answer(loss, leaves, world, upstream[world.rank])
    return {name: tensor.numpy() for name, tensor in found.items()}


def together_work(world: World, failing: tuple[int, ...]) -> str:
    """What `together` gives or raises where some processes fail."""

    def action() -> str:
        if world.rank in failing:
            raise ValueError(f"no disk at {world.rank}")
        return f"rank {world.rank}"

    try:
        return together(action, world)
    except (ValueError, ToldElsewhereError) as error:
        return str(error)
