"""The sample of real (image, text) pairs that ships in the package.

In: Debian's public-domain clip art, SVG files with RDF metadata (title, keywords, description) and their PNG renderings.
Out: tar shards of small WebP pictures with their texts in OUT/train and OUT/heldout, the same bytes at every run, and a
report of how many drawings were dropped, by reason. The texts come from `sample_texts.py`, its words from `sample_words.py`.

    apt-get install openclipart-png openclipart-svg
    python runs/assets/sample_shard.py --out src/fullclip/assets/sample          # about one minute on two cores
"""

import argparse
import io
import json
import re
import shutil
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from sample_texts import Drawing, read_drawings, stem_of, write_texts

from fullclip.core.types import Pair
from fullclip.data.shards import write_shards

SIDE = 128  # longest side of a stored picture, in pixels
MAX_ASPECT = 3.0
MAX_BYTES = 9_400_000  # of all shards together
MAX_JSON_BYTES = 500  # nearly one 512-byte block of a tar
PAIRS_PER_SHARD = 1000
NUM_HELDOUT = 300
MAX_SERIES, MAX_SAME_TITLE, MAX_SAME_START = 4, 6, 16  # pairs of one author and title stem; one title; one pair of first words
# Most pairs from a folder and what lies below it.
FOLDER_CAPS = {
    "shapes/stars": 12, "shapes/jigsaw": 4, "shapes/arrows": 12, "shapes/flowchart": 10, "shapes/callouts": 12,
    "special/gradients": 8, "special/patterns": 24, "computer/icons/flat-theme": 36, "computer/icons/lemon-theme": 40,
    "computer/icons/etiquette-theme": 30, "computer/buttons": 16, "signs_and_symbols/flags/semaphore": 6,
    "signs_and_symbols/flags": 330, "signs_and_symbols/led": 0, "recreation/games/cards": 16,
    "signs_and_symbols/map_symbols": 80, "geography": 75, "people/clothing/pantyhose": 0,
    "unsorted/duplicates": 0, "logos": 0, "people/smilies": 28, "decorations": 20,
}  # fmt: skip
# Flags are a tenth of the drawings; among the held-out ones they are no more.
HELDOUT_FLAGS = 30
Image.MAX_IMAGE_PIXELS = 20_000_000  # Pillow warns above it, and refuses twice as many
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


class Likeness(NamedTuple):
    """Two pictures are near-copies if they differ in no more than this."""

    bits: int  # of the 256 of their gradient hashes
    colour: float  # mean absolute difference of their 8x8 thumbnails, of 255


KEPT_PAIR = Likeness(bits=20, colour=20.0)
HELDOUT_PAIR = Likeness(bits=50, colour=32.0)  # a held-out picture and any other
HELDOUT_SAME_AUTHOR = Likeness(bits=80, colour=45.0)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A rendering made small: the stored bytes, and the fingerprints by which near-copies are found."""

    webp: bytes
    gradient: int
    colours: np.ndarray


def is_drawn(pixels: np.ndarray) -> bool:
    """Whether there is more than a blank sheet, a plain colour or a few dots."""
    background = np.median(pixels.reshape(-1, 3), axis=0)
    return float((np.abs(pixels - background).max(axis=2) > 24).mean()) > 0.015


def render(png: Path) -> Picture | str:
    """One rendering on white, cut to its drawing, made small; or the reason why not."""
    try:
        with Image.open(png) as image:
            drawn = image.convert("RGBA")
    except Image.DecompressionBombError:
        return "rendering too large"
    sheet = Image.new("RGBA", drawn.size, "white")
    sheet.alpha_composite(drawn)
    picture = sheet.convert("RGB")
    ink = np.asarray(picture).min(axis=2) < 245
    if not ink.any():
        return "blank"
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    margin = round(0.04 * max(rows[-1] - rows[0], columns[-1] - columns[0]))
    left, top = max(columns[0] - margin, 0), max(rows[0] - margin, 0)
    picture = picture.crop(
        (left, top, min(columns[-1] + margin + 1, picture.width), min(rows[-1] + margin + 1, picture.height))
    )
    if max(picture.size) > MAX_ASPECT * min(picture.size):
        return "extreme aspect ratio"
    if max(picture.size) < 32:
        return "rendering too small"
    scale = min(SIDE / max(picture.size), 2.0)
    small = picture.resize([max(1, round(scale * side)) for side in picture.size], Image.Resampling.LANCZOS)
    if not is_drawn(np.asarray(small, dtype=np.float32)):
        return "blank"
    return Picture(webp=encode(small), gradient=gradient_hash(small), colours=thumbnail(small))


def encode(picture: Image.Image) -> bytes:
    """WebP at the best quality of four that stays within three tar blocks, or at the lowest."""
    data = b""
    for quality in (82, 74, 64, 54):
        buffer = io.BytesIO()
        picture.save(buffer, "WEBP", quality=quality, method=6)
        data = buffer.getvalue()
        if len(data) <= 3 * 512:
            break
    return data


def gradient_hash(picture: Image.Image) -> int:
    """16x16 difference hash: for each cell, whether the next one is lighter."""
    cells = np.asarray(picture.convert("L").resize((17, 16), Image.Resampling.BOX), dtype=np.int16)
    return int.from_bytes(np.packbits(cells[:, 1:] > cells[:, :-1] + 2).tobytes(), "big")


def thumbnail(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.resize((8, 8), Image.Resampling.BOX), dtype=np.float32)


def copies_of(picture: Picture, others: list[Picture], *, limit: Likeness) -> bool:
    return any(
        (picture.gradient ^ other.gradient).bit_count() <= limit.bits
        and float(np.abs(picture.colours - other.colours).mean()) <= limit.colour
        for other in others
    )


def render_all(drawings: list[Drawing], root: Path, *, workers: int) -> list[Picture | str]:
    files = [(root / drawing.path).with_suffix(".png") for drawing in drawings]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(render, files, chunksize=32))


def series_of(drawing: Drawing) -> tuple[str, str]:
    return drawing.author.lower(), stem_of(drawing.title)


def start_of(title: str) -> str:
    """The first two words, by which series such as "Hotel Icon ..." are known; nothing for flags and short titles."""
    first = title.lower().split()[:2]
    return "" if len(first) < 2 or first[1] in ("of", "flag") else " ".join(first)


def series_folder(drawing: Drawing) -> tuple[str, str]:
    return drawing.author.lower(), drawing.folder


def in_fixed_order(drawings: list[Drawing]) -> list[int]:
    """The first of every series, then the second of every series and so on, each round shuffled by a hash."""
    rank: Counter[tuple[str, str]] = Counter()
    keyed = []
    for index in sorted(range(len(drawings)), key=lambda index: drawings[index].order):
        series = series_of(drawings[index])
        keyed.append((rank[series], drawings[index].order, index))
        rank[series] += 1
    return [index for _, _, index in sorted(keyed)]


def tar_bytes(num_bytes: int) -> int:
    """What one member of a tar takes: a header and its content, in blocks of 512 bytes."""
    return 512 + -(-num_bytes // 512) * 512


def choose(drawings: list[Drawing], rendered: list[Picture | str], counts: Counter[str]) -> list[tuple[Drawing, Picture]]:
    """Drop what cannot be shown, floods, or has been seen, until the shards are full."""
    kept: list[tuple[Drawing, Picture]] = []
    series: Counter[tuple[str, str]] = Counter()
    titles: Counter[str] = Counter()
    starts: Counter[str] = Counter()
    folders: Counter[str] = Counter()
    size = 0
    for index in in_fixed_order(drawings):
        drawing, picture = drawings[index], rendered[index]
        if isinstance(picture, str):
            counts[f"dropped: {picture}"] += 1
            continue
        capped = [folder for folder in FOLDER_CAPS if f"{drawing.folder}/".startswith(f"{folder}/")]
        added = tar_bytes(len(picture.webp)) + tar_bytes(MAX_JSON_BYTES)
        if series[series_of(drawing)] >= MAX_SERIES:
            counts["dropped: series is full"] += 1
        elif titles[stem_of(drawing.title)] >= MAX_SAME_TITLE:
            counts["dropped: title is full"] += 1
        elif start_of(drawing.title) and starts[start_of(drawing.title)] >= MAX_SAME_START:
            counts["dropped: series is full"] += 1
        elif any(folders[folder] >= FOLDER_CAPS[folder] for folder in capped):
            counts["dropped: folder is full"] += 1
        elif copies_of(picture, [other for _, other in kept], limit=KEPT_PAIR):
            counts["dropped: near-copy"] += 1
        elif size + added > MAX_BYTES:
            counts["dropped: shards are full"] += 1
        else:
            size += added
            kept.append((drawing, picture))
            series[series_of(drawing)] += 1
            titles[stem_of(drawing.title)] += 1
            starts[start_of(drawing.title)] += 1
            folders.update(capped)
    return kept


def hold_out(kept: list[tuple[Drawing, Picture]]) -> set[int]:
    """Indices of the held-out pairs, in the order of their hash: a random share of what was kept.

    Each has a title stem that no other held-out pair has, which its author used for no other drawing, and a picture unlike
    every other. What is asked of a model can be learnt from the rest: two more pairs share a word of the title, or many
    share two keywords.
    """
    signed = Counter((drawing.author, stem_of(drawing.title)) for drawing, _ in kept)
    spoken = [set(stem_of(" ".join((drawing.title, *drawing.keywords))).split()) for drawing, _ in kept]
    shared = Counter(word for said in spoken for word in said)
    chosen: set[int] = set()
    taken: set[str] = set()
    flags = 0
    for index in sorted(range(len(kept)), key=lambda index: kept[index][0].order):
        drawing, picture = kept[index]
        flag = "/flags" in drawing.folder
        stem = stem_of(drawing.title)
        learnable = any(shared[word] >= 3 for word in stem.split()) or sum(shared[word] >= 12 for word in spoken[index]) >= 2
        if not learnable or stem in taken or signed[drawing.author, stem] > 1 or (flag and flags == HELDOUT_FLAGS):
            continue
        others = [(whose.author, other) for position, (whose, other) in enumerate(kept) if position != index]
        same_author = [other for author, other in others if author == drawing.author]
        if copies_of(picture, same_author, limit=HELDOUT_SAME_AUTHOR):
            continue
        if copies_of(picture, [other for _, other in others], limit=HELDOUT_PAIR):
            continue
        chosen.add(index)
        taken.add(stem)
        flags += flag
        if len(chosen) == NUM_HELDOUT:
            break
    return chosen


def to_pair(drawing: Drawing, picture: Picture, *, key: str) -> Pair:
    """The record that is stored, with fewer captions and keywords where it would not fit a tar block."""
    captions, keywords = list(drawing.captions), list(drawing.keywords)
    while True:
        meta = {
            "title": drawing.title, "keywords": keywords, "author": drawing.author[:40],
            "source": drawing.path, "licence": "public domain",
        }  # fmt: skip
        size = len(json.dumps({"captions": captions, **meta}, ensure_ascii=False).encode())
        if size <= MAX_JSON_BYTES or (len(keywords) <= 2 and len(captions) <= 2):
            return Pair(key=key, image=picture.webp, texts=tuple(captions), meta=meta)
        if len(keywords) > 2:
            keywords.pop()
        else:
            captions.pop()


def make_keys(drawings: list[Drawing]) -> list[str]:
    """A key says where a drawing is filed and what it is called, such as `animals-birds-blue-heron-01`."""
    used: Counter[str] = Counter()
    keys = []
    for drawing in drawings:
        slug = re.sub(r"[^a-z0-9]+", "-", f"{drawing.folder} {drawing.title}".lower()).strip("-")[:70].strip("-")
        used[slug] += 1
        keys.append(f"{slug}-{used[slug]:02d}")
    return keys


def report(counts: Counter[str], out: Path) -> None:
    for reason, count in sorted(counts.items(), key=lambda item: (item[0].split(":")[0] != "read", item[0])):
        print(f"{count:6d}  {reason}")
    print(f"{sum(file.stat().st_size for file in out.rglob('*') if file.is_file()):,} bytes in {out}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the sample of (image, text) pairs from Debian's clip art.")
    parser.add_argument("--svg", type=Path, default=Path("/usr/share/openclipart/svg"))
    parser.add_argument("--png", type=Path, default=Path("/usr/share/openclipart/png"))
    parser.add_argument("--out", type=Path, default=Path("src/fullclip/assets/sample"))
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()

    counts: Counter[str] = Counter()
    drawings = write_texts(read_drawings(options.svg, counts), counts)
    kept = choose(drawings, render_all(drawings, options.png, workers=options.workers), counts)
    heldout = hold_out(kept)
    keys = make_keys([drawing for drawing, _ in kept])
    pairs = [to_pair(drawing, picture, key=key) for (drawing, picture), key in zip(kept, keys, strict=True)]
    order = sorted(range(len(kept)), key=lambda index: kept[index][0].order)
    for split, chosen in (("train", set(range(len(kept))) - heldout), ("heldout", heldout)):
        counts[f"kept: {split}"] = len(chosen)
        folder = options.out / split
        shutil.rmtree(folder, ignore_errors=True)
        write_shards([pairs[index] for index in order if index in chosen], folder, pairs_per_shard=PAIRS_PER_SHARD)
    report(counts, options.out)


if __name__ == "__main__":
    main()
