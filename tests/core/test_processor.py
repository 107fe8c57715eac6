"""What glibc is asked for takes effect: memory that was freed is used again, or given back."""

import resource
import sys

import numpy as np
import pytest

from fullclip.core.processor import free_as_usual, keep_freed_memory


def faults(megabytes: int) -> int:
    """Pages that had to be had from the system to fill an array again and again."""
    for _ in range(2):
        np.ones(megabytes << 17)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        np.ones(megabytes << 17)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is asked")
def test_freed_memory_is_kept():
    keep_freed_memory()
    kept = faults(80)
    free_as_usual()
    given_back = faults(80)
    keep_freed_memory()
    assert given_back > 1000 + 10 * kept  # how many depends on the size of pages
