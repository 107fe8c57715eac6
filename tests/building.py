"""Rows, queries and functions over partitions for tests of building a data set."""

import json
import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from fullclip.data.building.rows import Work, read_table
from fullclip.data.building.stage import Done
from fullclip.data.drops import Drops

WORDS = [f"word{number}" for number in range(300)]


def write_rows(path: Path, rows: Iterable[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def web_rows(number: int, *, seed: int = 0, words: int = 6) -> list[dict]:
    """Rows whose words are spread as in a language: the n-th word comes 1/n as often as the first."""
    rng = np.random.default_rng(seed)
    chances = 1 / np.arange(1, len(WORDS) + 1)
    drawn = rng.choice(WORDS, size=(number, words), p=chances / chances.sum())
    return [{"url": f"https://example.org/{seed}/{i}.jpg", "text": " ".join(row)} for i, row in enumerate(drawn)]


def write_queries(path: Path, queries: Iterable[str]) -> str:
    path.write_text("".join(f"{query}\n" for query in queries), encoding="utf-8")
    return str(path)


def rows_of(folder: Path) -> list[dict]:
    """All rows of a stage's folder, in order."""
    return [row for part in sorted((folder / "parts").glob("*.parquet")) for row in pa.parquet.read_table(part).to_pylist()]


def files_of(folder: Path) -> dict[str, bytes]:
    """The bytes of all files of a stage's folder that do not tell where and when the inputs were written."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", "stage.json")
    }


def copied(work: Work) -> Done:
    """The rows as they are; every tenth is left out."""
    drops = Drops()
    table = read_table(work, drops)
    keys = table["key"].to_pylist()
    for key in keys[::10]:
        drops.drop("a tenth", key)
    kept = [place % 10 != 0 for place in range(len(keys))]
    return Done(table=table.filter(pa.array(kept)), num_in=len(keys), drops=drops, counts={"seen": len(keys)})


def copied_slowly(work: Work, *, seconds: float) -> Done:
    time.sleep(seconds)
    return copied(work)


def copied_at_second_try(work: Work, *, deadly: int, marks: str) -> Done:
    """The process is killed at the partition `deadly`, the first time."""
    mark = Path(marks) / str(work.number)
    if work.number == deadly and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return copied(work)


def squared(number: int) -> int:
    return number * number


def failing(number: int) -> int:
    if number == 3:
        raise ValueError("three is not wanted")
    return number


def deadly(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number
