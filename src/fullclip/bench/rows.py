"""A line of the table: what was measured, ours, another's, the ratio, and the bar where there is one. Measures nothing."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Better = Literal["more", "less", "neither"]


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What a figure is asked to reach: a ratio, a value that ours is not to exceed or not to fall below, or several of them."""

    ratio: float | None = None
    at_most: float | None = None
    at_least: float | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure: `what` in `unit`. ours, theirs: a value of each round, in turn; theirs is empty where `beside` is not here
    (`note` says why) or where there is nobody to compare with. better: which of two values wins, or neither. cosine: the lowest
    of our embeddings with theirs, where both embed the same.
    """

    part: str
    what: str
    unit: str
    ours: tuple[float, ...]
    beside: str = ""
    theirs: tuple[float, ...] = ()
    better: Better = "more"
    bar: Bar | None = None
    cosine: float | None = None
    note: str = ""
    failed: bool = False

    def best(self, values: tuple[float, ...]) -> float:
        """The best of some rounds."""
        return min(values) if self.better == "less" else max(values)

    def worst(self, values: tuple[float, ...]) -> float:
        """The worst of some rounds."""
        return max(values) if self.better == "less" else min(values)

    @property
    def ratio(self) -> float | None:
        """How many times as good as the other's best our best is; None where there is no other."""
        if not self.ours or not self.theirs or self.better == "neither":
            return None
        ours, theirs = self.best(self.ours), self.best(self.theirs)
        return theirs / ours if self.better == "less" else ours / theirs

    @property
    def met(self) -> bool | None:
        """Whether the bar is reached; None where there is none, or not all of what it asks about was measured."""
        if self.bar is None or not self.ours or (self.bar.ratio is not None and self.ratio is None):
            return None
        own, low, high = self.best(self.ours), self.bar.at_least, self.bar.at_most
        enough = self.bar.ratio is None or (self.ratio is not None and self.ratio >= self.bar.ratio)
        return enough and (high is None or own <= high) and (low is None or own >= low)

    def as_json(self) -> dict[str, Any]:
        """For a program: all rounds, unrounded."""
        bar = None if self.bar is None else {**asdict(self.bar), "met": self.met}
        return {
            "part": self.part,
            "what": self.what,
            "unit": self.unit,
            "better": self.better,
            "ours": self._side(self.ours),
            "beside": self.beside or None,
            "theirs": self._side(self.theirs),
            "ratio": self.ratio,
            "bar": bar,
            "cosine": self.cosine,
            "note": self.note,
            "failed": self.failed,
        }

    def _side(self, values: tuple[float, ...]) -> dict[str, Any] | None:
        return {"best": self.best(values), "rounds": list(values)} if values else None

    def cells(self) -> tuple[str, ...]:
        """For people: what, ours, who else, theirs, the ratio, whether the bar is met."""
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        missing = "–" if self.beside else ""
        ours = self._shown(self.ours) or "–"
        return f"{self.what}, {self.unit}", ours, self.beside, self._shown(self.theirs) or missing, ratio, self._verdict()

    def _shown(self, values: tuple[float, ...]) -> str:
        if len(values) < 2:
            return "".join(number(value, self.unit) for value in values)
        return f"{number(self.best(values), self.unit)} ({number(self.worst(values), self.unit)})"

    def asked(self) -> str:
        """The bar in words; empty where there is none."""
        if self.bar is None:
            return ""
        value = [] if self.bar.at_most is None else [f"at most {self.bar.at_most:g} {self.unit}"]
        value += [] if self.bar.at_least is None else [f"at least {self.bar.at_least:g} {self.unit}"]
        return " and ".join(value + ([] if self.bar.ratio is None else [f"a ratio of at least {self.bar.ratio:g}"]))

    def _verdict(self) -> str:
        return {True: "met", False: "missed", None: ""}[self.met]


def number(value: float, unit: str) -> str:
    """A value as people read it: three digits that say something; cosines with the five that do."""
    if unit.endswith("cosine"):
        return f"{value:.5f}"
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.3f}"
