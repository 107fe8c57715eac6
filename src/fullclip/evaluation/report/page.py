"""Sections as one HTML page that needs nothing beside it: no network, no script."""

import re
from collections.abc import Sequence
from importlib.resources import files
from itertools import count

import jinja2

from fullclip.evaluation.report.document import Folded, Link, Number, Picture, Points, Section, Table, Text

_KINDS = {
    Text: "text",
    Points: "points",
    Table: "table",
    Picture: "picture",
    Folded: "folded",
    Number: "number",
    Link: "link",
    str: "words",
}


def to_html(title: str, summary: Sequence[str], sections: Sequence[Section]) -> str:
    """The page; whatever texts hold is shown as text."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    figures = count(1)
    environment.filters["kind"] = lambda part: _KINDS[type(part)]
    environment.filters["own_ids"] = lambda svg: own_ids(svg, f"f{next(figures)}-")
    template = environment.from_string(_asset("report.html"))
    return template.render(title=title, summary=summary, sections=sections, style=_asset("report.css"))


def own_ids(svg: str, prefix: str) -> str:
    """A figure whose names no other figure of the page has."""
    return re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{prefix}", svg)


def _asset(name: str) -> str:
    return files("fullclip").joinpath("assets", name).read_text(encoding="utf-8")
