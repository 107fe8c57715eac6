"""A Wikipedia dump (MediaWiki's XML export, compressed or not) -> its articles, page by page, in bounded memory.

Articles are pages of namespace 0 that are no redirects. Markup is left as it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from fullclip.data.building.queries.streams import Stream
from fullclip.data.building.queries.xml import Parsing
from fullclip.data.drops import Drops

MAX_CHARACTERS = 2 << 20  # MediaWiki itself takes no page of more bytes
_MAX_TITLE, _MAX_NAMESPACES = 1024, 1000
_KEPT = ("title", "ns", "text", "model", "redirect")
_FILES, _CATEGORIES = "6", "14"


@dataclass(frozen=True, kw_only=True)
class Page:
    """An article: its title, and its text in wiki markup."""

    title: str
    text: str


class Dump:
    """The articles of a dump, once through. What is no article, or torn, goes to `drops`.

    hidden: the names of the namespaces whose links show no text, as the dump's first lines have them, in small letters.
    num_pages: how many pages of whatever kind were read.
    """

    def __init__(self, path: str, drops: Drops) -> None:
        self._path, self._drops = path, drops
        self.stream = Stream(path)
        self.hidden = {"file", "image", "category"}
        self.num_pages = 0
        self._namespaces: dict[str, str] = {}  # name -> number
        self._key = ""
        self._fields: dict[str, list[str]] | None = None  # of the page that is being read
        self._into: list[str] | None = None
        self._num_characters = 0
        self._ready: list[Page] = []

    def __iter__(self) -> Iterator[Page]:
        """ValueError where the file is no dump."""
        parsing = Parsing(self.stream, root="mediawiki", start=self._start, end=self._end, characters=self._characters)
        for _ in parsing:
            yield from self._ready
            self._ready.clear()
        if parsing.problem is not None and not self.num_pages:
            raise ValueError(f"{self._path}: no Wikipedia dump ({parsing.problem}); give a pages-articles XML file")
        if parsing.problem is not None:
            self._drops.drop("rest of a torn dump", f"{self.stream.name}: {parsing.problem}")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "page":
            self._fields, self._num_characters = {}, 0
        elif name == "namespace":
            self._key, self._into, self._num_characters = attributes.get("key", ""), [], 0
        elif name in _KEPT and self._fields is not None:
            self._into = self._fields[name] = []  # of several revisions the last
            self._num_characters = 0 if name == "text" else self._num_characters

    def _characters(self, text: str) -> None:
        if self._into is None:
            return
        self._num_characters += len(text)
        if self._num_characters <= MAX_CHARACTERS:
            self._into.append(text)

    def _end(self, name: str) -> None:
        if name == "namespace" and self._into is not None and len(self._namespaces) < _MAX_NAMESPACES:
            self._add_namespace("".join(self._into).lower())
        elif name == "page" and self._fields is not None:
            self.num_pages += 1
            self._take({field: "".join(parts) for field, parts in self._fields.items()})
            self._fields = None
        self._into = None

    def _add_namespace(self, name: str) -> None:
        if len(name) > _MAX_TITLE:
            return
        self._namespaces[name] = self._key
        if self._key in (_FILES, _CATEGORIES):
            self.hidden.add(name)

    def _take(self, fields: dict[str, str]) -> None:
        reason = self._reason_against(fields)
        if reason is None:
            self._ready.append(Page(title=fields["title"], text=fields["text"]))
        else:
            self._drops.drop(reason, f"{self.stream.name}: {fields.get('title', '')[:100]!r}")

    def _reason_against(self, fields: dict[str, str]) -> str | None:
        title, text = fields.get("title", ""), fields.get("text", "")
        prefix, colon, _ = title.partition(":")
        # dumps of 2010 and before have no <ns>
        number = fields.get("ns") or (self._namespaces.get(prefix.lower(), "0") if colon else "0")
        if number.strip() != "0":
            return "page of another namespace"
        if "redirect" in fields or text[:9].lower() == "#redirect":
            return "redirect"
        if not title.strip() or len(title) > _MAX_TITLE:
            return "page without a title"
        if fields.get("model", "wikitext") != "wikitext":
            return "page that is no wikitext"
        if self._num_characters > MAX_CHARACTERS:
            return f"page of more than {MAX_CHARACTERS:,} characters"
        return None if text.strip() else "page without text"
