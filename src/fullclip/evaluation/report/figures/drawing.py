"""A figure as an SVG element whose colours are the page's, so that it can be read in light and in dark."""

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from fullclip.core.extras import require

# matplotlib wants colours that it knows; these stand for the page's own, and are put in when the figure is drawn.
INK, SOFT, LINE, PAPER, GOOD, BAD = "#fe0001", "#fe0002", "#fe0003", "#fe0004", "#fe0005", "#fe0006"
_NAMES = {"#fe0001": "ink", "#fe0002": "soft", "#fe0003": "line", "#fe0004": "paper", "#fe0005": "good", "#fe0006": "bad"}
NUM_COLOURS = 8
_MARKERS = "osD^vPX<"
WIDTH = 6.6

_SETTINGS = {
    "axes.axisbelow": True,
    "axes.edgecolor": SOFT,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "fullclip",
    "text.color": INK,
    "text.parse_math": False,
    "text.usetex": False,
    "xtick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.color": SOFT,
    "ytick.labelcolor": INK,
}


def colour(place: int) -> str:
    """A model's colour, the same in every figure."""
    return f"#fe01{place % NUM_COLOURS:02x}"


def marker(place: int) -> str:
    """Where colours begin again, markers differ."""
    return _MARKERS[(place // NUM_COLOURS + place) % len(_MARKERS)]


def draw(
    paint: Callable[[np.ndarray], None], *, width: float = WIDTH, height: float, rows: int = 1, columns: int = 1, **layout: Any
) -> str:
    """An SVG element of `rows` x `columns` axes, which `paint` is given as an array of that shape; sizes in inches."""
    matplotlib = require("matplotlib", extra="eval")
    figures = require("matplotlib.figure", extra="eval")
    out = io.StringIO()
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        # The browser draws the letters, with fonts of its own.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = figures.Figure(figsize=(width, height), layout="constrained")
        paint(figure.subplots(rows, columns, squeeze=False, **layout))
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _coloured(out.getvalue())


def _coloured(svg: str) -> str:
    svg = svg[svg.index("<svg") :].replace("<svg", '<svg class="chart"', 1)
    svg = re.sub(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"#fe000[1-6]", lambda found: f"var(--{_NAMES[found.group()]})", svg)
    svg = re.sub(r"#fe01([0-9a-f]{2})", lambda found: f"var(--series-{int(found.group(1), 16)})", svg)
    needed = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found.group() if found.group(1) in needed else "", svg)
    return re.sub(r"\n\s*", "\n", svg).strip()


def bare(axes: Any, *, grid: str | None = None) -> None:
    """The axes with grid lines across one direction only, "x" or "y", and no ticks that stick out."""
    if grid is not None:
        axes.grid(visible=False, axis="y" if grid == "x" else "x")
    axes.tick_params(length=0)


def legend_above(axes: Any, *, columns: int = 3) -> None:
    """The legend above the axes, where nothing can be below it; none where there is one thing to tell."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1:
        axes.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(0, 1.01),
            ncols=min(columns, len(labels)),
            borderaxespad=0,
            columnspacing=1.4,
            handletextpad=0.5,
        )
