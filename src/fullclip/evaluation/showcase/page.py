"""A run as one HTML page that needs nothing beside it: numbers, the loss curve, pictures with what was said of them."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2

from fullclip.core.extras import require
from fullclip.core.storage import atomic_file
from fullclip.core.types import Hit, Result
from fullclip.preprocess.image import image_extension


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A picture, what was answered best first, and, where there is one, the right answer's key."""

    image: bytes
    caption: str
    hits: tuple[Hit, ...]
    right: str | None = None


@dataclass(frozen=True, kw_only=True)
class Page:
    """What the page shows, from top to bottom."""

    title: str
    summary: str
    facts: Mapping[str, str]
    results: Sequence[Result]
    chances: Sequence[float]
    metrics: Sequence[Mapping[str, Any]]
    words: Sequence[tuple[str, Sequence[Answered]]]
    pictures: Sequence[Answered]


def write_page(page: Page, path: Path) -> None:
    """Write the page; it appears when it is whole."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["data_url"] = _data_url
    template = environment.from_string(files("fullclip").joinpath("assets/showcase.html").read_text(encoding="utf-8"))
    html = template.render(page=page, curve=_loss_curve(page.metrics))
    with atomic_file(path, "w") as file:
        file.write(html)


def _data_url(image: bytes) -> str:
    kind = image_extension(image, name="a picture of the page").replace("jpg", "jpeg").replace("tif", "tiff")
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def _loss_curve(metrics: Sequence[Mapping[str, Any]]) -> str:
    """The loss by steps, as an SVG element."""
    figure = require("matplotlib.figure", extra="eval").Figure(figsize=(7.2, 2.8), layout="constrained")
    axes = figure.subplots()
    curve = [(line["step"], line["loss"]) for line in metrics if "loss" in line]  # the rest are evaluations and events
    axes.plot(*zip(*curve, strict=True), color="#2f6f8f", linewidth=1.6)
    axes.set_xlabel("step")
    axes.set_ylabel("contrastive loss")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True)
    return out.getvalue()[out.getvalue().index("<svg") :]
