"""A comparison's folder: its settings, and a line for each number. What is finished stays, whatever happens to the process."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fullclip.core import folders
from fullclip.core.config import first_difference, flat
from fullclip.core.storage import atomic_file

RESULTS, SETTINGS = "results.jsonl", "settings.json"
Row = Mapping[str, Any]


class Records:
    """The rows of a comparison in `folder`. Made by `held`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RESULTS
        self._rows = read_rows(self._path)

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(self._rows)

    def has(self, **key: Any) -> bool:
        """Whether rows with these values are there: that part of the comparison is done."""
        return any(all(row.get(name) == value for name, value in key.items()) for row in self._rows)

    def add(self, rows: Sequence[Row]) -> None:
        """All rows of one part at once, on disk when this returns: a part is there whole or not at all."""
        together = [*self._rows, *rows]
        with atomic_file(self._path, "w") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in together)
        self._rows = together


@contextmanager
def held(folder: Path, settings: Mapping[str, Any]) -> Iterator[Records]:
    """A comparison's records, its folder taken for this process alone. `settings` is all that decides its numbers, but what
    tells its parts from each other (the ways, the seeds). ValueError where another process has the folder, or it was begun
    with other settings.
    """
    with folders.held(folder, doing="comparing"):
        _check_settings(folder, settings)
        yield Records(folder)


def read_rows(path: Path) -> list[Row]:
    """The lines of a results.jsonl; none where it is not there. ValueError where one is no JSON object."""
    rows = list[Row]()
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else (), 1):
        try:
            row = json.loads(text)
        except json.JSONDecodeError:
            row = None
        if not isinstance(row, dict):
            raise ValueError(f"{path}:{number}: {text[:40]!r} is no result; remove that line, and its part is made again")
        rows.append(row)
    return rows


def _check_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    path = folder / SETTINGS
    if not path.exists():
        if (folder / RESULTS).exists():
            raise ValueError(f"{folder} holds results, but not what they were made with ({SETTINGS}); give another --out")
        with atomic_file(path, "w") as file:
            json.dump(settings, file, indent=1)
        return
    try:
        before = flat(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} is damaged ({error}); give another --out") from None
    if difference := first_difference(before, flat(json.loads(json.dumps(settings)))):
        name, was, now = difference
        raise ValueError(
            f"{name} is {now!r}, but the comparison in {folder} was begun with {was!r};"
            " go on with the same, or give another --out"
        )
