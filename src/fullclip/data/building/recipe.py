"""A recipe file -> the commands of a whole way from web pages to shards, in order. Knows nothing of what they do.

A TOML file with a table for each stage, in the order in which they run; its keys are the command's options, in words with an
underscore where the option has a hyphen, and `inputs`, a list, where a stage does not go on with what the one before has made.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullclip.core.config import nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STAGES = ("queries", "collect", "match", "balance", "download", "deduplicate", "shard", "decontaminate")
QUERIES_NAME = "queries.jsonl"
_OURS = {"out": "--out of the build says where all folders go", "json": "give --json to the build"}


@dataclass(frozen=True, kw_only=True)
class Step:
    """A command's name, where it writes, and its words."""

    stage: str
    out: str
    words: tuple[str, ...]


def read_recipe(path: Path, out: str) -> tuple[Step, ...]:
    """The steps of a recipe whose folders lie below `out`; ValueError where it is none, with what to write instead."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such recipe") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not TOML ({error})") from None
    if not tables:
        raise ValueError(f"{path}: no stage in it; write a table for each, such as [collect]")
    found, before = list[Step](), ""
    for name, settings in tables.items():
        if name not in STAGES:
            raise ValueError(f"{path}: there is no stage {name!r}{nearest(name, STAGES)}")
        if not isinstance(settings, Mapping):
            raise ValueError(f"{path}: {name} is {settings!r}; write a table, [{name}]")
        if name == "match" and "queries" not in settings and not any(step.stage == "queries" for step in found):
            raise ValueError(f'{path}: match has no list; begin with a table [queries], or give it queries = "FILE"')
        step = _step(path, name, settings, out, before)
        found.append(step)
        before = before if name == "queries" else step.out
    return tuple(found)


def _step(path: Path, name: str, settings: Mapping[str, Any], out: str, before: str) -> Step:
    for key, why in _OURS.items():
        if key in settings:
            raise ValueError(f"{path}: {name}.{key}: {why}; take it out of the recipe")
    place = f"{out}/{QUERIES_NAME}" if name == "queries" else f"{out}/{name}"
    inputs = settings.get("inputs", [] if name == "queries" else [before])
    if not isinstance(inputs, list) or not all(isinstance(one, str) for one in inputs):
        raise ValueError(f"{path}: {name}.inputs is {inputs!r}; write a list of names")
    if wrong := [one for one in inputs if one.startswith("-")]:
        raise ValueError(f"{path}: {name}.inputs has {wrong[0]!r}; options are keys of their own")
    if inputs == [""]:
        raise ValueError(f'{path}: {name} comes first and has nothing to read; give it inputs = ["..."]')
    words = list(inputs)
    if name == "match" and "queries" not in settings:
        words += ["--queries", f"{out}/{QUERIES_NAME}"]
    for key, value in settings.items():
        if key != "inputs":
            words += _option(f"{path}: {name}.{key}", key, value)
    return Step(stage=name, out=place, words=(*words, "--out", place))


def _option(where: str, key: str, value: Any) -> Sequence[str]:
    """An option as it is typed."""
    typed = f"--{key.replace('_', '-')}"
    if isinstance(value, bool):
        return [typed] if value else []
    if isinstance(value, str | int | float):
        return [typed, str(value)]
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return [word for one in value for word in (typed, str(one))]
    raise ValueError(f"{where} is {value!r}; write a text, a number, true, or a list of texts")
