"""How fast a run could be: what the device multiplies, and what a pair costs."""

import time

import torch

_SIDE = {"cpu": 1024, "cuda": 8192}


def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large matrix product in `dtype` on `device`, measured: the ceiling that model
    FLOPs utilisation (MFU) is a share of.
    """
    side = _SIDE[device.type]
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))  # zeros and ones take less power
    best = min(_seconds(a, b) for _ in range(3))
    return 2 * side**3 / best


def _seconds(a: torch.Tensor, b: torch.Tensor) -> float:
    _wait(a.device)
    start = time.perf_counter()
    a @ b
    _wait(a.device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def memory_bytes(device: torch.device) -> int:
    """The most memory that was in use so far: the GPU's, or this process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
