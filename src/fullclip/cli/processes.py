"""What commands that torchrun may start share: a device for each process, and one of them that speaks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import torch


@contextmanager
def one_voice(rank: int, *, how_to_go_on: str) -> Iterator[None]:
    """Of several processes that end for one reason, the one that knows it speaks; `how_to_go_on` ends "when all are back, "."""
    from fullclip.core.distributed import ToldElsewhereError

    try:
        yield
    except ToldElsewhereError:
        raise typer.Exit(1) from None
    except RuntimeError as error:
        if "by peer" not in str(error):  # what gloo says of a process that is gone
            raise
        raise ConnectionError(f"process {rank}: another process has ended; when all are back, {how_to_go_on}") from None
    except ValueError as error:
        raise ValueError(f"process {rank}: {error}" if rank else str(error)) from error


def pick_device(name: str | None, local_rank: int = 0) -> "torch.device":
    """The device by name, or the GPU where there is one, each process on a machine its own; ValueError for one that is not
    there.
    """
    import torch

    if name in (None, "cuda") and torch.cuda.is_available():
        if local_rank >= torch.cuda.device_count():
            raise ValueError(f"more processes than GPUs on this machine: --nproc-per-node {torch.cuda.device_count()}")
        torch.cuda.set_device(local_rank)
        return torch.device("cuda", local_rank)
    if name is None:
        return torch.device("cpu")
    if name.split(":")[0] not in ("cpu", "cuda") or (name != "cpu" and not torch.cuda.is_available()):
        raise ValueError(f"no device {name!r} here; there is: {'cpu, cuda' if torch.cuda.is_available() else 'cpu'}")
    return torch.device(name)
