"""Rules for images by their declared sizes, and the widest of several that a page offers."""

import re
from collections.abc import Iterator

from fullclip.data.building.collecting.settings import ImageRules

_SIZE = re.compile(r"\s*\+?([0-9]{1,6})(?:\.[0-9]*)?\s*(?:px)?\s*$", re.IGNORECASE)
_STYLES = {
    name: re.compile(rf"(?:^|;)\s*{name}\s*:\s*([0-9]{{1,6}})(?:\.[0-9]+)?px", re.IGNORECASE) for name in ("width", "height")
}
_CANDIDATE = re.compile(r"[\s,]*(\S+)")
_DESCRIPTOR = re.compile(r"\s*([0-9]{1,7}(?:\.[0-9]{1,6})?)([wx])\s*$")
_MAX_CANDIDATES = 50


def declared_size(attribute: str, style: str, name: str) -> int | None:
    """Pixels in a width's or height's attribute or style; None for shares and other words."""
    found = _SIZE.match(attribute) or _STYLES[name].search(style)
    return int(found[1]) if found else None


def reason_of_size(width: int | None, height: int | None, rules: ImageRules) -> str | None:
    """Why an image of this size is left out; None where it stays."""
    sides = [side for side in (width, height) if side is not None]
    if any(side < rules.min_side for side in sides):
        return f"image: a side under {rules.min_side} pixels"
    if len(sides) == 2 and max(sides) > rules.max_aspect * min(sides):
        return f"image: longer than {rules.max_aspect:g} times its breadth"
    return None


def widest(srcset: str) -> tuple[float, str]:
    """The address with the greatest width of a srcset, or the greatest density; (0, "") where there is none."""
    return max(_candidates(srcset), key=lambda one: one[0], default=(0.0, ""))


def _candidates(srcset: str) -> Iterator[tuple[float, str]]:
    """(width, address); a density of n counts as n."""
    at = 0
    for _ in range(_MAX_CANDIDATES):
        found = _CANDIDATE.match(srcset, at)
        if found is None:
            return
        at = found.end()
        address = found[1]
        if address.endswith(","):
            yield 1.0, address.rstrip(",")
            continue
        end = srcset.find(",", at)
        descriptor = _DESCRIPTOR.match(srcset[at : end if end >= 0 else len(srcset)])
        yield float(descriptor[1]) if descriptor else 1.0, address
        at = end + 1 if end >= 0 else len(srcset)
