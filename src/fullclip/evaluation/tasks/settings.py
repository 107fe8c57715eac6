"""What a task.toml says, strictly: an unknown key is an error that suggests the nearest."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullclip.core.config import from_dict
from fullclip.evaluation.tasks.task import SPLITS, Kind, Metric

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SETTINGS = "task.toml"


@dataclass(frozen=True, kw_only=True)
class Plain:
    """The settings that are one value."""

    name: str = ""
    kind: Kind = "classification"
    metric: Metric | None = None
    templates: tuple[str, ...] = ()
    labels: str = ""
    reference: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskFile:
    """A task.toml: its plain settings and its tables. `classes` and `reference_classes` are lists of names by class."""

    plain: Plain
    classes: Mapping[str, tuple[str, ...]]
    reference_classes: Mapping[str, tuple[str, ...]]
    splits: Mapping[str, str]


def read_settings(folder: Path) -> TaskFile:
    """The task.toml of a folder; where there is none, one that says nothing. ValueError with the file's name and the key."""
    path = folder / SETTINGS
    if not path.is_file():
        return TaskFile(plain=Plain(), classes={}, reference_classes={}, splits={})
    try:
        told: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        splits = _table(told, "splits")
        for split, place in splits.items():
            if split not in SPLITS or not isinstance(place, str):
                raise ValueError(f"splits.{split} = {place!r}: write test = 'folder'; the splits are {', '.join(SPLITS)}")
        classes, reference = (
            _names(_table(told, "classes"), "classes"),
            _names(_table(told, "reference_classes"), "reference_classes"),
        )
        return TaskFile(plain=from_dict(Plain, told), classes=classes, reference_classes=reference, splits=splits)
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are ones
        raise ValueError(f"{path}: {error}") from None


def _table(told: dict[str, Any], name: str) -> dict[str, Any]:
    found = told.pop(name, {})
    if not isinstance(found, dict):
        raise ValueError(f"{name} = {found!r}: write a table, [{name}], with a line for each")
    return found


def _names(table: Mapping[str, Any], where: str) -> dict[str, tuple[str, ...]]:
    names = {}
    for key, value in table.items():
        listed = value if isinstance(value, list) else [value]
        if not listed or not all(isinstance(name, str) and name.strip() for name in listed):
            raise ValueError(f"{where}.{key} = {value!r}: write a name or a list of names")
        names[key] = tuple(listed)
    return names
