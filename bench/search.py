"""Recall and speed of search among many vectors, beside exact search and LanceDB's own index, in one run.

python bench/search.py                        200,000 x 512: ours, exact, as ratios
python bench/search.py --vectors 1000000      the same of a million; --lancedb adds LanceDB's IVF_RQ

The vectors are clustered: kinds have clusters (one for 250 vectors, of unequal size), both and the vectors in them scatter with
a spectrum that falls with the root of the rank, on a cone as CLIP's images have (mean cosine 0.5). Queries like images are
drawn as the vectors are; queries like texts lie on another cone (cosine with their nearest image 0.3, with others 0).
"""

import argparse
import json
import resource
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from fullclip.search.index import Index
from fullclip.search.index.derived import catch_up, derived_folder
from fullclip.search.index.mark import read_mark, write_mark
from fullclip.search.index.table import Table

_AT_ONCE = 16_384


class Vectors:
    """Where vectors and queries are drawn from."""

    def __init__(self, number: int, dim: int) -> None:
        self._random = np.random.default_rng(0)
        spectrum = np.arange(1, dim + 1, dtype=np.float32) ** -0.5
        self._spectrum = spectrum / np.linalg.norm(spectrum)
        self._turn = np.linalg.qr(self._random.standard_normal((dim, dim)).astype(np.float32))[0]
        num_clusters = max(16, number // 250)
        kinds = self._noise(num_clusters // 20 + 1)
        own = self._random.integers(len(kinds), size=num_clusters)
        self._clusters = 0.6 * kinds[own] + 0.8 * self._noise(num_clusters)
        shares = np.arange(1, num_clusters + 1) ** -0.5
        self._shares = shares / shares.sum()
        self._image_cone, self._text_cone = _unit(self._random.standard_normal((2, dim)).astype(np.float32))

    def images(self, number: int) -> np.ndarray:
        return _unit(self._image_cone + 0.8 * self._clusters[self._drawn(number)] + 0.6 * self._noise(number))

    def texts(self, number: int) -> np.ndarray:
        return _unit(1.2 * self._text_cone + 0.6 * self._clusters[self._drawn(number)] + 0.6 * self._noise(number))

    def _drawn(self, number: int) -> np.ndarray:
        return self._random.choice(len(self._clusters), size=number, p=self._shares)

    def _noise(self, number: int) -> np.ndarray:
        drawn = self._random.standard_normal((number, len(self._spectrum)), dtype=np.float32)
        return (drawn * self._spectrum) @ self._turn


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write_table(folder: str, source: Vectors, number: int, dim: int) -> Table:
    """A table of vectors, numbered, with a group of ten to filter by."""
    write_mark(folder, model="drawn", fingerprint="drawn", dim=dim)
    table = Table.create(folder, dim)
    for start in range(0, number, _AT_ONCE):
        vectors = source.images(min(_AT_ONCE, number - start))
        table.write([row(start + i, vector) for i, vector in enumerate(vectors)], replaces=False)
    table.compact()
    return table


def row(number: int, vector: np.ndarray) -> dict[str, object]:
    none = dict.fromkeys(("caption", "height", "bytes", "date", "thumbnail"))
    own = {"number": number, "key": f"{number:08d}", "path": "", "mark": "", "width": number % 10, "fields": {}}
    return {
        **none,
        **own,
        "vector": vector,
        "told": json.dumps({"key": own["key"], "caption": "as long as captions are, more or less"}),
    }


def exact(table: Table, queries: np.ndarray, top: int) -> tuple[np.ndarray, float]:
    """The numbers of the best of all, [m, top], and the seconds that products and choice took."""
    scores, found, seconds = np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64), 0.0
    for numbers, vectors in table.vectors(table.numbers()[1]):
        given = vectors.astype(np.float32)
        began = time.perf_counter()
        new = queries @ given.T
        scores = np.concatenate([scores, new], axis=1)
        found = np.concatenate([found, np.broadcast_to(numbers, new.shape)], axis=1)
        best = np.argpartition(-scores, top - 1, axis=1)[:, :top]
        scores, found = np.take_along_axis(scores, best, 1), np.take_along_axis(found, best, 1)
        seconds += time.perf_counter() - began
    return found, seconds


def ask(index: Index, query: np.ndarray, *, where: str | None = None, fold: bool = False) -> list[int]:
    return [int(hit.key) for hit in index.search(query[None], where=where, fold=fold)[0]]


def recall(found: list[list[int]], truth: np.ndarray) -> float:
    return float(np.mean([len(set(one) & set(right.tolist())) / len(right) for one, right in zip(found, truth, strict=True)]))


def one_by_one(search: Callable[[np.ndarray], list[int]], queries: np.ndarray) -> tuple[list[list[int]], np.ndarray, float]:
    """What was found, how many milliseconds each took, and how many of the processor's on the mean."""
    found, seconds, before = [], [], time.process_time()
    for query in queries:
        began = time.perf_counter()
        found.append(search(query))
        seconds.append(time.perf_counter() - began)
    return found, 1000 * np.array(seconds), 1000 * (time.process_time() - before) / len(queries)


def with_clients(search: Callable[[np.ndarray], object], queries: np.ndarray, clients: int = 8) -> float:
    """Queries a second."""
    threads = [threading.Thread(target=lambda i=i: [search(query) for query in queries[i::clients]]) for i in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(queries) / (time.perf_counter() - began)


def show(name: str, search: Callable[[np.ndarray], list[int]], queries: np.ndarray, truth: np.ndarray) -> None:
    one_by_one(search, queries[:20])
    found, took, work = one_by_one(search, queries)
    rate = with_clients(search, queries)
    print(
        f"{name:34} recall@10 {recall(found, truth):.3f}   p50 {np.median(took):6.1f} ms   p99 "
        f"{np.percentile(took, 99):6.1f} ms   processor {work:5.1f} ms   8 clients {rate:6,.0f}/s",
        flush=True,
    )


def measured(folder: str, given: argparse.Namespace) -> Iterator[str]:
    source = Vectors(given.vectors, given.dim)
    queries = {"like images": source.images(given.queries), "like texts": source.texts(given.queries)}
    began = time.perf_counter()
    table = write_table(folder, source, given.vectors, given.dim)
    yield f"{given.vectors:,} x {given.dim}, drawn and written in {time.perf_counter() - began:.0f} s, {_gigabytes(folder)} GB"
    began, cpu = time.perf_counter(), time.process_time()
    catch_up(derived_folder(folder), read_mark(folder).identity, table)
    yield (
        f"arranged in {time.perf_counter() - began:.0f} s ({time.process_time() - cpu:.0f} s of processor), "
        f"{_gigabytes(f'{folder}/nearest')} GB, at most {_memory():.1f} GB of memory so far"
    )
    began = time.perf_counter()
    index = Index.open(folder)
    yield f"opened in {time.perf_counter() - began:.2f} s"
    for name, asked in queries.items():
        truth, seconds = exact(table, asked, 10)
        yield f"exact, all at once, {name:14} {len(asked) / seconds:,.0f} queries/s"
        show(f"ours, {name}", partial(ask, index), asked, truth)
        began = time.perf_counter()
        index.search(asked, fold=False)
        yield f"ours, all at once, {name:15} {len(asked) / (time.perf_counter() - began):,.0f} queries/s"
        show(f"folded, {name}", partial(ask, index, fold=True), asked, truth)
        inside, _ = exact_where(table, asked, "width = 3")
        show(f"a tenth, {name}", partial(ask, index, where="width = 3"), asked, inside)
        if given.lancedb:
            yield from theirs(folder, asked, truth)


def exact_where(table: Table, queries: np.ndarray, where: str) -> tuple[np.ndarray, float]:
    class Some:
        def numbers(self) -> tuple[np.ndarray, np.ndarray]:
            numbers, places = table.numbers()
            return numbers, places[np.isin(numbers, table.matching(where))]

        vectors = staticmethod(table.vectors)

    return exact(Some(), queries, 10)  # type: ignore[arg-type]


def theirs(folder: str, queries: np.ndarray, truth: np.ndarray) -> Iterator[str]:
    import lancedb
    from lancedb.index import IvfRq

    table = lancedb.connect(folder).open_table("rows")
    if not any(index.columns == ["vector"] for index in table.list_indices()):
        began = time.perf_counter()
        table.create_index("vector", config=IvfRq(distance_type="dot"))
        yield f"LanceDB's IVF_RQ built in {time.perf_counter() - began:.0f} s"

    def search(query: np.ndarray) -> list[int]:
        asked = table.search(query).distance_type("dot").nprobes(60).refine_factor(20).limit(10)
        return [one["number"] for one in asked.select(["number", "_distance"]).to_list()]

    show("LanceDB's IVF_RQ", search, queries, truth)


def _gigabytes(folder: str) -> str:
    return f"{sum(path.stat().st_size for path in Path(folder).rglob('*') if path.is_file()) / 1e9:.1f}"


def _memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--lancedb", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for line in measured(f"{folder}/index", given):
            print(line, flush=True)


if __name__ == "__main__":
    main()
