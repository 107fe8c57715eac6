"""Numbers as people read them: percent with one decimal, points with a sign, p-values."""

from collections.abc import Iterable

from fullclip.core.types import Result
from fullclip.evaluation.report.document import Number

DASH = "–"


def is_share(metric: str) -> bool:
    """Whether a metric is from 0 to 1, and shown in percent."""
    return not metric.startswith(("NLL", "shots"))


def percent(share: float) -> str:
    """0.7621 -> 76.2"""
    return _signed(100 * share, ".1f")


def points(difference: float) -> str:
    """0.021 -> +2.1, in percentage points."""
    return _signed(100 * difference, "+.1f")


def plain(value: float) -> str:
    """Three significant digits, trailing zeros kept; whole numbers from a hundred on."""
    return _signed(value, "#.3g" if abs(value) < 99.95 else ",.0f")


def between(interval: tuple[float, float], *, signed: bool = False) -> str:
    """(0.751, 0.773) -> 75.1 to 77.3"""
    show = points if signed else percent
    return f"{show(interval[0])} to {show(interval[1])}"


def number(result: Result, *, is_best: bool = False) -> Number:
    """A result as a cell: in percent where it is a share."""
    if is_share(result.metric):
        signed = result.metric.startswith("accuracy, all")
        value = points(result.value) if signed else percent(result.value)
        return Number(value=value, interval=between(result.interval, signed=signed), is_best=is_best)
    low, high = (plain(end) for end in result.interval)
    return Number(value=plain(result.value), interval=f"{low} to {high}", is_best=is_best)


def count(n: int) -> Number:
    return Number(value=f"{n:,}")


def counts(numbers: Iterable[int]) -> Number:
    """How many examples: one number, or several where models were asked of different ones."""
    return Number(value=" / ".join(f"{n:,}" for n in dict.fromkeys(numbers)))


def p_text(p_value: float) -> str:
    """'p = 0.012', 'p < 0.001'"""
    return f"p\N{NO-BREAK SPACE}{p_short(p_value)}"


def p_cell(p_value: float) -> Number:
    """A p-value in a table."""
    return Number(value=p_short(p_value).removeprefix("=\N{NO-BREAK SPACE}"))


def p_short(p_value: float) -> str:
    """'= 0.012', '< 0.001'"""
    if p_value < 0.001:
        return "<\N{NO-BREAK SPACE}0.001"
    return f"=\N{NO-BREAK SPACE}{p_value:.2f}" if p_value >= 0.1 else f"=\N{NO-BREAK SPACE}{p_value:.2g}"


def listed(names: Iterable[str], *, most: int = 12) -> str:
    """a, b and c; of many, the first ones and how many more."""
    every = list(names)
    if len(every) > most:
        return f"{', '.join(every[:most])} and {len(every) - most} more"
    return " and ".join(part for part in (", ".join(every[:-1]), every[-1] if every else "") if part)


def _signed(value: float, form: str) -> str:
    text = format(value, form)
    if text.startswith("-") and not text.strip("-0."):
        text = text.replace("-", "+" if form.startswith("+") else "", 1)
    return text.replace("-", "−") if "e" not in text else text
