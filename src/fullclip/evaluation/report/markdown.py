"""Sections as Markdown: paragraphs, lists and tables. Figures and what is folded away are on the page only."""

import re
from collections.abc import Iterator, Sequence

from fullclip.evaluation.report.document import Block, Cell, Link, Number, Points, Section, Table, Text


def to_markdown(title: str, summary: Sequence[str], sections: Sequence[Section], *, page: str) -> str:
    """The report in words; `page` is the file with the figures."""
    parts = [f"# {escaped(title)}", *map(escaped, summary), f"The figures are in {escaped(page)}."]
    for section in sections:
        parts.append(f"## {escaped(section.title)}")
        parts += [text for block in section.blocks for text in _block(block)]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return re.sub(r"([\\`*<>|\[\]])", r"\\\1", " ".join(text.split()))


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Text):
        yield escaped(block.text)
    elif isinstance(block, Points) and block.items:
        yield "\n".join(f"- {escaped(item)}" for item in block.items)
    elif isinstance(block, Table):
        if block.note:
            yield escaped(block.note)
        yield _table(block)


def _table(table: Table) -> str:
    lines = [_line(table.columns), _line(["---:" if is_number else ":---" for is_number in table.is_number], is_rule=True)]
    return "\n".join([*lines, *(_line([_cell(cell) for cell in row], is_rule=True) for row in table.rows)])


def _line(cells: Sequence[str], *, is_rule: bool = False) -> str:
    return f"| {' | '.join(cells if is_rule else map(escaped, cells))} |"


def _cell(cell: Cell) -> str:
    if isinstance(cell, Number):
        value = f"**{cell.value}**" if cell.is_best else cell.value
        return f"{value} ({cell.interval})" if cell.interval else value
    return f"[{escaped(cell.text)}]({cell.address})" if isinstance(cell, Link) else escaped(cell)
