"""Where pictures with words are: photographs, named pictures, drawings and stamps in, found pairs out, drops counted by reason.

What is held out is decided in `prepare.py`.
"""

import gzip
import hashlib
import io
import json
import re
import zlib
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

_QUOTES = str.maketrans("“”‘’", "\"\"''")


@dataclass(frozen=True, kw_only=True)
class Found:
    """A picture made small, with its texts. group: its tar, its class or, for a drawing, its author."""

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
    pairs = [(pair, tar) for tar in tars for pair in _read_whole(tar, counts, skip_torn=skip_torn)]
    found, seen = [], set[str]()
    for (pair, tar), picture in zip(pairs, making.small([pair.image for pair, _ in pairs]), strict=True):
        texts = tuple(dict.fromkeys(" ".join(text.split()) for text in pair.texts))
        if isinstance(picture, str):
            counts[f"dropped: {picture}"] += 1
        elif pair.key in seen:
            counts["dropped: key appears twice"] += 1
        else:
            seen.add(pair.key)
            found.append(Found(key=pair.key, texts=texts, picture=picture, group=str(tar), meta={"source": tar.name}))
    return found


def _read_whole(tar: Path, counts: Counter[str], *, skip_torn: bool) -> list[Pair]:
    """The pairs of a tar, or, where it is torn and that is allowed, none."""
    drops = Drops()
    pairs = list(read_shard(str(tar), drops))
    # Zeros alone are an empty tar, and what is left of a file that was never written.
    if torn := drops.examples.get("torn shard") or ([] if pairs else [f"{tar} holds no pair"]):
        if not skip_torn:
            raise ValueError(f"torn tar: {torn[0]}; fetch it again, or leave it out with --skip-torn")
        print(f"left out, since it is torn: {torn[0]}, after {len(pairs):,} whole pairs")
        counts["dropped: torn tar"] += 1
        return []
    counts["read"] += len(pairs) + drops.counts.total()
    counts.update({f"dropped: {reason}": count for reason, count in drops.counts.items()})
    return pairs


def named_pictures(tar: Path, wordnet: WordNet, making: Making, counts: Counter[str]) -> list[Found]:
    """Pictures of a tar with classes.json (wnids in the order of the .cls numbers) said in the words of their class."""
    contents = _contents(tar)
    try:
        wnids = [entry["wnid"] for entry in json.loads(contents["classes.json"])]
        names = sorted(name for name in contents if name.endswith((".webp", ".jpg", ".png")))
        labels = [int(contents[f"{name.rpartition('.')[0]}.cls"]) for name in names]
        classes = [wnids[label] for label in labels]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(
            f"{tar}: no named pictures ({error!r}); give a tar of KEY.webp, KEY.cls and classes.json, a list with wnids"
        ) from None
    said = ClassTexts(wordnet)
    captions = {wnid: said.captions(wnid, turn=turn) for turn, wnid in enumerate(wnids)}
    counts["read"] += len(names)
    found = []
    made = making.small([contents[name] for name in names])
    for name, label, wnid, picture in zip(names, labels, classes, made, strict=True):
        if isinstance(picture, str):
            counts[f"dropped: {picture}"] += 1
        else:
            key, meta = f"{wnid}-{name.rpartition('.')[0]}", {"wnid": wnid, "class": label}
            found.append(Found(key=key, texts=captions[wnid], picture=picture, group=wnid, meta=meta))
    return found


def _contents(tar: Path) -> dict[str, bytes]:
    """The files in a tar or tar.gz by name. ValueError where it is torn."""
    data = tar.read_bytes()
    try:
        files = Files(io.BytesIO(gzip.decompress(data) if tar.suffix == ".gz" else data))
        contents = {member.name: content for member, content in files}
        torn = f"from byte {files.torn_at:,}" if files.torn_at is not None else ""
    except (EOFError, OSError, zlib.error) as error:
        torn = f"as gzip: {error}"
    if torn:
        raise ValueError(f"torn tar: {tar} {torn}; fetch it again, or leave the part out with --parts")
    return contents


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
    keys = make_keys([drawing for drawing, _ in kept])
    return [(drawing, _found(drawing, picture, key)) for (drawing, picture), key in zip(kept, keys, strict=True)]


def _found(drawing: Drawing, picture: Small, key: str) -> Found:
    meta = {"title": drawing.title, "source": drawing.path, "licence": "public domain"}
    return Found(key=key, texts=drawing.captions, picture=picture, group=drawing.author, meta=meta)


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
        if not isinstance(cut := render(image), str):
            picture = Small(data=picture.data, gradient=cut.gradient, colours=cut.colours)
        path = image.relative_to(folder)
        key = re.sub(r"[^A-Za-z0-9]+", "-", path.with_suffix("").as_posix())
        found.append(Found(key=key, texts=sentences, picture=picture, group=str(folder), meta={"source": path.as_posix()}))
    return found


def _picture_beside(text: Path, counts: Counter[str]) -> Path | None:
    counts["read"] += 1
    for suffix in (".png", ".jpg"):
        if text.with_suffix(suffix).is_file():
            return text.with_suffix(suffix)
    counts["dropped: SVG only" if text.with_suffix(".svg").is_file() else "dropped: no picture"] += 1
    return None


def stamp_texts(file: Path, words: WordNet) -> tuple[str, ...]:
    """The captions in a stamp's text file, whose first line is English; the rest are `language=sentence`.

    The first sentence (it says what is shown, the rest speaks to children), all of them, and the file's name if each of its
    words is a noun.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    text = " ".join(lines[0].translate(_QUOTES).split()) if lines else ""
    if not text or re.match(r"\w+(\.[\w-]+)?=", text):
        return ()
    first, *rest = re.split(r"(?<=[\w\"')]{3}[.!?])\s+(?=[A-Z])", text, maxsplit=1)
    stem = [word for word in re.split(r"[^a-z]+", file.stem.lower()) if word]
    named = stem and all(len(word) > 2 and words.senses(word) for word in stem)
    texts = [first.rstrip("."), *([text] if rest else []), *([" ".join(stem)] if named else [])]
    return tuple({text.lower(): text for text in reversed(texts)}.values())[::-1]
