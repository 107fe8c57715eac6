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

from fullclip import losses
from fullclip.core.distributed import World, gather, start, stop
from fullclip.core.types import Features

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
        process = context.Process(target=_process, args=(theirs, rank, size, port, work, arguments), daemon=True)
        process.start()
        theirs.close()
        ends.append(ours)
        processes.append(process)
    try:
        answers = [end.recv() if end.poll(_SECONDS) else "no answer" for end in ends]
    finally:
        for process, end in zip(processes, ends, strict=True):
            process.join(5)
            process.kill()
            process.join()
            process.close()
            end.close()
    for answer in answers:
        if isinstance(answer, str):
            raise AssertionError(answer)
    return answers


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
        end.send(traceback.format_exc())


def own_rows(rows: Tensor, world: World) -> Tensor:
    """This process's share of the global rows, as a leaf that collects a gradient."""
    return rows.chunk(world.size)[world.rank].clone().requires_grad_()


def gather_work(world: World, rows: Any, weights: Any) -> dict[str, Any]:
    """Gather all rows; weigh them with this process's own weights; take the gradient of the sum."""
    own = own_rows(torch.from_numpy(rows), world)
    gathered = gather(own, world)
    (gathered * torch.from_numpy(weights)[world.rank]).sum().backward()
    return {"rank": world.rank, "size": world.size, "gathered": gathered.detach().numpy(), "gradient": own.grad.numpy()}


def softmax_work(world: World, images: Any, texts: Any, scale: float) -> dict[str, Any]:
    """The softmax loss of this process's rows, and its gradients."""
    image, text = own_rows(torch.from_numpy(images), world), own_rows(torch.from_numpy(texts), world)
    factor = torch.tensor(scale, dtype=image.dtype, requires_grad=True)
    loss = losses.softmax(Features(image=image, text=text, scale=factor), world)
    loss.backward()
    return {"loss": loss.item(), "image": image.grad.numpy(), "text": text.grad.numpy(), "scale": factor.grad.item()}
