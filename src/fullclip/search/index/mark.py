"""index.json: which model an index is of, and its identity, which what is derived from it carries too."""

import json
import uuid
from dataclasses import dataclass

from fullclip.core.config import from_dict, to_dict
from fullclip.core.folders import LOCK_NAME, appeared, names_in, read_text, whole_file
from fullclip.core.storage import is_folder
from fullclip.search.index.writing import LEASE

NAME = "index.json"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """model: a name as `fullclip.load` takes it. fingerprint: of all that image embeddings depend on."""

    model: str
    fingerprint: str
    dim: int
    identity: str
    version: int = 1


def plain(folder: str) -> str:
    """An index's folder without a slash at its end."""
    return folder.rstrip("/") or folder


def read_mark(folder: str) -> Mark:
    """ValueError where there is none, or no whole one."""
    if not appeared(f"{folder}/{NAME}"):
        raise ValueError(f"{folder}: no index; make one with: fullclip search build FOLDER --index {folder}")
    try:
        mark = from_dict(Mark, json.loads(read_text(f"{folder}/{NAME}")))
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{folder}/{NAME} is damaged ({error}); build the index anew in another folder") from None
    if mark.version != 1:
        raise ValueError(f"{folder} was written by a later version of fullclip: update it")
    return mark


def write_mark(folder: str, *, model: str, fingerprint: str, dim: int) -> Mark:
    """ValueError for a folder that holds something else."""
    if is_folder(folder) and (others := [name for name in names_in(folder) if name not in (LOCK_NAME, LEASE, NAME)]):
        raise ValueError(f"{folder} holds other files, such as {others[0]}; give a new folder with --index")
    mark = Mark(model=model, fingerprint=fingerprint, dim=dim, identity=uuid.uuid4().hex)
    with whole_file(f"{folder}/{NAME}", "w") as file:
        json.dump(to_dict(mark), file, indent=1)
    return mark


def same_model(mark: Mark, *, model: str, fingerprint: str, dim: int, folder: str) -> None:
    """ValueError where vectors of a model do not belong into the index, with what to type."""
    if dim != mark.dim:
        raise ValueError(
            f"{folder} holds vectors of {mark.dim} numbers, of the model {mark.model}; {model} makes {dim}: "
            f"give --model {mark.model}, or another --index"
        )
    if fingerprint == mark.fingerprint:
        return
    what = "(weights, types or preprocessing)"
    if model == mark.model:
        raise ValueError(f"{folder} was built with the model {model}, which has changed {what}: give another --index")
    raise ValueError(
        f"{folder} was built with the model {mark.model}, and {model} is another {what}: give --model {mark.model}, or another "
        "--index"
    )
