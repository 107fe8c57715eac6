"""Ten pictures with captions, as every kind of input that can be embedded; and what was embedded, read back."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fullclip.core.types import Pair
from fullclip.models.checkpoint import Checkpoint
from fullclip.models.config import PRESETS
from fullclip.models.writing import write_checkpoint
from pairs import letters, make_shards, picture
from tiny import tiny_encoder

NUM = 10
CAPTIONS = [(f"picture {letters(i)}", f"another word {letters(i)}") for i in range(NUM)]
FILES = [picture(i, size=(40, 36)) for i in range(NUM)]


def write_model(folder: Path) -> str:
    encoder = tiny_encoder()
    checkpoint = Checkpoint(config=PRESETS["tiny"], state=encoder.model.state_dict(), preprocess=encoder.preprocess)
    write_checkpoint(checkpoint, folder, tokenizer=encoder.tokenizer)
    return str(folder)


def write_pictures(folder: Path, number: int = NUM) -> list[Path]:
    """folder/a/000.png, folder/b/001.png, ... with a .txt beside each, sorted as they are embedded."""
    paths = []
    for i in range(number):
        path = folder / "ab"[i % 2] / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(FILES[i % NUM])
        path.with_suffix(".txt").write_text("\n".join(CAPTIONS[i % NUM]), encoding="utf-8")
        paths.append(path)
    return sorted(paths)


def write_inputs(folder: Path) -> dict[str, str]:
    """Every kind of input by name, all of the same pictures and captions in the same order."""
    paths = write_pictures(folder / "pictures")
    order = [int(path.stem) for path in paths]
    names = [path.relative_to(folder).as_posix() for path in paths]
    pairs = [Pair(key=f"{i:03d}", image=FILES[i], texts=CAPTIONS[i]) for i in order]
    make_shards(folder / "shards", pairs, pairs_per_shard=4)
    rows = [{"image": name, "caption": caption} for name, i in zip(names, order, strict=True) for caption in CAPTIONS[i]]
    with (folder / "table.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["image", "caption"])
        writer.writeheader()
        writer.writerows(rows)
    (folder / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), folder / "paths.parquet")
    texts = [list(CAPTIONS[i]) for i in order]
    pq.write_table(
        pa.table({"image": [FILES[i] for i in order], "captions": texts}), folder / "bytes.parquet", row_group_size=3
    )
    structs = [{"bytes": FILES[i], "path": f"{i:03d}.png"} for i in order]
    pq.write_table(pa.table({"image": structs, "captions": texts}), folder / "hf.parquet", row_group_size=3)
    return {
        "folder": str(folder / "pictures"),
        "glob": str(folder / "pictures/*/*.png"),
        "shards": str(folder / "shards"),
        "csv": str(folder / "table.csv"),
        "jsonl": str(folder / "table.jsonl"),
        "paths": str(folder / "paths.parquet"),
        "bytes": str(folder / "bytes.parquet"),
        "hf": str(folder / "hf.parquet"),
    }


def read_back(out: str | Path, side: str) -> tuple[list[dict[str, Any]], np.ndarray]:
    """What is known of each row of images or texts, and the vectors."""
    folder = Path(out) / side
    if any(folder.glob("*.npy")):
        parts = sorted(folder.glob("*.npy"))
        lines = [line for part in parts for line in part.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()]
        return [json.loads(line) for line in lines], np.concatenate([np.load(part) for part in parts])
    table = pq.read_table(folder)
    column = side.removesuffix("s")
    vectors = np.stack(table[column].to_numpy()) if table.num_rows else np.zeros((0, 0))
    return table.drop_columns([column]).to_pylist(), vectors


def contents(out: Path) -> dict[str, bytes]:
    """All files below a folder, but the lock."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }
