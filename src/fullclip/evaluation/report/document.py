"""What a report is made of, before it is Markdown or HTML: sections of paragraphs, tables, figures and what is folded away."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True)
class Number:
    """A cell that stands right: a value, its interval as text ("" where it has none), whether it is to stand out."""

    value: str
    interval: str = ""
    is_best: bool = False


@dataclass(frozen=True, kw_only=True)
class Link:
    """A cell that leads to a page on the web."""

    text: str
    address: str


Cell: TypeAlias = str | Number | Link


@dataclass(frozen=True)
class Text:
    """A paragraph, without any markup."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list of sentences."""

    items: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells, the first of which names the row; `note` says what the numbers are."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""

    @property
    def is_number(self) -> tuple[bool, ...]:
        """Which columns hold numbers."""
        columns = zip(*self.rows, strict=True)
        return tuple(any(isinstance(cell, Number) for cell in column) for column in columns)

    @property
    def has_interval(self) -> tuple[bool, ...]:
        """Which columns hold intervals, so that values without one stand below the others."""
        columns = zip(*self.rows, strict=True)
        return tuple(any(isinstance(cell, Number) and cell.interval for cell in column) for column in columns)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An SVG element, what is below it, and what it shows in a sentence for who cannot see it."""

    svg: str
    caption: str
    alt: str


@dataclass(frozen=True, kw_only=True)
class Folded:
    """What is on the page, but closed until somebody wants it. Markdown leaves it out."""

    summary: str
    blocks: Sequence["Block"]


Block: TypeAlias = Text | Points | Table | Picture | Folded


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the report with a title of its own."""

    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


def fold_all_but(first: int, summaries: Sequence[str], blocks: Sequence[Sequence[Block]]) -> list[Block]:
    """The `first` groups of blocks open, the others each folded under its summary."""
    found: list[Block] = []
    for place, (summary, group) in enumerate(zip(summaries, blocks, strict=True)):
        found += group if place < first else [Folded(summary=summary, blocks=group)]
    return found
