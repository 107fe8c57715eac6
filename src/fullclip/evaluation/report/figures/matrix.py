"""Which class was taken for which, as an SVG element made by hand: a hundred classes are ten thousand cells."""

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np
from PIL import Image

_TINT = (59, 140, 184)  # is read on white and on black; how strong it is tells the share
_MOST_WITH_NUMBERS = 12
_LETTERS = 22


def confusion(counts: np.ndarray, classes: Sequence[str]) -> str:
    """The share of each class (row) that was answered with each class (column); numbers where there are few classes."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    num, names = len(classes), [_short(name) for name in classes]
    side = 30.0 if num <= _MOST_WITH_NUMBERS else max(4.6, min(15.0, 420 / num))
    size = min(11.0, 0.95 * side)
    edge = 8 + 0.58 * size * max(map(len, names))
    whole, wide = edge + side * num, f"{side * num:.1f}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{whole + 22:.0f}"'
        f' height="{whole + 22:.0f}" viewBox="0 0 {whole + 22:.1f} {whole + 22:.1f}">',
        f'<text x="{edge:.1f}" y="12" style="font-size: 11px; fill: var(--soft)">answered →</text>',
        f'<g transform="translate(0 22)"><image x="{edge:.1f}" y="{edge:.1f}" width="{wide}" height="{wide}"'
        f' preserveAspectRatio="none" style="image-rendering: pixelated" xlink:href="{_pixels(shares)}"/>',
        f'<rect x="{edge:.1f}" y="{edge:.1f}" width="{wide}" height="{wide}" style="fill: none; stroke: var(--line)"/>',
        f'<g style="font-size: {size:.1f}px; fill: var(--ink)">',
    ]
    for place, name in enumerate(names):
        middle = edge + side * (place + 0.5)
        parts.append(f'<text x="{edge - 4:.1f}" y="{middle + 0.35 * size:.1f}" text-anchor="end">{escape(name)}</text>')
        turned = f"translate({middle + 0.35 * size:.1f} {edge - 4:.1f}) rotate(-90)"
        parts.append(f'<text transform="{turned}">{escape(name)}</text>')
    if num <= _MOST_WITH_NUMBERS:
        parts += [
            f'<text x="{edge + side * (column + 0.5):.1f}" y="{edge + side * (row + 0.5) + 4:.1f}" text-anchor="middle">'
            f"{100 * shares[row, column]:.0f}</text>"
            for row, column in np.argwhere(counts > 0)
        ]
    return "\n".join([*parts, "</g></g></svg>"])


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"


def _pixels(shares: np.ndarray) -> str:
    """A pixel for each cell, as a data URL; what is rarely mistaken is to be seen, too, so the root of the share."""
    pixels = np.empty((*shares.shape, 4), dtype=np.uint8)
    pixels[..., :3] = _TINT
    pixels[..., 3] = np.round(255 * 0.85 * np.sqrt(shares))
    out = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(out, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
