"""Wikimedia's page-view files -> how often each title was asked for.

Lines of hourly files are `domain title views bytes`, of complete ones `wiki title page-id client views hours`.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from fullclip.data.building.queries.streams import Stream
from fullclip.data.building.queries.words import as_query, has_word
from fullclip.data.drops import Drops

_MAX_LINE = 1 << 14
_MAX_DIGITS = 12
_MAX_TITLE = 1024
_KINDS = (
    "media special user wikipedia wp project file image mediawiki template help category portal draft module timedtext book "
    "topic gadget"
)
_NAMESPACES = frozenset({"talk"} | {kind for name in _KINDS.split() for kind in (name, f"{name} talk")})


def count_titles(stream: Stream, language: str, drops: Drops, *, at_once: int) -> Iterator["Counter[str]"]:
    """The views of titles of one language's Wikipedia (en: also its mobile pages), as queries, whenever `at_once` of them
    have come together, and at the end. ValueError where no line is one of a page-view file.
    """
    name = stream.name
    wanted = {f"{language}{end}".encode() for end in ("", ".m", ".zero", ".z", ".m.z", ".wikipedia")}
    counts, is_one = Counter[str](), False
    for number, line in enumerate(stream.lines(_MAX_LINE), 1):
        fields = line.split(b" ")
        views = _views(fields)
        if views is None:
            if line:
                drops.drop("malformed line of page views", f"{name}:{number}")
            continue
        is_one = True
        if fields[0] not in wanted:
            continue
        title, reason = _title(fields[1])
        if reason is not None:
            drops.drop(reason, f"{name}:{number}")
            continue
        counts[title] += views
        if len(counts) >= at_once:
            yield counts
            counts = Counter()
    if stream.torn:
        drops.drop("rest of a torn file of page views", f"{name}: {stream.torn}")
    if not is_one:
        raise ValueError(f"{stream.path}: no page views in it; give Wikimedia's pageviews files (domain title views bytes)")
    yield counts


def _views(fields: list[bytes]) -> int | None:
    """How often, whichever kind of line it is; None where it is none."""
    if not 3 <= len(fields) <= 6:
        return None
    digits = fields[2] if len(fields) <= 4 else fields[-2]
    return int(digits) if digits.isdigit() and len(digits) <= _MAX_DIGITS else None


def _title(raw: bytes) -> tuple[str, str | None]:
    """The title as a query; or why it is none."""
    if len(raw) > _MAX_TITLE:
        return "", "title that is too long"
    try:
        title = raw.decode()
        if "%" in title:
            title = _unquoted(title)
    except UnicodeDecodeError:
        return "", "title that is no UTF-8"
    query = as_query(title.replace("_", " "))
    if any(unicodedata.category(character) == "Cc" for character in query):
        return "", "title with a control character"
    prefix, colon, _ = query.partition(":")
    if colon and prefix.strip() in _NAMESPACES:
        return "", "title of another namespace"
    return (query, None) if has_word(query) else ("", "title without a word")


def _unquoted(title: str) -> str:
    """Some are written as in addresses."""
    try:
        return unquote_to_bytes(title).decode()
    except UnicodeDecodeError:
        return title
