"""Rows in, those without copies of others and of evaluation sets' pictures out; the rule is in docs/data.md.

In three passes, each of which goes on where it was stopped: partitions are looked at (`engine`), all are grouped together in
this process, and each partition loses what is to be left out (`engine`).

DIR/hashes       what was looked at (looks.py), a stage of its own
DIR/embeddings   with an embedding: of the first of each group
DIR/removed, DIR/groups.jsonl, DIR/grouped.json   verdicts.py
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from fullclip.core.extras import require
from fullclip.core.folders import appeared, read_text
from fullclip.core.storage import is_remote, open_file
from fullclip.data.building.deduplicating.catalogue import catalogue
from fullclip.data.building.deduplicating.embeddings import Embedding, joined_by_embedding
from fullclip.data.building.deduplicating.grouping import EvaluationSet, group, views_of
from fullclip.data.building.deduplicating.looks import VERSION, look_at_part
from fullclip.data.building.deduplicating.stars import settle
from fullclip.data.building.deduplicating.verdicts import GROUPED, REMOVED, judge, write_verdicts
from fullclip.data.building.engine import Engine
from fullclip.data.building.rows import Work, read_table
from fullclip.data.building.stage import Done, Record, Report, run_stage
from fullclip.data.drops import Drops

HASHES = "hashes"
THRESHOLD = 0.9  # photographs recompressed or resized are above; of drawings in one frame some still are, too (docs/data.md)


def deduplicate(
    works: Sequence[Work],
    *,
    out: str,
    engine: Engine,
    threshold: float = THRESHOLD,
    against: Sequence[EvaluationSet] = (),
    embedding: Embedding | None = None,
) -> Report:
    """Leave out all but one of rows with the same bytes or (nearly) the same picture, and all that are in `against`.

    ValueError for a threshold that is not above 0 and at most 1, and for two sets of one name.
    """
    for number in (threshold, *(one.threshold for one in against), *([embedding.threshold] if embedding else [])):
        if not 0 < number <= 1:
            raise ValueError(f"a threshold is {number}: a similarity above 0 and up to 1 is needed, such as {THRESHOLD}")
    if len({one.name for one in against}) < len(against):
        raise ValueError("two sets of pictures have one name; give each once")
    if embedding is not None and (own := [work.path for work in works if work.end]):
        raise ValueError(f"{own[0]} is not a stage's part, and only their pictures can be embedded; leave out --embed")
    settings: dict[str, Any] = {
        "threshold": threshold,
        "against": {one.name: _told(one) for one in sorted(against, key=lambda one: one.name)},
        "embedding": {"model": embedding.name, "threshold": embedding.threshold} if embedding else None,
        "version": VERSION,
    }

    def prepare(folder: str) -> None:
        if not appeared(f"{folder}/{GROUPED}"):
            look = {"version": VERSION}
            run_stage(
                f"{folder}/{HASHES}", stage="deduplicate (hashes)", settings=look, works=works, do=look_at_part, engine=engine
            )
            _group_all(folder, works, threshold=threshold, against=against, embedding=embedding)

    return run_stage(
        out,
        stage="deduplicate",
        settings=settings,
        works=works,
        do=partial(filter_part, removed=f"{_whole(out)}/{REMOVED}"),
        engine=engine,
        prepare=prepare,
        summarize=_summarize,
    )


def filter_part(work: Work, *, removed: str) -> Done:
    """A partition without the rows that the table in the folder `removed` lists."""
    arrow, parquet = require("pyarrow", extra="data"), require("pyarrow.parquet", extra="data")
    drops = Drops()
    table = read_table(work, drops)
    with open_file(f"{removed}/{work.number:06d}.parquet") as file:
        gone = parquet.read_table(file, use_threads=False)
    kept = np.ones(table.num_rows, dtype=bool)
    kept[gone["row"].to_numpy()] = False
    keys = table["key"].take(gone["row"]).to_pylist() if gone.num_rows else []
    for key, reason in zip(keys, gone["reason"].to_pylist(), strict=True):
        drops.drop(reason, str(key))
    return Done(table=table.filter(arrow.array(kept)), num_in=table.num_rows + _broken(drops, gone), drops=drops)


def _broken(drops: Drops, gone: Any) -> int:
    """Rows of a table of people's own that are none."""
    return sum(drops.counts.values()) - int(gone.num_rows)


def _group_all(
    out: str, works: Sequence[Work], *, threshold: float, against: Sequence[EvaluationSet], embedding: Embedding | None
) -> None:
    views = views_of(against)
    with catalogue(f"{out}/{HASHES}", len(works)) as found:
        grouping = group(found, views, threshold=threshold)
        looks, pictures = settle(found, views, grouping.unions.all_roots(), threshold=threshold)
        roots = looks if embedding is None else joined_by_embedding(looks, found, works, embedding=embedding, out=out)
        verdicts = judge(found, views, looks=looks, roots=roots, pictures=pictures, threshold=threshold)
        write_verdicts(out, found, views, verdicts, num_parts=len(works), crowded=grouping.crowds.rows)


def _summarize(out: str, records: Sequence[Record]) -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads(read_text(f"{out}/{GROUPED}"))
    return found


def _told(one: EvaluationSet) -> dict[str, Any]:
    digest = hashlib.sha256("\n".join(one.keys).encode("utf-8", "surrogatepass"))
    digest.update(np.ascontiguousarray(one.descriptors).tobytes())
    return {"pictures": len(one.keys), "threshold": one.threshold, "sha256": digest.hexdigest()}


def _whole(out: str) -> str:
    """As `run_stage` writes it, for processes that work elsewhere."""
    from pathlib import Path

    return out if is_remote(out) else str(Path(out).absolute())
