"""What is collected from, told apart by name and content: archives, tables, pages, folders of pages or of images."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from fullclip.core.folders import files_below, names_in
from fullclip.core.storage import file_info, is_folder, is_remote
from fullclip.data.building.rows import PARTS, Work, files_of, partitions
from fullclip.data.tables import TABLE_ENDINGS

ARCHIVES = (".warc.gz", ".warc")
METADATA = (".wat.gz", ".wat")
PAGES = (".html", ".htm", ".xhtml")
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_FILES = (*METADATA, *ARCHIVES, *TABLE_ENDINGS)
_FILES_AT_ONCE = 2000


def works_of(inputs: Sequence[str]) -> list[Work]:
    """The partitions of all inputs, each of them once, in order. ValueError where an input is nothing that can be read."""
    found = list[Work]()
    names, seen = Counter[str](), set[str]()
    for pattern in inputs:
        for path in _paths(pattern):
            if path in seen:
                continue
            seen.add(path)
            name = name_of(path)
            # The number among the inputs of one name, so that keys depend on neither the other inputs nor the folder.
            found += [replace(work, number=len(found) + i, file=names[name]) for i, work in enumerate(_works(path))]
            names[name] += 1
    return found


def name_of(path: str) -> str:
    """The name of a file or a folder without the folder that it lies in."""
    return path.rstrip("/").rpartition("/")[2]


def _paths(pattern: str) -> list[str]:
    """The files that an input means, or the folder that it is."""
    if not pattern:
        raise ValueError("one of the inputs has an empty name; is a variable of your shell not set?")
    if is_folder(pattern):
        names = names_in(pattern)
        if PARTS in names or any(name.lower().endswith(_FILES) for name in names):
            return files_of([pattern], _endings(names))
        return [pattern.rstrip("/") if is_remote(pattern) else str(Path(pattern).absolute())]
    paths = files_of([pattern], (*_FILES, *PAGES))
    for path in paths:
        if not path.lower().endswith((*_FILES, *PAGES)):
            raise ValueError(
                f"{path}: not one of {', '.join((*ARCHIVES, *METADATA, *TABLE_ENDINGS, *PAGES))}, nor a folder of pages "
                "or of images with texts (a.jpg, a.txt)"
            )
    return paths


def _endings(names: Sequence[str]) -> list[str]:
    """Those that names have, for a folder may hold several kinds."""
    found = [ending for ending in _FILES if any(name.endswith(ending) for name in names)]
    return found or list(_FILES)


def _works(path: str) -> list[Work]:
    if path.lower().endswith(TABLE_ENDINGS):
        return partitions([path])
    if is_folder(path):
        return list(_parts_of_folder(path))
    info = file_info(path)
    return [Work(number=0, path=path, version=f"{info.num_bytes} {info.version}")]


def _parts_of_folder(folder: str) -> Iterator[Work]:
    infos = files_below(folder)
    used = used_files(list(infos))
    if not used:
        raise ValueError(f"{folder}: neither pages ({', '.join(PAGES)}), nor images with texts of their names (a.jpg, a.txt)")
    digest = blake2b(digest_size=12)
    for path in used:
        digest.update(
            f"{path[len(folder) :]}\0{infos[path].num_bytes}\0{infos[path].version}\0".encode("utf-8", "surrogateescape")
        )
    for start in range(0, len(used), _FILES_AT_ONCE):
        end = min(start + _FILES_AT_ONCE, len(used))
        yield Work(number=0, path=folder, start=start, end=end, first=start, version=digest.hexdigest())


def used_files(paths: Sequence[str]) -> list[str]:
    """A folder's pages; where it has none, its images, if one has a text beside it."""
    pages = [path for path in paths if path.lower().endswith(PAGES)]
    if pages:
        return sorted(pages)
    known = set(paths)
    images = sorted(path for path in paths if path.lower().endswith(IMAGES))
    return images if any(sidecar_of(path) in known for path in images) else []


def sidecar_of(image: str) -> str:
    return f"{image.rpartition('.')[0]}.txt"


def absolute_folder(path: str) -> str:
    """The folder that a file lies in."""
    return path.rpartition("/")[0] if is_remote(path) or path.startswith("/") else ""
