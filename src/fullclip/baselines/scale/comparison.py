"""CLIP's accuracy by the share of the pairs that it learns from, and by the size of its batches, at one number of images."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from fullclip.baselines.learning.curve import curve, described
from fullclip.baselines.learning.pairs import Pairs, Question
from fullclip.baselines.learning.settings import Settings
from fullclip.baselines.results.parts import Part, completed
from fullclip.baselines.results.records import Row
from fullclip.baselines.ways.methods import METHODS, vocabularies
from fullclip.core.config import nearest, to_dict

METHOD = "contrastive"
DEFAULTS: Mapping[str, tuple[int | float, ...]] = {"share": (0.1, 0.3, 1.0), "batch_size": (32, 128, 512)}


@dataclass(frozen=True, kw_only=True, order=True)
class Point:
    """What one run learns from: a share of the pairs, in batches of so many."""

    share: float
    batch_size: int


def read_varied(given: Sequence[str]) -> dict[str, tuple[int | float, ...]]:
    """`share=0.1,1` and `batch_size=32,64` as numbers, two of each or more; the defaults of both where nothing is given.
    ValueError for anything else.
    """
    found = dict[str, tuple[int | float, ...]]()
    for text in given:
        name, _, values = text.partition("=")
        if name not in DEFAULTS:
            raise ValueError(f"--vary {text}: nothing named {name!r} can be varied{nearest(name, DEFAULTS)}")
        try:
            found[name] = tuple(float(value) for value in values.split(","))
        except ValueError:
            raise ValueError(f"--vary {text}: write numbers, such as {name}={_listed(DEFAULTS[name])}") from None
        if len(set(found[name])) < 2:
            raise ValueError(f"--vary {text}: two numbers at least, such as {name}={_listed(DEFAULTS[name])}")
        if name == "share" and not all(0 < value <= 1 for value in found[name]):
            raise ValueError(f"--vary {text}: shares are above 0 and at most 1, such as share={_listed(DEFAULTS['share'])}")
        if name == "batch_size" and not all(value >= 2 and value == int(value) for value in found[name]):
            raise ValueError(
                f"--vary {text}: batches have 2 pairs or more, such as batch_size={_listed(DEFAULTS['batch_size'])}"
            )
    return found or dict(DEFAULTS)


def _listed(values: Sequence[int | float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def points(varied: Mapping[str, Sequence[int | float]], settings: Settings) -> list[Point]:
    """One run for each value, all else as in the settings and with all pairs; each run once."""
    usual = Point(share=1.0, batch_size=settings.batch_size)
    shares = [replace(usual, share=share) for share in varied.get("share", ())]
    return list(dict.fromkeys([*shares, *(replace(usual, batch_size=int(size)) for size in varied.get("batch_size", ()))]))


def compare_scale(
    pairs: Pairs,
    question: Question,
    out: Path,
    settings: Settings,
    *,
    shards: Sequence[str],
    varied: Mapping[str, Sequence[int | float]],
    seeds: Sequence[int],
    device: torch.device,
) -> Iterator[tuple[Row, ...]]:
    """The rows of results.jsonl in `out`, as `curve` gives them, with what each run learned from, after each run and at the
    end; what is there already is not learned again. ValueError for a folder of another comparison.
    """

    def made(part: Part) -> list[Row]:
        point = Point(share=part["share"], batch_size=part["batch_size"])
        return run_point(point, pairs, question, settings, seed=part["seed"], device=device)

    parts = [{**to_dict(point), "seed": seed} for seed in seeds for point in points(varied, settings)]
    yield from completed(out, described(shards, pairs, question, settings), parts, made)


def run_point(
    point: Point, pairs: Pairs, question: Question, settings: Settings, *, seed: int, device: torch.device
) -> list[Row]:
    """The rows of one run. Its vocabulary is that of its share of the pairs."""
    own, part = replace(settings, batch_size=point.batch_size), pairs.part(point.share)
    way = METHODS[METHOD].build(own, vocabularies(part, own), seed).to(device)
    return [{**to_dict(point), **row} for row in curve(way, part, [question], own, method=METHOD, seed=seed)]


def last_accuracies(rows: Sequence[Row], name: str, usual: Point) -> dict[int | float, np.ndarray]:
    """{value of `name`: the last accuracy of each seed}, of the runs that are as usual but for it, ascending."""
    other = "batch_size" if name == "share" else "share"
    found: dict[int | float, dict[int, float]] = {}
    for row in rows:
        if row[other] == getattr(usual, other):
            found.setdefault(row[name], {})[row["seed"]] = row["value"]  # the last of a run's rows stays
    return {value: np.array(list(found[value].values())) for value in sorted(found)}
