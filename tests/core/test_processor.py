"""What glibc is asked for takes effect: memory that was freed is used again, or given back."""

import subprocess
import sys

import pytest

# in a process of its own, whose memory nothing else has cut up
SCRIPT = """
import resource
from fullclip.core.processor import free_as_usual, keep_freed_memory

def faults():
    for _ in range(2):
        b"x" * (80 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        b"x" * (80 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
kept = faults()
free_as_usual()
print(kept, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is asked")
def test_freed_memory_is_kept():
    """Pages that had to be had from the system to fill the same bytes again and again; how many depends on their size."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    kept, given_back = map(int, done.stdout.split())
    assert given_back > 300 + 10 * kept
