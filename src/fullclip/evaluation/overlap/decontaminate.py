"""Tasks and shards -> the shards without the tasks' test pictures, with a report and a page of what was taken out.

decontamination.json    thresholds, counts, every pair with its similarity, what could not be looked at
decontamination.html    each picture of a task beside the training picture that was taken for it, for human eyes
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullclip.core.distributed import World, on_leader
from fullclip.core.storage import atomic_file, atomic_folder, file_info
from fullclip.data.removal import check_removal, write_without
from fullclip.data.shards import INDEX_NAME
from fullclip.evaluation.overlap.find import Match, Overlaps, find_overlaps
from fullclip.evaluation.overlap.page import write_page
from fullclip.evaluation.overlap.pictures import Pictures, pictures_of
from fullclip.evaluation.overlap.search import METHOD
from fullclip.evaluation.overlap.threshold import check_names, own_threshold
from fullclip.evaluation.tasks.task import Split
from fullclip.preprocess.descriptor import VERSION

REPORT, PAGE = "decontamination.json", "decontamination.html"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A set whose pictures must not be trained on; `threshold` is None where the set itself is to say it."""

    name: str
    split: Split
    threshold: float | None = None


def check_output(shards: Sequence[str], out: Path) -> None:
    """ValueError where `out` is a folder of the shards, lies within one, or holds something that is no decontamination."""
    folders = {Path(path).parent.resolve() for path in shards if "://" not in path}
    if out.resolve() in folders:
        raise ValueError(f"{out} holds the shards that are read; give another --out, they are not written over")
    if out.is_file():
        raise ValueError(f"{out} is a file; --out is a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / REPORT).is_file():
        raise ValueError(f"{out} is not empty and no decontamination; give another --out, or remove it first")


def decontaminate(
    wanted: Sequence[Wanted], shards: Sequence[str], *, out: Path | None, cache: Path | None, world: World
) -> dict[str, Any]:
    """Look for the sets' pictures in the shards, write the rest into `out`, and give the report. All processes call this
    together. Without `out` nothing is written.

    `out` appears when everything in it is there. Where it holds what the same call has made, that is told again; ValueError
    where it holds something else, for a torn shard, and where nothing would be left.
    """
    names = [one.name for one in wanted]
    check_names(dict.fromkeys(names, 1.0), names)
    identity = on_leader(lambda: _checked(wanted, shards, out), world)
    known = on_leader(lambda: _known(out, identity), world)
    if known is not None:
        return known
    sets = []
    for one in wanted:
        pictures = pictures_of(one.split, name=one.name, cache=cache, world=world)
        sets.append((pictures, one.threshold or on_leader(lambda p=pictures: own_threshold(p), world)))  # type: ignore[misc]
    found = find_overlaps(sets, shards, cache=cache, world=world)

    def finish() -> dict[str, Any]:
        told = {"identity": identity, **_report(sets, shards, found)}
        if out is not None:
            _write(out, told, wanted, sets, shards, found)
        return told

    return on_leader(finish, world)


def _checked(wanted: Sequence[Wanted], shards: Sequence[str], out: Path | None) -> str:
    """The SHA-256 of all that the result depends on, where the call can be followed."""
    if len({one.name for one in wanted}) < len(wanted):
        raise ValueError("two sets have one name; give each once, or another name in its task.toml")
    if out is not None:
        check_output(shards, out)
    check_removal(shards)
    told = {
        "versions": [VERSION, METHOD],
        "sets": [[one.name, one.split.digest(), one.threshold] for one in wanted],
        "shards": shard_versions(shards),
    }
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def shard_versions(shards: Sequence[str]) -> list[list[Any]]:
    """Path, size and version of each shard."""
    found = [(path, file_info(path)) for path in shards]
    return [[path, info.num_bytes, info.version] for path, info in found]


def _known(out: Path | None, identity: str) -> dict[str, Any] | None:
    """The report in `out`, if the same call made it."""
    if out is None or not (out / REPORT).is_file():
        return None
    try:
        told: dict[str, Any] = json.loads((out / REPORT).read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(f"{out / REPORT}: damaged; give another --out, or remove the folder") from None
    if told.get("identity") != identity:
        raise ValueError(f"{out} holds the result of other shards, tasks or thresholds; give another --out, or remove it")
    return told


def _report(sets: Sequence[tuple[Pictures, float]], shards: Sequence[str], found: Overlaps) -> dict[str, Any]:
    gone = _gone(found)
    return {
        "shards": list(shards),
        "num_pictures": found.num_pictures,
        "num_removed": sum(map(len, gone.values())),
        "not_looked_at": found.drops.report(),
        "sets": {pictures.name: _told(pictures, threshold, found) for pictures, threshold in sets},
    }


def _told(pictures: Pictures, threshold: float, found: Overlaps) -> dict[str, Any]:
    matches = found.sets[pictures.name]
    copies = sorted(matches.copies, key=lambda match: -match.similarity)
    return {
        "threshold": threshold,
        "num_pictures": len(pictures),
        "num_found": sum(match.similarity >= threshold for match in matches.nearest.values()),
        "num_training": len(copies),
        "not_looked_at": pictures.drops.report(),
        "pairs": [pair(pictures, match) for match in copies],
    }


def pair(pictures: Pictures, match: Match) -> dict[str, Any]:
    """A match as reports and records have it."""
    return {
        "key": pictures.keys[match.row],
        "training_key": match.key,
        "shard": match.shard,
        "sample": match.sample,
        "similarity": round(match.similarity, 4),
    }


def _gone(found: Overlaps) -> dict[str, set[int]]:
    gone: dict[str, set[int]] = {}
    for matches in found.sets.values():
        for match in matches.copies:
            gone.setdefault(match.shard, set()).add(match.sample)
    return gone


def _write(
    out: Path,
    told: Mapping[str, Any],
    wanted: Sequence[Wanted],
    sets: Sequence[tuple[Pictures, float]],
    shards: Sequence[str],
    found: Overlaps,
) -> None:
    with atomic_folder(out) as folder:
        index = write_without(shards, _gone(found), folder)
        assert (folder / INDEX_NAME).is_file()
        splits = {one.name: one.split for one in wanted}
        write_page(folder / PAGE, told, [(splits[pictures.name], pictures, found.sets[pictures.name]) for pictures, _ in sets])
        with atomic_file(folder / REPORT, "w") as file:
            json.dump({**told, "num_left": index.num_pairs}, file, indent=1, ensure_ascii=False)
