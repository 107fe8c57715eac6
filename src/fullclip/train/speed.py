"""How fast a run could be: what the device multiplies, and what a pair costs."""

import time

import torch

_SIDE = {"cpu": 1024, "cuda": 8192}
_FEWEST = 3


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large matrix product in `dtype` on `device`, measured: the ceiling that model
    FLOPs utilisation (MFU) is a share of.
    """
    return product_flops(device, dtype, side=_SIDE[device.type])


def product_flops(device: torch.device, dtype: torch.dtype, *, side: int, seconds: float = 0.0) -> float:
    """Operations a second of a product of two square matrices, 2 side^3 each: the best of as many products as fit into so many
    seconds, and of three at least.
    """
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))  # zeros and ones take less power
    found, started = list[float](), time.perf_counter()
    one @ other  # the first is slower
    while len(found) < _FEWEST or time.perf_counter() - started < seconds:
        _wait(device)
        start = time.perf_counter()
        one @ other
        _wait(device)
        found.append(time.perf_counter() - start)
    return 2 * side**3 / min(found)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def memory_bytes(device: torch.device) -> int:
    """The most memory that was in use so far: the GPU's, or this process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
