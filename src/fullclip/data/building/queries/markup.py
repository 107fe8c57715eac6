"""Wiki markup -> plain text, in time that grows with the text's length whatever is in it.

mwparserfromhell reads links, headings and entities as MediaWiki does, but goes back over the text for everything that opens and
is never closed: 5,000 times "{{a|" take it 9 seconds, and ten times as many a hundred times as long. So what shows no text
(templates, references, files) is taken out before, and with it whatever has no counterpart.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field

from fullclip.core.extras import require


def _words(line: str) -> frozenset[str]:
    return frozenset(line.split())


_MAX_DEPTH = 20
_HIDDEN_ELEMENTS = _words(
    "ref references math chem ce gallery timeline score syntaxhighlight source code pre nowiki graph imagemap mapframe maplink "
    "templatedata hiero inputbox style script"
)
_BREAKING = _words("br p div li ul ol dl dd dt td th tr table blockquote center hr h1 h2 h3 h4 h5 h6")
_INTERLANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]+)*$|simple$")
_ATTRIBUTES = r"(?:[^|!=\[\]{}<>\n]{1,200}=[^|\[\]{}<>\n]{0,500}\|(?!\|))?"
_TOKEN = re.compile(
    rf"""
    (?P<comment><!--.*?(?:-->|\Z))
    | (?P<element></?(?P<name>[a-zA-Z][a-zA-Z0-9]*)(?P<attributes>[^<>]*)>)
    | (?P<template>\{{\{{) | (?P<template_end>\}}\}})
    | (?P<table>^[ \t:]*\{{\|[^\n]*) | (?P<table_end>^[ \t]*\|\}}(?!\}}))
    | (?P<row>^[ \t]*\|-[^\n]*) | (?P<cell>^[ \t]*(?:\|\+|[|!]){_ATTRIBUTES}) | (?P<next_cell>(?:\|\||!!){_ATTRIBUTES})
    | (?P<link>\[\[) | (?P<link_end>\]\])
    | \[(?:[a-zA-Z]{{2,10}}:)?//[^\s\[\]<>{{}}]*[ \t]*(?P<label>[^\[\]<>{{}}\n]*)\]
    | (?P<address>\b(?:https?|ftp)://[^\s\[\]<>{{}}|]*)
    | (?P<quotes>'{{2,}}) | (?P<switch>__[A-Z]+__) | (?P<list>^[ \t]*[*\#:;]+ | ^-{{4,}})
    | (?P<single>[\[\]{{}}<])
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


class MarkupError(Exception):
    """The parser could not read a page."""


@dataclass(slots=True)
class _Frame:
    """Something that was opened, and what has come since."""

    kind: str
    pieces: list[str] = field(default_factory=list)
    has_link: bool = False


def plain_text(markup: str, hidden: Collection[str]) -> str:
    """The text that a reader sees, without templates, references, files and addresses; `hidden`: namespaces of files and
    categories, in small letters. MarkupError where the parser fails.
    """
    parser = require("mwparserfromhell", extra="data")
    try:
        return str(parser.parse(_balanced(markup, hidden), skip_style_tags=True).strip_code(normalize=True, collapse=False))
    except (parser.parser.ParserError, RecursionError, ValueError) as error:
        raise MarkupError(str(error)) from None


def _balanced(markup: str, hidden: Collection[str]) -> str:
    """The markup without what shows no text, and without what was opened and not closed, or the other way round."""
    stack = [_Frame("page")]
    at = 0
    for found in _TOKEN.finditer(markup):
        if found.start() > at:
            stack[-1].pieces.append(markup[at : found.start()])
        at = found.end()
        kind = found.lastgroup or ""
        if kind == "element":
            _take_element(stack, found["name"].lower(), found[0])
        elif kind in ("template", "table", "link"):
            _open(stack, kind)
        elif kind.endswith("_end"):
            _close(stack, kind.removesuffix("_end"), hidden)
        elif kind in ("row", "cell", "next_cell"):
            stack[-1].pieces.append(found[0] if stack[-1].kind == "link" else "\n")
        elif kind == "label":
            stack[-1].pieces.append(found["label"])
        elif kind in ("single", "address"):
            stack[-1].pieces.append(" ( ")  # no word, and between what stands before and behind
    stack[-1].pieces.append(markup[at:])
    _flatten(stack, 1)
    return "".join(stack[0].pieces)


def _take_element(stack: list[_Frame], name: str, tag: str) -> None:
    if name in _HIDDEN_ELEMENTS:
        if tag.startswith("</"):
            _close(stack, name, ())
        elif not tag.endswith("/>"):
            _open(stack, name)
    elif name in _BREAKING:
        stack[-1].pieces.append("\n")


def _open(stack: list[_Frame], kind: str) -> None:
    if len(stack) <= _MAX_DEPTH:
        stack.append(_Frame(kind))


def _close(stack: list[_Frame], kind: str, hidden: Collection[str]) -> None:
    """Close the innermost frame of this kind; those within it were never closed."""
    place = next((place for place in range(len(stack) - 1, 0, -1) if stack[place].kind == kind), 0)
    if place == 0:
        return
    _flatten(stack, place + 1)
    frame = stack.pop()
    if kind == "table":
        stack[-1].pieces += ["\n", *frame.pieces, "\n"]
        stack[-1].has_link |= frame.has_link
    elif kind == "link":
        text = "".join(frame.pieces)
        if not _shows_nothing(text, hidden):
            stack[-1].pieces.append(text if frame.has_link else f"[[{text}]]")
            stack[-1].has_link = True


def _flatten(stack: list[_Frame], place: int) -> None:
    """What is in the frames from `place` on belongs to the one before."""
    for frame in stack[place:]:
        stack[place - 1].pieces += frame.pieces
        stack[place - 1].has_link |= frame.has_link
    del stack[place:]


def _shows_nothing(link: str, hidden: Collection[str]) -> bool:
    """Whether a link is a file, a category, or the same article elsewhere."""
    target, _, label = link.partition("|")
    prefix, colon, _ = target.partition(":")
    prefix = prefix.strip()
    return bool(colon) and (prefix.lower() in hidden or (not label and _INTERLANGUAGE.match(prefix) is not None))
