"""The folder that gets embeddings: whose it is, and what of it is finished.

embed.json says which model, layout and units it was begun with; another run is refused. Local or remote.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from fullclip.core import parts
from fullclip.core.config import first_difference, flat, from_dict, to_dict
from fullclip.core.folders import appeared, read_text, whole_file
from fullclip.search.jobs import Layout
from fullclip.search.parts import PARTS, Record, parse_record
from fullclip.search.units import Unit

PLAN_NAME = "embed.json"


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


def claim(out: str, plan: Plan) -> dict[int, Record]:
    """Take `out` for this plan, or go on with it: the records of the parts that are finished.

    ValueError where it was begun with another plan, with the first thing that differs.
    """
    if appeared(f"{out}/{PLAN_NAME}"):
        _check_same(out, plan)
    else:
        with whole_file(f"{out}/{PLAN_NAME}", "w") as file:
            json.dump(to_dict(plan), file, indent=1)
    parts.remove_unfinished(out)
    return finished(out, len(plan.units))


def finished(out: str, num_units: int) -> dict[int, Record]:
    """The records of the parts whose files are there, with the sizes that they were written with."""
    records = parts.finished(out, PARTS, parse=parse_record, files=lambda record: record.files)
    return {record.number: record for record in records if record.number < num_units}


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
