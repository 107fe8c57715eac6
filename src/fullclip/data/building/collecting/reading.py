"""A partition of each kind read into rows."""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import quote, urljoin

from fullclip.core.folders import files_below
from fullclip.core.storage import exists, open_file
from fullclip.data.building.collecting.addresses import FOLDER, AddressError, absolute, path_in_folder
from fullclip.data.building.collecting.archives import Record, read_archive
from fullclip.data.building.collecting.messages import is_html, read_message, to_text
from fullclip.data.building.collecting.metadata import read_metadata
from fullclip.data.building.collecting.pages import Page, Picture, read_page
from fullclip.data.building.collecting.pairs import Collector, Locate
from fullclip.data.building.collecting.settings import Collecting, ImageRules
from fullclip.data.building.collecting.works import PAGES, absolute_folder, name_of, sidecar_of, used_files
from fullclip.data.building.rows import Work
from fullclip.data.drops import Drops

_MAX_SIDECAR = 1 << 20


@dataclass(kw_only=True)
class Read:
    """What reading a partition needs and counts."""

    work: Work
    settings: Collecting
    drops: Drops
    counts: Counter[str] = field(default_factory=Counter)

    def collector(self, locate: Locate) -> Collector:
        return Collector(self.settings, locate, self.drops)


def read_warc(read: Read) -> Collector:
    """Rows of the pages in a WARC file."""
    collector = read.collector(partial(absolute, rules=read.settings.images))
    kinds = frozenset({"response", "resource", "revisit"})
    for record in read_archive(read.work.path, read.drops, read.settings.limits, kinds=kinds):
        read.counts["records"] += 1
        page = _page_of(record, read)
        if page is not None:
            _count(read, page)
            collector.add_page(page, record.address, (name_of(read.work.path), read.work.file, record.number))
    return collector


def _page_of(record: Record, read: Read) -> Page | None:
    """The page in a record; None, and counted, where it holds none."""
    limits = read.settings.limits
    headers, body, is_cut = dict[str, str](), record.block, record.is_cut
    if record.kind == "revisit":
        read.drops.drop("page: a revisit, without its content", record.address)
        return None
    content_type = record.content_type
    if record.kind == "response":
        message = read_message(record.block, max_bytes=limits.max_page_bytes)
        if message is None or not 200 <= message.status < 300:
            reason = "page: not an HTTP response" if message is None else "page: an HTTP status other than 2xx"
            read.drops.drop(reason, record.address)
            return None
        headers, body, is_cut = dict(message.headers), message.body, is_cut or message.is_cut
        content_type = headers.get("content-type", "")
    if not is_html(content_type, body):
        read.drops.drop("page: not HTML", f"{record.address} ({content_type[:100]})")
        return None
    if is_cut:
        read.drops.drop(f"page: the rest after {limits.max_page_bytes:,} bytes", record.address)
    return read_page(to_text(body, content_type), record.address, headers, max_images=limits.max_images)


def read_wat(read: Read) -> Collector:
    """Rows of the pages that a WAT file tells of."""
    collector = read.collector(partial(absolute, rules=read.settings.images))
    for record in read_archive(read.work.path, read.drops, read.settings.limits, kinds=frozenset({"metadata"})):
        read.counts["records"] += 1
        try:
            found = read_metadata(record.block, max_images=read.settings.limits.max_images)
        except ValueError as error:
            read.drops.drop("page: not read (broken JSON)", f"{record.address} ({error})")
            continue
        if found is not None:
            address, page = found
            _count(read, page)
            collector.add_page(page, address, (name_of(read.work.path), read.work.file, record.number))
    return collector


def read_pages(read: Read) -> Collector:
    """Rows of a page, or of the pages of a folder. Their links are followed below the folder alone, or to the web."""
    work, base = read.work, read.settings.base
    folder = work.path if work.end else absolute_folder(work.path)
    known = frozenset(files_below(folder)) if work.end else None
    paths = used_files(sorted(known))[work.start : work.end] if known is not None else [work.path]
    collector = read.collector(_Below(folder, known, read.settings.images))
    for path in paths:
        name = path.removeprefix(f"{folder}/")
        place = urljoin(base or FOLDER, quote(name, errors="surrogateescape"))
        shown = path.encode("utf-8", "replace").decode()
        body = _read(path, read.settings.limits.max_page_bytes, read.drops)
        page = read_page(to_text(body), place, max_images=read.settings.limits.max_images)
        _count(read, page)
        collector.add_page(page, place if base else shown, (name_of(folder), work.file, name))
    return collector


class _Below:
    """Addresses of a folder's pages: of the web, or of a file that is there below the folder."""

    def __init__(self, folder: str, known: frozenset[str] | None, rules: ImageRules) -> None:
        self._folder, self._known, self._rules = folder, known, rules

    def __call__(self, base: str, written: str) -> str:
        address = absolute(base, written, self._rules)
        below = path_in_folder(address)
        if below is None:
            return address
        path = f"{self._folder}/{below}"
        if (
            "\0" in path
            or path != path.encode("utf-8", "replace").decode()
            or ".." in below.split("/")
            or not (exists(path) if self._known is None else path in self._known)
        ):
            raise AddressError("image: not in the folder")
        return path


def read_images(read: Read) -> Collector:
    """Rows of images with their texts beside them, one a line."""
    work = read.work
    known = frozenset(files_below(work.path))
    collector = read.collector(lambda _, path: path)
    for path in used_files(sorted(known))[work.start : work.end]:
        shown = path.encode("utf-8", "replace").decode()
        if shown != path:
            read.drops.drop("image: a name that is not in UTF-8", shown)
            continue
        text = sidecar_of(path)
        words = to_text(_read(text, _MAX_SIDECAR, read.drops)) if text in known else ""
        lines = tuple(("sidecar", line) for line in words.splitlines() if line.strip())
        name = path.removeprefix(f"{work.path}/")
        page = Page(base="", pictures=(Picture(address=path, texts=lines),))
        collector.add_page(page, "", (name_of(work.path), work.file, name))
    return collector


def is_folder_of_pages(folder: str) -> bool:
    """Whether a folder is read as one of pages."""
    return any(path.lower().endswith(PAGES) for path in files_below(folder))


def _read(path: str, size: int, drops: Drops) -> bytes:
    with open_file(path) as file:
        found: bytes = file.read(size + 1)
    if len(found) > size:
        drops.drop(f"page: the rest after {size:,} bytes", path.encode("utf-8", "replace").decode())
    return found[:size]


def _count(read: Read, page: Page) -> None:
    read.counts["pages"] += 1
    read.counts["images"] += len(page.pictures) + page.num_beyond
