"""Groups of copies -> a picture of some of them, so that people can see what was taken for the same."""

import heapq
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from fullclip.core.storage import atomic_file, open_file
from fullclip.data.building.deduplicating.verdicts import GROUPS
from fullclip.data.building.rows import Work
from fullclip.data.drops import Drops
from fullclip.data.tables import columns_of, read_rows

_GROUPS, _SHOWN = 24, 4  # groups of the sheet; copies shown of each
_SIDE, _GAP, _FONT_SIZE, _LINES = 150, 14, 13, 3
_PAPER, _INK, _KEPT, _GONE = "#ffffff", "#22262c", "#1a7f37", "#b42318"


def write_sheet(out: str, works: Sequence[Work], path: Path) -> int:
    """Write the groups whose copies are least alike, each in a row, what stays first; how many they are."""
    groups = heapq.nsmallest(_GROUPS, _near_groups(out), key=lambda one: (one[0], one[1]["removed"][0]["key"]))
    if not groups:
        return 0
    wanted = {key for _, group in groups for key, _, _ in _cells(group)}
    pictures = _pictures(works, wanted)
    sheet = _drawn([_cells(group) for _, group in groups], pictures)
    with atomic_file(path) as file:
        sheet.save(file, "PNG")
    return len(groups)


def _near_groups(out: str) -> Iterator[tuple[float, dict[str, Any]]]:
    """(the least similarity, the group) of each in which there are not only exact copies; at most some are kept at a time."""
    with open_file(f"{out}/{GROUPS}") as file:
        for line in file:
            group = json.loads(line)
            least = min(one["similarity"] for one in group["removed"])
            if least < 1:
                group["removed"] = sorted(group["removed"], key=lambda one: (one["similarity"], one["key"]))[:_SHOWN]
                yield least, group


def _cells(group: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(key, what is written below, its colour) of each picture of a group that is shown."""
    kept = [(group["kept"], f"kept: {group['kept']}", _KEPT)] if group["kept"] is not None else []
    gone = [(one["key"], f"{one['similarity']:.2f} {one['reason']}: {one['key']}", _GONE) for one in group["removed"]]
    return kept + gone


def _pictures(works: Sequence[Work], wanted: set[str]) -> dict[str, Image.Image]:
    from fullclip.preprocess.image import decode_image

    found: dict[str, Image.Image] = {}
    for work in works:
        if work.end or "image" not in columns_of(work.path):
            continue
        rows = {number for number, row in read_rows(work.path, Drops(), columns=["key"]) if row["key"] in wanted}
        for number, row in read_rows(work.path, Drops(), columns=["key", "image"]) if rows else ():
            if number in rows:
                picture = decode_image(row["image"], name=row["key"], short_side=_SIDE).convert("RGB")
                scale = _SIDE / max(picture.size)
                size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
                found[row["key"]] = picture.resize(size, Image.Resampling.BICUBIC)
    return found


def _drawn(rows: Sequence[Sequence[tuple[str, str, str]]], pictures: Mapping[str, Image.Image]) -> Image.Image:
    font = ImageFont.load_default(_FONT_SIZE)
    width, height = _SIDE + _GAP, _SIDE + _GAP + _LINES * (_FONT_SIZE + 4)
    across = max(len(cells) for cells in rows) * width + _GAP
    sheet = Image.new("RGB", (2 * across, _GAP + -(-len(rows) // 2) * height), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, cells in enumerate(rows):
        for j, (key, text, colour) in enumerate(cells):
            left, top = _GAP + i % 2 * across + j * width, _GAP + i // 2 * height
            if key in pictures:
                sheet.paste(pictures[key], (left, top))
            draw.rectangle((left - 2, top - 2, left + _SIDE + 1, top + _SIDE + 1), outline=colour, width=2)
            wrapped = textwrap.wrap(text, 22, max_lines=_LINES, placeholder="...")
            draw.multiline_text((left, top + _SIDE + 4), "\n".join(wrapped), fill=_INK, font=font, spacing=2)
    return sheet
