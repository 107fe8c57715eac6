"""Rows out of an index: by key, by condition, or because their files are gone. One process writes at a time."""

import stat
from collections.abc import Collection, Sequence
from pathlib import Path

from fullclip.core.folders import files_below
from fullclip.core.storage import is_remote
from fullclip.search.index.derived import catch_up, derived_folder
from fullclip.search.index.mark import Mark, plain, read_mark
from fullclip.search.index.pictures import root_of, whole_root
from fullclip.search.index.table import ROOT, Table, as_text
from fullclip.search.index.writing import held


def remove(index: str, *, keys: Sequence[str] = (), where: str | None = None) -> int:
    """Take rows out, those of `keys` or those that pass a condition in SQL; how many there were."""
    index = plain(index)
    mark = read_mark(index)
    if not keys and where is None:
        raise ValueError("name the keys to remove, a condition with --where, or a folder with --missing")
    with held(index):
        table, number = Table.open_table(index), 0
        if where is not None:
            table.matching(where)  # says what is wrong with it
            number += table.delete(where)
        number += table.delete_keys([as_text(key) for key in keys])
        _finish(index, mark, table)
    return number


def remove_missing(index: str, folder: str, *, even_most: bool = False) -> int:
    """Take out the pictures that were added from `folder`, and whose files (or shards, or tables) are not there any more; how
    many there were. Pictures that were added from elsewhere stay, and so do embeddings that were taken as they were.

    ValueError where nothing was added from this folder, and where more than half of that is gone, which a disk that is not
    mounted looks like as well, unless `even_most`.
    """
    index, root = plain(index), whole_root(folder)
    mark = read_mark(index)
    with held(index):
        table = Table.open_table(index)
        named = _rows_of(table, root_of(root))
        if not named:
            raise ValueError(
                f"{index} has no pictures that were added from {folder}: name the folder that `search add` was given"
            )
        missing = _missing(root, set(named.values()))
        keys = [key for key, path in named.items() if path in missing]
        if 2 * len(keys) > len(named) and not even_most:
            raise ValueError(
                f"{folder}: {len(keys):,} of its {len(named):,} pictures are gone, as if its disk were not mounted; "
                "if they are to go from the index as well, add --even-most"
            )
        number = table.delete_keys(keys)
        _finish(index, mark, table)
    return number


def _finish(index: str, mark: Mark, table: Table) -> None:
    catch_up(derived_folder(index), mark.identity, table)


def _rows_of(table: Table, root: str) -> dict[str, str]:
    """The paths of the rows from a root, by key."""
    if not table.has(ROOT):
        return {}
    batches = table.columns(["key", "path", ROOT])
    rows = (row for batch in batches for row in zip(batch["key"], batch["path"], batch[ROOT], strict=True))
    return {key: path for key, path, own in rows if own == root}


def _missing(root: str, paths: Collection[str]) -> set[str]:
    """Those of the paths, all from `root`, that lead to no file."""
    if is_remote(root):
        return set(paths) - _listed(root)
    missing = {path for path in paths if not _is_file(Path(root, path))}
    if any("\\" in path for path in missing) and Path(root).is_dir():  # bytes that are no text were kept as escapes
        missing -= _listed(root)
    return missing


def _listed(root: str) -> set[str]:
    return {as_text(path.removeprefix(f"{root}/")) for path in files_below(root)}


def _is_file(path: Path) -> bool:
    """OSError where that cannot be told, as of a folder that may not be entered."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
