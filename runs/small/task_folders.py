"""Tasks as folders that `fullclip evaluate --task FOLDER` takes: shards in WebDataset's layout with a task.toml beside them."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fullclip.core.types import Pair
from fullclip.data.shards import write_shards
from fullclip.preprocess.image import image_extension


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An encoded picture and the number of its class."""

    key: str
    data: bytes
    label: int


@dataclass(frozen=True, kw_only=True)
class Classification:
    """A set with its classes' names and the sentences that they are asked by. A shift names its reference, and for each class
    the reference's; without, names are compared. `note` says what a reader of the numbers should know.
    """

    name: str
    classes: Sequence[Sequence[str]]
    templates: Sequence[str]
    splits: Mapping[str, Sequence[Picture]]
    note: str
    reference: str = ""
    reference_classes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def write(self, out: Path) -> None:
        folder = out / self.name
        folder.mkdir(parents=True)
        _write_lines(folder / "classnames.txt", [" | ".join(names) for names in self.classes])
        _write_lines(folder / "zeroshot_classification_templates.txt", self.templates)
        for split, pictures in self.splits.items():
            _write_pictures(folder / split, pictures)
        settings = [f"name = {_quoted(self.name)}", f"note = {_quoted(self.note)}"]
        if self.reference:
            settings.append(f"reference = {_quoted(self.reference)}")
        if self.reference_classes:
            settings.append("\n[reference_classes]")
            settings += [
                f"{_quoted(name)} = [{', '.join(map(_quoted, theirs))}]" for name, theirs in self.reference_classes.items()
            ]
        _write_lines(folder / "task.toml", settings)

    def described(self) -> str:
        """A row of the table of tasks."""
        parts = ", ".join(f"{len(pictures):,} {split}" for split, pictures in self.splits.items())
        shift = f"A shift of {self.reference}. " if self.reference else ""
        return f"| {self.name} | {len(self.classes)} classes | {parts} | {shift}{self.note} |"


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Pictures with their captions."""

    name: str
    pairs: Sequence[Pair]
    note: str

    def write(self, out: Path) -> None:
        folder = out / self.name
        write_shards(self.pairs, folder)
        _write_lines(
            folder / "task.toml", [f"name = {_quoted(self.name)}", 'kind = "retrieval"', f"note = {_quoted(self.note)}"]
        )

    def described(self) -> str:
        """A row of the table of tasks."""
        captions = sum(len(pair.texts) for pair in self.pairs)
        return f"| {self.name} | {captions:,} captions | {len(self.pairs):,} test | {self.note} |"


def check_empty(out: Path) -> None:
    """ValueError where `out` holds something already."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} is there already; remove it, or give another --out")


def write_tasks(tasks: Sequence[Classification | Retrieval], out: Path) -> None:
    """A folder for each task, and README.md, which lists them."""
    for task in tasks:
        task.write(out)
    head = ["# Tasks", "", "| task | asked | pictures | what to know |", "|---|---|---|---|"]
    _write_lines(out / "README.md", [*head, *(task.described() for task in tasks)])


def _write_pictures(folder: Path, pictures: Sequence[Picture]) -> None:
    """One shard, with a picture and its label for each key."""
    folder.mkdir()
    with tarfile.open(folder / "0.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for picture in pictures:
            _add(tar, f"{picture.key}.{image_extension(picture.data, name=picture.key)}", picture.data)
            _add(tar, f"{picture.key}.cls", str(picture.label).encode())
    _write_lines(folder / "nshards.txt", ["1"])


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _quoted(text: str) -> str:
    """A string of TOML, which JSON's are as well."""
    return json.dumps(text, ensure_ascii=False)
