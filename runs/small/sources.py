"""Where pictures with words are: photographs, named pictures, drawings and stamps in, found pairs out, drops counted by reason.

What is held out is in `prepare.py`.
"""

import gzip
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from class_texts import ClassTexts
from pictures import Small, make_small
from sample_shard import FOLDER_CAPS, make_keys, render, render_all
from sample_texts import Drawing, read_drawings, write_texts
from wordnet import WordNet

from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.data.groups import Files
from fullclip.data.shards import read_shard


@dataclass(frozen=True, kw_only=True)
class Found:
    """A picture made small, with its texts. group: what it is held out by (a class, a tar), and for drawings the author."""

    key: str
    texts: tuple[str, ...]
    picture: Small
    group: str
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def order(self) -> str:
        """A fixed random number."""
        return hashlib.sha256(self.key.encode()).hexdigest()

    def to_pair(self) -> Pair:
        return Pair(key=self.key, image=self.picture.data, texts=self.texts, meta=self.meta)


@dataclass(frozen=True, kw_only=True)
class Making:
    """How pictures are made: the longest side in pixels, in how many processes."""

    side: int
    workers: int

    def small(self, images: Sequence[bytes]) -> list[Small | str]:
        with ProcessPoolExecutor(self.workers) as pool:
            return list(pool.map(partial(make_small, side=self.side), images, chunksize=64))


def photographs(tars: Sequence[Path], making: Making, counts: Counter[str], *, skip_torn: bool) -> list[Found]:
    """Pairs of WebDataset tars with their own captions, the group being the tar. ValueError for a torn tar, unless skipped."""
    pairs = []
    for tar in tars:
        drops = Drops()
        read = [(pair, tar.name) for pair in read_shard(str(tar), drops)]
        if torn := drops.examples.pop("torn shard", None):
            if not skip_torn:
                raise ValueError(f"{torn[0]} is torn; fetch it again, or leave it out with --skip-torn")
            print(f"left out, since it is torn: {torn[0]}, {len(read):,} pairs before it")
            counts["dropped: tar is torn"] += 1
            continue
        counts["read"] += len(read) + sum(drops.counts.values())
        counts.update({f"dropped: {reason}": count for reason, count in drops.counts.items()})
        pairs += read
    found, seen = [], set[str]()
    for (pair, name), picture in zip(pairs, making.small([pair.image for pair, _ in pairs]), strict=True):
        texts = tuple(dict.fromkeys(text for text in (" ".join(text.split()) for text in pair.texts) if text))
        reason = picture if isinstance(picture, str) else "" if texts else "no text"
        reason = reason or ("key appears twice" if pair.key in seen else "")
        if reason or isinstance(picture, str):
            counts[f"dropped: {reason}"] += 1
            continue
        seen.add(pair.key)
        found.append(Found(key=pair.key, texts=texts, picture=picture, group=name, meta={"source": name}))
    return found


def named_pictures(tar: Path, wordnet: WordNet, making: Making, counts: Counter[str]) -> list[Found]:
    """Pictures of a tar with classes.json (wnids in the order of the .cls numbers) said in the words of their class."""
    data = tar.read_bytes()
    files = Files(io.BytesIO(gzip.decompress(data) if tar.suffix == ".gz" else data))
    contents = {member.name: content for member, content in files}
    if files.torn_at is not None:
        raise ValueError(f"{tar} is torn from byte {files.torn_at:,}; fetch it again")
    if "classes.json" not in contents:
        raise ValueError(f"{tar} has no classes.json, the list of classes with their wnids")
    wnids = [entry["wnid"] for entry in json.loads(contents["classes.json"])]
    said = ClassTexts(wordnet)
    captions = [said.captions(wnid, turn=turn) for turn, wnid in enumerate(wnids)]
    names = sorted(name for name in contents if name.endswith((".webp", ".jpg", ".png")))
    counts["read"] += len(names)
    found = []
    for name, picture in zip(names, making.small([contents[name] for name in names]), strict=True):
        key = name.rpartition(".")[0]
        if isinstance(picture, str):
            counts[f"dropped: {picture}"] += 1
            continue
        number = int(contents[f"{key}.cls"])
        meta = {"wnid": wnids[number], "class": number}
        found.append(
            Found(key=f"{wnids[number]}-{key}", texts=captions[number], picture=picture, group=wnids[number], meta=meta)
        )
    return found


def drawings(svg: Path, png: Path, making: Making, counts: Counter[str]) -> list[tuple[Drawing, Found]]:
    """All clip art with a good text that can be shown, drawn and said as in the sample."""
    texts = write_texts(read_drawings(svg, counts), counts)
    rendered = render_all(texts, png, workers=making.workers)
    kept = []
    for drawing, picture in zip(texts, rendered, strict=True):
        if any(not cap and f"{drawing.folder}/".startswith(f"{folder}/") for folder, cap in FOLDER_CAPS.items()):
            counts["dropped: folder is refused"] += 1
        elif isinstance(picture, str):
            counts[f"dropped: {picture}"] += 1
        else:
            kept.append((drawing, Small(data=picture.webp, gradient=picture.gradient, colours=picture.colours)))
    return [
        (
            drawing,
            Found(
                key=key,
                texts=drawing.captions,
                picture=picture,
                group=drawing.author,
                meta={"title": drawing.title, "source": drawing.path, "licence": "public domain"},
            ),
        )
        for (drawing, picture), key in zip(kept, make_keys([drawing for drawing, _ in kept]), strict=True)
    ]


def stamps(folder: Path, making: Making, counts: Counter[str], *, words: WordNet) -> list[Found]:
    """Tux Paint's stamps: the English sentence, its first part, and the file's name where that is made of words.

    The fingerprints are of the picture cut to its ink, as those of the drawings.
    """
    files = [(text, image) for text in sorted(folder.rglob("*.txt")) if (image := _picture_beside(text, counts))]
    made = making.small([image.read_bytes() for _, image in files])
    found = []
    for (text, image), picture in zip(files, made, strict=True):
        sentences = stamp_texts(text, words)
        if isinstance(picture, str) or not sentences:
            counts[f"dropped: {picture if isinstance(picture, str) else 'no English sentence'}"] += 1
            continue
        cut = render(image)
        if not isinstance(cut, str):
            picture = Small(data=picture.data, gradient=cut.gradient, colours=cut.colours)
        path = image.relative_to(folder)
        key = re.sub(r"[^A-Za-z0-9]+", "-", path.with_suffix("").as_posix())
        found.append(Found(key=key, texts=sentences, picture=picture, group="", meta={"source": path.as_posix()}))
    return found


def _picture_beside(text: Path, counts: Counter[str]) -> Path | None:
    counts["read"] += 1
    for suffix in (".png", ".jpg"):
        if text.with_suffix(suffix).is_file():
            return text.with_suffix(suffix)
    counts["dropped: SVG only" if text.with_suffix(".svg").is_file() else "dropped: no picture"] += 1
    return None


def stamp_texts(file: Path, words: WordNet) -> tuple[str, ...]:
    """The captions in a stamp's text file, whose first line is English; the rest are `language=sentence`."""
    lines = file.read_text(encoding="utf-8").splitlines()
    sentence = " ".join(lines[0].split()) if lines else ""
    if not sentence or re.match(r"\w+(\.\w+)?=", sentence):
        return ()
    sentence = sentence.translate(str.maketrans("“”‘’", "\"\"''"))
    first = re.split(r"(?<=\w\w[.!?])\s+(?=[A-Z])", sentence, maxsplit=1)[0].rstrip(".")
    stem = [word for word in re.split(r"[^a-z]+", file.stem.lower()) if word]
    named = all(len(word) > 2 and words.senses(word) for word in stem)
    return tuple(
        {text.lower().rstrip("."): text for text in (" ".join(stem) if named else "", sentence, first) if text}.values()
    )[::-1]
