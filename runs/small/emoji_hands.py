"""Emoji as five hands draw them: npm packages in, small pictures on white with CLDR's English names out.

    npm install --ignore-scripts emoji-datasource-google emoji-datasource-twitter openmoji cldr-annotations-full \
        @lobehub/fluent-emoji-3d @lobehub/fluent-emoji-flat

Two hands come as SVG, which the PyPI package resvg-py draws.
"""

import importlib
import io
import json
from collections.abc import Mapping
from pathlib import Path

from pictures import on_white
from PIL import Image

SIDE = 64  # of the smallest hand: what differs between hands is how they draw, not how finely
_COLOURED = "\ufe0f"  # asks for the coloured form of a sign
_NAMES = "cldr-annotations-full/annotations/en/annotations.json"
_LISTED = "emoji-datasource-google/emoji.json"
# hand -> where its package has the picture of a code; {lower} and {upper} are the code
HANDS: Mapping[str, str] = {
    "google": "emoji-datasource-google/img/google/64/{lower}.png",
    "twitter": "emoji-datasource-twitter/img/twitter/64/{lower}.png",
    "openmoji": "openmoji/color/svg/{upper}.svg",
    "fluent-3d": "@lobehub/fluent-emoji-3d/assets/{lower}.webp",
    "fluent-flat": "@lobehub/fluent-emoji-flat/assets/{lower}.svg",
}


class Emoji:
    """The pictures and names in a node_modules folder. ValueError where a package is not there."""

    def __init__(self, modules: Path) -> None:
        for path in (_NAMES, *HANDS.values()):
            package = modules / "/".join(path.split("/")[: 2 if path.startswith("@") else 1])
            if not package.is_dir():
                raise ValueError(f"{package} is not there; npm install --ignore-scripts {package.relative_to(modules)}")
        self._modules = modules
        told = json.loads((modules / _NAMES).read_text(encoding="utf-8"))["annotations"]["annotations"]
        self._names = {text: entry["tts"][0] for text, entry in told.items() if "tts" in entry}

    def name(self, emoji: str) -> str:
        """CLDR's name, such as "lady beetle". ValueError where it has none."""
        found = self._names.get(emoji) or self._names.get(emoji.replace(_COLOURED, ""))
        if found is None:
            raise ValueError(f"{emoji} ({code(emoji)}) has no name in {self._modules / _NAMES}; install a newer one")
        return found

    def countries(self) -> dict[str, str]:
        """{the flag's emoji: its country}."""
        listed = json.loads((self._modules / _LISTED).read_text(encoding="utf-8"))
        flags = [entry for entry in listed if entry["subcategory"] == "country-flag"]
        return {_text(entry["unified"]): entry["name"].removesuffix(" Flag") for entry in flags}

    def has(self, emoji: str, hand: str) -> bool:
        return self._file(emoji, hand) is not None

    def picture(self, emoji: str, hand: str) -> bytes:
        """A hand's drawing as PNG, 64 pixels a side, on white. ValueError where it has none."""
        path = self._file(emoji, hand)
        if path is None:
            raise ValueError(f"{hand} has no drawing of {emoji} ({code(emoji)}); leave it out, or take another release")
        with Image.open(io.BytesIO(drawn(path) if path.suffix == ".svg" else path.read_bytes())) as opened:
            opened.load()
            buffer = io.BytesIO()
            on_white(opened.convert("RGBA").resize((SIDE, SIDE), Image.Resampling.LANCZOS)).save(buffer, "PNG", optimize=True)
        return buffer.getvalue()

    def _file(self, emoji: str, hand: str) -> Path | None:
        """Some packages leave the selector of the coloured form, U+FE0F, out of their files' names."""
        for text in (emoji, emoji.replace(_COLOURED, "")):
            path = self._modules / HANDS[hand].format(lower=code(text), upper=code(text).upper())
            if path.is_file():
                return path
        return None


def code(emoji: str) -> str:
    """Its code points, as files are called: 1f43b-200d-2744-fe0f"""
    return "-".join(f"{ord(letter):04x}" for letter in emoji)


def _text(unified: str) -> str:
    return "".join(chr(int(part, 16)) for part in unified.split("-"))


def drawn(svg: Path) -> bytes:
    """An SVG as PNG of four times the side, from which it is made small as the others are."""
    try:
        resvg = importlib.import_module("resvg_py")
    except ModuleNotFoundError:
        raise ValueError("drawings in SVG need the package resvg-py: pip install resvg-py") from None
    return bytes(resvg.svg_to_bytes(svg_path=str(svg), width=4 * SIDE, height=4 * SIDE, skip_system_fonts=True))
