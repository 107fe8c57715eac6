"""HTML as tags and the texts between them: a string in, events out, in time that grows with its length alone.

A tree is not built: its parsers overflow the stack at deep nesting, which pages of strangers have. Follows the tokenizer of the
HTML standard (section 13.2.5), with scripting off, but for scripts within comments within scripts.
"""

import html
import re
from collections.abc import Iterator, Mapping
from html.entities import html5
from typing import NamedTuple, TypeAlias

_SPACE = " \\t\\n\\f\\r"
_QUOTED = rf"[^>\"'=]*[^>\"'={_SPACE}/][{_SPACE}]*=[{_SPACE}]*(?:\"[^\"]*\"|'[^']*')"
# A tag's slash, its name, and its rest where all its values are in quotes or none is; or what opens a comment.
_TAG = re.compile(rf"<(?:(/?)([a-zA-Z][^{_SPACE}/>]*)((?:{_QUOTED})*[^>\"']*>)?|[/!?])")
# The last alternative is a quote that is never closed.
_ATTRIBUTE = re.compile(
    rf"[{_SPACE}/]*([^{_SPACE}/>][^{_SPACE}/>=]*)(?:[{_SPACE}]*=[{_SPACE}]*(\"[^\"]*\"|'[^']*'|(?![\"'])[^{_SPACE}>]*|[\"']))?"
)
_REST = re.compile(rf"[{_SPACE}/]*>")
_COMMENT_END = re.compile(r"--!?>")
_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[a-zA-Z][a-zA-Z0-9]*(;|(?![a-zA-Z0-9=])))")
_RAW = ("script", "style", "xmp", "iframe", "noembed", "noframes", "textarea", "title")
_RAW_ENDS = {name: re.compile(rf"</{name}(?=[{_SPACE}/>])", re.IGNORECASE) for name in _RAW}
_SHOWN_RAW = ("title",)
_MAX_VALUE = 50_000
_SURROGATES = re.compile("[\ud800-\udfff]")


class Start(NamedTuple):
    """A tag that opens an element. attributes: with their references as written; of one named twice the first."""

    name: str
    attributes: Mapping[str, str] = {}  # a tuple's default, which nobody changes

    def get(self, name: str) -> str:
        """An attribute as it is meant, or the beginning of a very long one; empty where it is not there."""
        value = self.attributes.get(name, "")[:_MAX_VALUE]
        return unescape_attribute(value) if "&" in value else value


class End(NamedTuple):
    """A tag that closes an element."""

    name: str


Event: TypeAlias = Start | End | str


def events(text: str, wanted: frozenset[str], breaks: frozenset[str] = frozenset()) -> Iterator[Event]:
    """The tags named in `wanted`, a space for each named in `breaks`, and what stands between any two tags as it is written; of
    scripts and styles nothing.
    """
    at, size = 0, len(text)
    while at < size:
        tag = _TAG.search(text, at)
        if tag is None:
            yield text[at:]
            return
        if tag.start() > at:
            yield text[at : tag.start()]
        at = tag.end()
        if tag[2] is None:
            at = _past_comment(text, tag.start())
            continue
        name = tag[2].lower()
        is_wanted = name in wanted
        attributes = dict[str, str]()
        if tag[3] is None or (is_wanted and not tag[1]):
            attributes, at = _attributes(text, tag.end(2))
        if at < 0:  # it is not finished, and so is none
            return
        if is_wanted:
            yield End(name) if tag[1] else Start(name, attributes)
        elif name in breaks:
            yield " "
        if not tag[1] and name in _RAW_ENDS:
            end = _RAW_ENDS[name].search(text, at)
            if name in _SHOWN_RAW:
                yield text[at : end.start() if end else size]
            at = end.start() if end else size
        elif name == "plaintext":
            return


def _past_comment(text: str, at: int) -> int:
    """Where a comment ends, or what the standard treats as one."""
    if not text.startswith("<!--", at):
        end = text.find(">", at)
        return len(text) if end < 0 else end + 1
    for short in ("<!-->", "<!--->"):
        if text.startswith(short, at):
            return at + len(short)
    found = _COMMENT_END.search(text, at + 4)
    return found.end() if found else len(text)


def _attributes(text: str, at: int) -> tuple[dict[str, str], int]:
    """A tag's attributes and where it ends; -1 where it never does."""
    found = dict[str, str]()
    while not (rest := _REST.match(text, at)):
        one = _ATTRIBUTE.match(text, at)
        value = (one[2] or "") if one else ""
        if one is None or value in ('"', "'"):
            return found, -1
        name = one[1].lower()
        if name not in found:
            found[name] = value[1:-1] if value[:1] in ('"', "'") else value
        at = one.end()
    return found, rest.end()


def unescape_attribute(value: str) -> str:
    """The references of an attribute's value resolved: one without its semicolon only where neither a letter, a digit nor =
    follows, for addresses have such (the standard, section 13.2.5.73).
    """
    return _REFERENCE.sub(_resolved, value)


def _resolved(match: re.Match[str]) -> str:
    written = match[0]
    return html.unescape(written) if written.startswith("&#") else html5.get(written[1:], written)


def mended(text: str) -> str:
    """A text that can be written as UTF-8: halves of characters, which JSON may hold, become U+FFFD."""
    return _SURROGATES.sub("\ufffd", text)
