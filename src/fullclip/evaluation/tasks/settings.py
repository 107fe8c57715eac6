"""What a task.toml says, strictly: an unknown key is an error that suggests the nearest."""

import sys
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fullclip.core.config import from_dict, nearest
from fullclip.evaluation.tasks.task import SPLITS, Kind, Metric

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SETTINGS = "task.toml"
_TABLES = ("classes", "splits", "reference_classes")


@dataclass(frozen=True, kw_only=True)
class Plain:
    """The settings that are one value."""

    name: str = ""
    kind: Kind = "classification"
    metric: Metric | None = None
    templates: tuple[str, ...] = ()
    labels: str = ""
    reference: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskFile:
    """A task.toml: its plain settings and its tables. `classes` are lists of names by class, `reference_classes` of names or
    numbers, which may be none.
    """

    plain: Plain
    classes: Mapping[str, tuple[str, ...]]
    reference_classes: Mapping[str, tuple[int | str, ...]]
    splits: Mapping[str, str]


def read_settings(folder: Path) -> TaskFile:
    """The task.toml of a folder; where there is none, one that says nothing. ValueError with the file's name and the key."""
    path = folder / SETTINGS
    if not path.is_file():
        return TaskFile(plain=Plain(), classes={}, reference_classes={}, splits={})
    try:
        told: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        tables = {name: _table(told, name) for name in _TABLES}
        _check_keys(told)
        for split, place in tables["splits"].items():
            if split not in SPLITS or not isinstance(place, str) or not place:
                raise ValueError(f"splits.{split} = {place!r}: write test = 'folder'; the splits are {', '.join(SPLITS)}")
        found = TaskFile(
            plain=from_dict(Plain, told),
            classes=_names(tables["classes"]),
            reference_classes=_references(tables["reference_classes"]),
            splits=tables["splits"],
        )
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError are ones
        raise ValueError(f"{path}: {error}") from None
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from None
    if found.reference_classes and not found.plain.reference:
        raise ValueError(f"{path}: reference_classes are classes of which task? Set reference = 'its name', too")
    if found.plain.labels and found.splits:
        raise ValueError(f"{path}: both labels and [splits]; in a table of labels the column split says it")
    return found


def _check_keys(told: Mapping[str, Any]) -> None:
    known = [each.name for each in fields(Plain)]
    for key in told:
        if key not in known:
            raise ValueError(f"{key}: no such setting{nearest(key, [*known, *_TABLES])}")


def _table(told: dict[str, Any], name: str) -> dict[str, Any]:
    found = told.pop(name, {})
    if not isinstance(found, dict):
        raise ValueError(f"{name} = {found!r}: write a table, [{name}], with a line for each")
    return found


def _names(table: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    names = {}
    for key, value in table.items():
        listed = value if isinstance(value, list) else [value]
        if not listed or not all(isinstance(name, str) and name.strip() for name in listed):
            raise ValueError(f"classes.{key} = {value!r}: write a name or a list of names")
        names[unicodedata.normalize("NFC", key)] = tuple(listed)
    return names


def _references(table: Mapping[str, Any]) -> dict[str, tuple[int | str, ...]]:
    names = {}
    for key, value in table.items():
        listed = value if isinstance(value, list) else [value]
        if not all(isinstance(name, str) or type(name) is int for name in listed):
            raise ValueError(f"reference_classes.{key} = {value!r}: write a name or a list of names; [] where there is none")
        names[unicodedata.normalize("NFC", key)] = tuple(listed)
    return names
