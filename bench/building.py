"""Match and balance on millions of rows: processor seconds and the largest process's memory by the number of rows, which must
be linear and constant.

python bench/building.py [--rows 300000 1000000 3000000 10000000] [--queries 500000] [--workers 2] [--plot FILE] [--keep DIR]

Rows are (text, URL) with words spread as in a language (Zipf); they are made on the disk first, in Parquet files, which is not
measured. Seconds are of all processes of a command together; memory is the peak of any of them (Linux: /proc, ten looks a
second).
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from match import language

ROWS_A_FILE = 500_000


def make_rows(folder: Path, number: int, words: list[str]) -> None:
    folder.mkdir(parents=True)
    table = pa.array(words)
    for start in range(0, number, ROWS_A_FILE):
        rows = min(ROWS_A_FILE, number - start)
        rng = np.random.default_rng(start)
        drawn = table.take(np.minimum(rng.zipf(1.25, size=rows * 8) - 1, len(words) - 1))
        lists = pa.FixedSizeListArray.from_arrays(drawn, 8).cast(pa.list_(pa.string()))
        texts = pa.compute.binary_join(lists, " ")
        urls = pa.array([f"https://example.org/{place}.jpg" for place in range(start, start + rows)])
        pq.write_table(pa.table({"url": urls, "text": texts}), folder / f"{start // ROWS_A_FILE:04d}.parquet")


def family(pid: int) -> list[int]:
    """A process and all that it has started, and those have."""
    found = [pid]
    for one in found:
        try:
            tasks = [int(task.name) for task in Path(f"/proc/{one}/task").iterdir()]
            listed = [Path(f"/proc/{one}/task/{task}/children").read_text(encoding="ascii") for task in tasks]
        except OSError:  # it has just ended
            continue
        found += [int(child) for children in listed for child in children.split()]
    return found


def used(pid: int) -> tuple[float, float] | None:
    """Processor seconds and the peak of memory in MB of a process; None where it has ended."""
    try:
        times = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13]
        peak = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    except OSError:
        return None
    return (sum(map(int, times)) / os.sysconf("SC_CLK_TCK"), int(peak[1]) / 1024) if peak else None


def measured(*words: str) -> tuple[float, float, dict]:
    """Processor seconds, the peak of memory in MB, and the report of a command, run in processes of its own."""
    command = [sys.executable, "-m", "fullclip", "data", *words, "--json"]
    seen: dict[int, tuple[float, float]] = {}
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL, text=True)
        while process.poll() is None:
            seen |= {pid: now for pid in family(process.pid) if (now := used(pid)) is not None}
            time.sleep(0.1)
        said.seek(0)
        told = json.loads(said.read())
    return sum(seconds for seconds, _ in seen.values()), max(peak for _, peak in seen.values()), told


def plot(rows: list[dict], file: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    time_axes, memory_axes = figure.subplots(1, 2)
    for stage in ("match", "balance"):
        time_axes.plot([row["rows"] for row in rows], [row[stage][0] for row in rows], marker="o", label=stage)
        memory_axes.plot([row["rows"] for row in rows], [row[stage][1] for row in rows], marker="o", label=stage)
    for axes, title in ((time_axes, "processor seconds"), (memory_axes, "MB, the largest process")):
        axes.set(title=title, xlabel="rows", ylim=(0, None))
        axes.legend(frameon=False)
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[300_000, 1_000_000, 3_000_000, 10_000_000])
    parser.add_argument("--queries", type=int, default=500_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    words, rows = language(given.queries, seed=0), []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "queries.txt").write_text("\n".join(words[: given.queries]), encoding="utf-8")
        for number in given.rows:
            make_rows(root / "rows", number, words)
            shared = ["--workers", str(given.workers)]
            match = measured("match", f"{root}/rows", "--queries", f"{root}/queries.txt", "--out", f"{root}/matched", *shared)
            cap = max(1, number // 500)
            balance = measured("balance", f"{root}/matched", "--cap", str(cap), "--out", f"{root}/balanced", *shared)
            rows.append({"rows": number, "match": match[:2], "balance": balance[:2]})
            times = "   ".join(
                f"{name} {one[0]:7.1f} s {one[1]:6.0f} MB" for name, one in (("match", match), ("balance", balance))
            )
            matches, kept = match[2]["counts"]["matches"] / number, balance[2]["num_out"] / number
            print(f"{number:>12,} rows   {times}   {matches:.1f} matches a text, {kept:.0%} kept", flush=True)
            for name in ("rows", "matched", "balanced"):
                shutil.rmtree(root / name)
    if given.plot:
        plot(rows, given.plot)
        print(given.plot)


if __name__ == "__main__":
    main()
