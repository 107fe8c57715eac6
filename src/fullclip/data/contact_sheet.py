"""Pairs, or pictures with a line each -> one picture of them all, for people to look at."""

import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from PIL import Image, ImageDraw, ImageFont

from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.preprocess.image import ImageError, decode_image

_SIDE, _MARGIN, _GAP = 200, 16, 24
_FONT_SIZE, _LINE_HEIGHT, _MOST_LINES = 18, 23, 3
_PAPER, _CARD, _EDGE, _INK = "#eceef1", "#ffffff", "#d5d9df", "#22262c"

_Font = ImageFont.ImageFont | ImageFont.FreeTypeFont


def draw_contact_sheet(pairs: Sequence[Pair], drops: Drops) -> Image.Image:
    """A sheet of cards, each a picture with its pair's first caption below, cut after three lines.

    A picture that does not decode goes to `drops`, and its card is left out.
    """
    return draw_cards(_decoded(pairs, drops))


def _decoded(pairs: Sequence[Pair], drops: Drops) -> Iterator[tuple[Image.Image, str]]:
    for pair in pairs:
        try:
            picture = decode_image(pair.image, name=pair.key)
        except ImageError as error:
            drops.drop("unreadable image", str(error))
        else:
            yield picture, pair.texts[0]


def draw_cards(cards: Iterable[tuple[Image.Image, str]]) -> Image.Image:
    """The same of pictures with a text each; of each picture no more is kept than is drawn."""
    font = ImageFont.load_default(_FONT_SIZE)
    contents = [(_fitted(picture), _wrapped(text, font)) for picture, text in cards]
    num_lines = max((len(lines) for _, lines in contents), default=0)
    width, height = _SIDE + 2 * _MARGIN, _SIDE + 3 * _MARGIN + num_lines * _LINE_HEIGHT
    columns = max(1, math.ceil(math.sqrt(len(contents))))
    rows = max(1, math.ceil(len(contents) / columns))
    sheet = Image.new("RGB", (_GAP + columns * (width + _GAP), _GAP + rows * (height + _GAP)), _PAPER)
    for i, (picture, lines) in enumerate(contents):
        row, column = divmod(i, columns)
        card = _card((width, height), picture, lines, font)
        sheet.paste(card, (_GAP + column * (width + _GAP), _GAP + row * (height + _GAP)))
    return sheet


def _card(size: tuple[int, int], picture: Image.Image, lines: Sequence[str], font: _Font) -> Image.Image:
    card = Image.new("RGB", size, _CARD)
    draw = ImageDraw.Draw(card)
    draw.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=_EDGE)
    card.paste(picture, (_MARGIN + (_SIDE - picture.width) // 2, _MARGIN + (_SIDE - picture.height) // 2), picture)
    for i, line in enumerate(lines):
        top = 2 * _MARGIN + _SIDE + i * _LINE_HEIGHT
        draw.text(((size[0] - font.getlength(line)) / 2, top), line, fill=_INK, font=font)
    return card


def _fitted(picture: Image.Image) -> Image.Image:
    """The picture as RGBA, its long side as long as the card's."""
    picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB").convert("RGBA")
    scale = _SIDE / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _wrapped(text: str, font: _Font) -> list[str]:
    """The text in lines that fit below a picture, with an ellipsis where it is cut."""
    text = " ".join(text.split())
    for num_letters in range(math.floor(2 * _SIDE / font.getlength("n")), 4, -1):
        lines = textwrap.wrap(text, num_letters, max_lines=_MOST_LINES, placeholder=" …")
        if all(font.getlength(line) <= _SIDE for line in lines):
            break
    return lines
