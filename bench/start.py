"""Seconds to an answer of the command line itself: `fullclip --help`, and `python -c pass` beside it, in one run.

make bench, or: python bench/start.py
"""

import statistics
import subprocess
import sys
import time

ROUNDS = 10


def seconds(*command: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    bare = statistics.median(seconds(sys.executable, "-c", "pass") for _ in range(ROUNDS))
    answer = statistics.median(seconds(sys.executable, "-m", "fullclip", "--help") for _ in range(ROUNDS))
    print(f"fullclip --help {answer:.3f} s   python -c pass {bare:.3f} s   ratio {answer / bare:.1f}   (bar: 0.3 s)")


if __name__ == "__main__":
    main()
