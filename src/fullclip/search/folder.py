"""The folder that gets embeddings: whose it is, what of it is finished, and nobody else writing into it.

embed.json says which model, layout and units it was begun with; another run is refused. Local or remote.
"""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fullclip.core import folders
from fullclip.core.config import first_difference, flat, from_dict, to_dict
from fullclip.core.folders import LOCK_NAME, appeared, files_below, read_text, whole_file
from fullclip.core.storage import is_folder, is_remote
from fullclip.search.jobs import Layout
from fullclip.search.parts import PARTS, Record, parse_record
from fullclip.search.units import Unit

PLAN_NAME = "embed.json"
_PARTIAL = ".partial-"
_THREADS = 16


@dataclass(frozen=True, kw_only=True)
class ModelMark:
    """Which model: as it was named, and the fingerprint of all that embeddings depend on."""

    name: str
    fingerprint: str
    precision: str
    decoding: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What embed.json holds."""

    model: ModelMark
    layout: Layout
    units: tuple[Unit, ...]
    version: int = 1


@contextmanager
def held(out: str) -> Iterator[None]:
    """Nobody else embeds into a local `out` meanwhile; a killed process holds nothing. ValueError where somebody does."""
    if is_remote(out):
        yield
        return
    with folders.held(Path(out), doing="embedding"):
        yield


def check_usable(out: str) -> None:
    """ValueError where `out` is a file, or holds something else than embeddings. Asked before a model is opened."""
    if not is_remote(out) and Path(out).is_file():
        raise ValueError(f"{out} is a file; give a folder with --out")
    if not is_folder(out) or appeared(f"{out}/{PLAN_NAME}"):
        return
    names = [path for path in files_below(out) if _PARTIAL not in path and not path.endswith(f"/{LOCK_NAME}")]
    if names:
        raise ValueError(f"{out} holds other files, such as {names[0].rpartition('/')[2]}; give a new folder with --out")


def claim(out: str, plan: Plan) -> dict[int, Record]:
    """Take `out` for this plan, or go on with it: the records of the parts that are finished.

    ValueError where it was begun with another plan, with the first thing that differs.
    """
    if appeared(f"{out}/{PLAN_NAME}"):
        _check_same(out, plan)
    else:
        with whole_file(f"{out}/{PLAN_NAME}", "w") as file:
            json.dump(to_dict(plan), file, indent=1)
    remove_unfinished(out)
    return finished(out, len(plan.units))


def remove_unfinished(out: str) -> None:
    """What processes that were killed have begun. Asked by who holds `out`, while nobody works."""
    for path in Path(out).rglob(f".*{_PARTIAL}*") if not is_remote(out) else ():
        path.unlink(missing_ok=True)


def finished(out: str, num_units: int) -> dict[int, Record]:
    """The records of the parts whose files are there, with the sizes that they were written with."""
    sizes = {path.removeprefix(f"{out.rstrip('/')}/"): info.num_bytes for path, info in files_below(out).items()}
    names = [name for name in sizes if name.startswith(f"{PARTS}/")]
    with ThreadPoolExecutor(_THREADS) as pool:
        read = pool.map(lambda name: parse_record(read_text(f"{out}/{name}")), names)
    records = [record for record in read if record is not None and record.number < num_units]
    return {record.number: record for record in records if all(sizes.get(file.name) == file.num_bytes for file in record.files)}


def _check_same(out: str, plan: Plan) -> None:
    try:
        before = from_dict(Plan, json.loads(read_text(f"{out}/{PLAN_NAME}")))
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{out}/{PLAN_NAME} is damaged ({error}); give another --out") from None
    other = "give another --out, or remove this one to begin anew"
    was, now = flat(to_dict(before)), flat(to_dict(plan))
    if before.model.fingerprint != plan.model.fingerprint:
        as_before = "which has changed" if before.model.name == plan.model.name else f"and {plan.model.name} is another"
        raise ValueError(
            f"{out} was begun with the model {before.model.name}, {as_before} (weights, types or preprocessing); {other}"
        )
    if difference := first_difference(was, now, free=("units", "model.name")):
        name, old, new = difference
        raise ValueError(f"{out} was begun with {name} {old!r}, and now it is {new!r}; {other}")
    if before.units != plan.units:
        raise ValueError(f"{out} was begun with another input: {_other_unit(before.units, plan.units)}; {other}")


def _other_unit(before: Sequence[Unit], now: Sequence[Unit]) -> str:
    for old, new in zip(before, now, strict=False):
        if old != new:
            same = old.path == new.path and (old.start, old.end, old.kind) == (new.start, new.end, new.kind)
            what = "files from" if new.kind == "files" else ""
            return f"{what} {new.path} changed".strip() if same else f"{old.path} stood where now {new.path} is"
    return f"{len(before)} parts then, {len(now)} now"
