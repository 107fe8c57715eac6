"""A picture of how many texts each query is in, before and after balancing: head and tail (as in MetaCLIP, Xu et al. 2023)."""

from typing import IO, Any

import numpy as np

from fullclip.core.extras import require

_MOST_POINTS = 2000


def draw_curve(before: np.ndarray, after: np.ndarray, *, cap: int, file: IO[bytes]) -> None:
    """A PNG of two panels: texts by a query's rank, and the share of all matches that the first queries have together."""
    matplotlib = require("matplotlib", extra="data")
    matplotlib.use("Agg")
    figure_of = require("matplotlib.figure", extra="data").Figure
    figure = figure_of(figsize=(10, 4), layout="constrained")
    ranks, shares = figure.subplots(1, 2)
    for counts, name, colour in ((before, "before", "#9aa3ad"), (after, "after", "#1f6feb")):
        ordered = np.sort(counts[counts > 0])[::-1]
        if not len(ordered):
            continue
        points = np.unique(np.geomspace(1, len(ordered), _MOST_POINTS).astype(np.int64))
        ranks.plot(points, ordered[points - 1], label=f"{name}: {int(counts.sum()):,} matches", color=colour, linewidth=2)
        together = np.cumsum(ordered) / ordered.sum()
        shares.plot(points, together[points - 1], label=name, color=colour, linewidth=2)
    ranks.axhline(cap, color="#d1495b", linewidth=1, linestyle="--", label=f"cap: {cap:,}")
    _dress(ranks, "texts that a query is in", log_y=True)
    _dress(shares, "share of all matches, added up", log_y=False)
    figure.savefig(file, format="png", dpi=120, metadata={"Software": None})


def _dress(axes: Any, title: str, *, log_y: bool) -> None:
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xscale("log")
    axes.set_xlabel("queries, the most frequent first")
    if log_y:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.02)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
