"""A folder that `fullclip embed` wrote -> pictures with their vectors, and the model of these. Nothing is embedded anew."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from fullclip.core.config import from_dict
from fullclip.core.extras import require
from fullclip.core.folders import appeared, read_text
from fullclip.core.storage import file_info, is_remote, open_file
from fullclip.search.folder import PLAN_NAME, ModelMark, Plan, finished
from fullclip.search.index.pictures import Picture, relative
from fullclip.search.parts import VECTOR, Record, Side

_ROWS_AT_ONCE = 4096


def is_embedded(path: str) -> bool:
    """Whether `fullclip embed` wrote this folder."""
    return not path.startswith("http") and appeared(f"{path.rstrip('/')}/{PLAN_NAME}")


def model_of(folder: str) -> ModelMark:
    """The model that was embedded with. Its fingerprint is of images' embeddings alone. ValueError for a damaged folder."""
    plan = _plan(folder)
    if "images" not in plan.layout.sides:
        raise ValueError(f"{folder} holds texts; an index is of pictures: embed with --what images or both")
    mark = plan.model
    return ModelMark(
        name=mark.name, fingerprint=mark.fingerprint.split(" ")[0], precision=mark.precision, decoding=mark.decoding
    )


def read_embedded(folder: str) -> Iterator[list[Picture]]:
    """The pictures of the finished parts, some thousands at a time. ValueError where a part is not what its record says."""
    folder, plan = folder.rstrip("/"), _plan(folder)
    records = sorted(finished(folder, len(plan.units)).values(), key=lambda one: one.number)
    root = _common({path.rpartition("/")[0] for record in records for path in _paths(folder, record)})
    for record in records:
        version = file_info(f"{folder}/{_file_of(record, 'images')}").version
        texts = _texts(folder, record) if record.texts else {}
        for told, vectors in _rows(folder, record, "images"):
            yield [
                _picture(key, path, root, version, vector, texts.get(key, ()))
                for (key, path, *_), vector in zip(told, vectors, strict=True)
            ]


def _plan(folder: str) -> Plan:
    try:
        return from_dict(Plan, json.loads(read_text(f"{folder.rstrip('/')}/{PLAN_NAME}")))
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"{folder}/{PLAN_NAME} is damaged ({error})") from None


def _picture(key: str, path: str, root: str, version: str, vector: np.ndarray, texts: tuple[str, ...]) -> Picture:
    is_file = key == path or (
        not is_remote(path) and Path(path).suffix.lower() not in (".tar", ".parquet", ".csv", ".jsonl", ".tsv")
    )
    own = relative(path, root)
    here = is_file and not is_remote(path) and Path(path).is_file()
    return Picture(
        key=own if is_file else key,
        path=own,
        name=path if is_file else f"{path}:{key}",
        mark=f"embedded {version}",
        image=path if here else None,
        vector=vector,
        texts=texts,
        num_bytes=Path(path).stat().st_size if here else None,
    )


def _common(folders: set[str]) -> str:
    """The lowest folder that all of these are in."""
    if not folders:
        return ""
    first, last = min(folders).split("/"), max(folders).split("/")  # what these two share, all between them do
    number = next(
        (i for i, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), min(len(first), len(last))
    )
    return "/".join(first[:number])


def _paths(folder: str, record: Record) -> set[str]:
    name = _file_of(record, "images")
    if not name.endswith(".parquet"):
        lines = read_text(f"{folder}/{name.removesuffix('npy')}jsonl").splitlines()
        return {json.loads(line)["path"] for line in lines}
    with open_file(f"{folder}/{name}") as file:
        column = require("pyarrow.parquet", extra="search").read_table(file, columns=["path"]).column("path")
    return set(column.unique().to_pylist())


def _texts(folder: str, record: Record) -> Mapping[str, tuple[str, ...]]:
    found = dict[str, list[str]]()
    for told, _ in _rows(folder, record, "texts"):
        for key, _, caption in told:
            found.setdefault(key, []).append(caption)
    return {key: tuple(captions) for key, captions in found.items()}


def _file_of(record: Record, side: Side) -> str:
    names = [file.name for file in record.files if file.name.startswith(f"{side}/") and not file.name.endswith(".jsonl")]
    if len(names) != 1:
        raise ValueError(f"the record of part {record.number} names no file of {side}")
    return names[0]


def _rows(folder: str, record: Record, side: Side) -> Iterator[tuple[list[tuple[str, ...]], np.ndarray]]:
    """What is told of some rows at a time, and their vectors."""
    name = _file_of(record, side)
    told = ("key", "path", "caption") if side == "texts" else ("key", "path")
    with open_file(f"{folder}/{name}") as file:
        if name.endswith(".parquet"):
            parquet = require("pyarrow.parquet", extra="search")
            for batch in parquet.ParquetFile(file).iter_batches(_ROWS_AT_ONCE):
                columns = [batch.column(column).to_pylist() for column in told]
                flat = batch.column(VECTOR[side]).flatten().to_numpy(zero_copy_only=False)
                yield list(zip(*columns, strict=True)), flat.reshape(len(batch), -1)
            return
        vectors = np.lib.format.read_array(file, allow_pickle=False)
    lines = [json.loads(line) for line in read_text(f"{folder}/{name.removesuffix('npy')}jsonl").splitlines()]
    if len(lines) != len(vectors):
        raise ValueError(f"{folder}/{name}: {len(vectors)} vectors, and {len(lines)} names")
    for start in range(0, len(lines), _ROWS_AT_ONCE):
        part = lines[start : start + _ROWS_AT_ONCE]
        yield [tuple(line[column] for column in told) for line in part], vectors[start : start + _ROWS_AT_ONCE]
