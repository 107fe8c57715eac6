"""Frozen dataclass <-> plain dict, strictly; `a.b=value` overrides; table look-ups that suggest the nearest name.

Comes in: dataclasses whose fields are bool, int, float, str, Literal, tuple[X, ...], X | None or dataclasses (a union of
dataclasses is told apart by a Literal field `kind`). Nothing is ignored: an unknown key or a wrong type is a ValueError
that names the whole path.
"""

import dataclasses
import difflib
import json
import types
import typing
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

T = TypeVar("T")


def lookup(table: Mapping[str, T], name: str, *, what: str) -> T:
    """The entry `name` of `table`; ValueError with the nearest name where there is none. `what` names the kind of entry."""
    if name in table:
        return table[name]
    raise ValueError(f"no {what} named {name!r}{nearest(name, table)}")


def nearest(name: str, names: Iterable[str]) -> str:
    """The tail of an error message: '; did you mean ...?' where one is near, else the names there are."""
    names = sorted(names)
    lower = {other.lower(): other for other in names}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.6)
    return f"; did you mean {lower[close[0]]!r}?" if close else f"; there are: {', '.join(names)}"


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass as nested dicts and lists that JSON can hold."""
    return {field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_dict(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def first_difference(
    before: Mapping[str, Any], now: Mapping[str, Any], *, free: Collection[str] = ()
) -> tuple[str, Any, Any] | None:
    """(name, before, now) of the first setting by name, among those of `flat`, that is not the same; `free` ones may differ."""
    for name in sorted(before.keys() | now.keys()):
        if name not in free and before.get(name) != now.get(name):
            return name, before.get(name), now.get(name)
    return None


def from_dict(kind: type[T], values: Mapping[str, Any], *, path: str = "") -> T:
    """A dataclass `kind` from nested dicts. ValueError on an unknown or missing key or a wrong type, with its path."""
    assert dataclasses.is_dataclass(kind)
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in values:
        if name not in fields:
            raise ValueError(f"{path}{name}: no such setting{nearest(name, fields)}")
    for name, field in fields.items():
        no_default = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if no_default and name not in values:
            raise ValueError(f"{path}{name}: this setting is missing")
    return kind(**{name: _convert(hints[name], value, f"{path}{name}") for name, value in values.items()})


def override(config: T, assignments: Iterable[str]) -> T:
    """A copy of `config` with each `a.b=value` applied in order; a tuple is written as `x,y` or as a JSON list."""
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set {assignment}: write it as name=value, such as train.steps=100")
        config = _replace(config, name.strip().split("."), text.strip(), path=name.strip())
    return config


def _replace(config: Any, names: list[str], text: str, *, path: str) -> Any:
    if not dataclasses.is_dataclass(config) or isinstance(config, type):
        raise ValueError(f"{path}: {names[0]!r} is inside a setting that has no parts")
    head, *rest = names
    hints = typing.get_type_hints(type(config))
    fields = {field.name for field in dataclasses.fields(config)}
    if head not in fields:
        raise ValueError(f"{path}: no such setting{nearest(head, fields)}")
    current = getattr(config, head)
    if not rest and dataclasses.is_dataclass(current) and not text.startswith("{"):
        raise ValueError(f"{path}: this is a group of settings; set one of them{nearest('', to_dict(current))}")
    value = _replace(current, rest, text, path=path) if rest else _convert(hints[head], _parse(hints[head], text), path)
    return dataclasses.replace(config, **{head: value})


def _parse(annotation: Any, text: str) -> Any:
    """Text as it is typed at a command line, as a value that `_convert` checks."""
    options = _options(annotation)
    if types.NoneType in options and text.lower() in ("none", "null"):
        return None
    if any(get_origin(option) is tuple for option in options) and not text.startswith("["):
        (inner, *_) = get_args(next(option for option in options if get_origin(option) is tuple))
        return [_parse(inner, part.strip()) for part in text.split(",") if part.strip()]
    if bool in options and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if str in options or any(get_origin(option) is Literal and text in get_args(option) for option in options):
        return text
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _options(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)


def _convert(annotation: Any, value: Any, path: str) -> Any:
    options = _options(annotation)
    if value is None and types.NoneType in options:
        return None
    options = tuple(option for option in options if option is not types.NoneType)
    groups = [option for option in options if dataclasses.is_dataclass(option)]
    if groups and isinstance(value, Mapping):
        return from_dict(_by_kind(groups, value, path), value, path=f"{path}.")
    for option in options:
        converted = _scalar(option, value, path)
        if converted is not _NO:
            return converted
    wanted = " or ".join(_name(option) for option in options)
    raise ValueError(f"{path}: expected {wanted}, got {value!r}")


_NO = object()


def _scalar(option: Any, value: Any, path: str) -> Any:
    """`value` as `option`, or _NO where it is not one. An int passes for a float; a bool passes for neither, NaN never."""
    if get_origin(option) is Literal:
        return value if value in get_args(option) else _NO
    if get_origin(option) is tuple:
        (inner, *_) = get_args(option)
        is_list = isinstance(value, (list, tuple))
        return tuple(_convert(inner, item, f"{path}[{i}]") for i, item in enumerate(value)) if is_list else _NO
    if get_origin(option) is Mapping:
        inner = get_args(option)[1]
        if not isinstance(value, Mapping):
            return _NO
        return {name: _convert(inner, item, f"{path}.{name}") for name, item in value.items()}
    if option is Any:
        return value
    if option is float and isinstance(value, (int, float)) and not isinstance(value, bool) and value == value:  # not NaN
        return float(value)
    if option is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if option in (bool, int, str) and type(value) is option:
        return value
    if dataclasses.is_dataclass(option) and isinstance(option, type) and isinstance(value, option):
        return value
    return _NO


def _by_kind(groups: list[Any], value: Mapping[str, Any], path: str) -> Any:
    if len(groups) == 1:
        return groups[0]
    kinds = {get_args(typing.get_type_hints(group)["kind"])[0]: group for group in groups}
    if "kind" not in value:
        raise ValueError(f"{path}.kind: this setting is missing; there are: {', '.join(sorted(kinds))}")
    return lookup(kinds, str(value["kind"]), what=f"{path}.kind")


def _name(option: Any) -> str:
    if get_origin(option) is Literal:
        return " or ".join(repr(value) for value in get_args(option))
    if get_origin(option) is tuple:
        return f"a list of {_name(get_args(option)[0])}"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return names.get(option) or f"the settings of {option.__name__}"
