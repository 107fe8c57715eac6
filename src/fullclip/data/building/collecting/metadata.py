"""Pages as Common Crawl's WAT files tell them: a record's JSON in, a `Page` out."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fullclip.data.building.collecting.markup import Start, mended
from fullclip.data.building.collecting.pages import Page, PageReader


def read_metadata(block: bytes, *, max_images: int) -> tuple[str, Page] | None:
    """(the page's address, the page) of a record about a response with HTML; None for records about others.

    ValueError where it is no JSON, or none that tells of a record.
    """
    try:
        told = json.loads(block)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    envelope = _part(told, "Envelope")
    if not envelope:
        raise ValueError("no envelope in it")
    address = _word(_part(envelope, "WARC-Header-Metadata"), "WARC-Target-URI")
    response = _part(envelope, "Payload-Metadata", "HTTP-Response-Metadata")
    content = _part(response, "HTML-Metadata")
    if not content or not address:
        return None
    head = _part(content, "Head")
    reader = PageReader(address, max_images)
    for tag in _tags(head, _list(content, "Links")):
        reader.start(tag)
    reader.title = _word(head, "Title")
    reader.headers(_words(_part(response, "Headers")))
    return address, reader.page()


def _tags(head: Mapping[str, Any], links: Iterable[Mapping[str, Any]]) -> Iterator[Start]:
    """The tags that the record was made from, as far as it tells of them."""
    if base := _word(head, "Base"):
        yield Start("base", {"href": base})
    for meta in _list(head, "Metas"):
        yield Start("meta", _words(meta))
    for link in _list(head, "Link"):
        yield Start("link", {**_words(link), "href": _word(link, "url")})
    for link in links:
        path, words = _word(link, "path").upper(), _words(link)
        if path.startswith("IMG@"):
            yield Start("img", {**words, "src": words.get("url", "")})
        elif path == "A@/HREF":
            yield Start("a", {"href": words.get("url", ""), "rel": words.get("rel", "")})


def _part(found: Any, *names: str) -> Mapping[str, Any]:
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _list(found: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = found.get(name)
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _word(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name)
    return mended(value) if isinstance(value, str) else ""


def _words(found: Mapping[str, Any]) -> dict[str, str]:
    return {name.lower(): mended(str(value)) for name, value in found.items() if isinstance(value, str | int)}
