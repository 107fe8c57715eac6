"""Stages' folders, each of which names its inputs -> how the rows came to be, from the first stage to the last."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fullclip.core.folders import appeared, read_text
from fullclip.data.building.rows import PARTS
from fullclip.data.building.stage import PLAN_NAME, read_report

_MOST_NAMED = 20


def history(paths: Sequence[str]) -> list[dict[str, Any]]:
    """What each stage before these files did: stage, folder, inputs, settings, rows in and out, counts.

    Folders and files are named by the last part of their paths only, so that nothing of the machine is told.
    """
    seen: dict[str, dict[str, Any]] = {}
    _follow(list(dict.fromkeys(paths)), seen)
    return list(seen.values())


def _follow(paths: Sequence[str], seen: dict[str, dict[str, Any]]) -> None:
    for folder in _stages(paths):
        if folder in seen:
            continue
        plan, report = json.loads(read_text(f"{folder}/{PLAN_NAME}")), read_report(folder)
        inputs = list(dict.fromkeys(work["path"] for work in plan["works"]))
        _follow(inputs, seen)
        seen[folder] = {
            "stage": report["stage"],
            "folder": _last(folder),
            "inputs": _named(inputs),
            "settings": _without_paths(report["settings"]),
            "num_in": report["num_in"],
            "num_out": report["num_out"],
            "dropped": {reason: one["count"] for reason, one in sorted(report["dropped"].items())},
            "counts": _without_paths(report["counts"]),
        }


def _stages(paths: Sequence[str]) -> Iterator[str]:
    """The stages' folders in which some of the files are parts."""
    parents = dict.fromkeys(path.rpartition("/")[0] for path in paths)
    for parent in parents:
        folder, _, last = parent.rpartition("/")
        if last == PARTS and appeared(f"{folder}/{PLAN_NAME}"):
            yield folder


def _named(paths: Sequence[str]) -> list[str]:
    """Stages' folders, and other files, the first of them."""
    folders = list(_stages(paths))
    others = [path for path in paths if not any(path.startswith(f"{folder}/{PARTS}/") for folder in folders)]
    names = [_last(folder) for folder in folders] + [_last(path) for path in others[:_MOST_NAMED]]
    return [*names, f"and {len(others) - _MOST_NAMED} more"] if len(others) > _MOST_NAMED else names


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _without_paths(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_paths(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_paths(one) for one in value]
    return _last(value) if isinstance(value, str) and (value.startswith("/") or "://" in value) else value
