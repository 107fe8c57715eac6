"""The pairs that the bundled model is trained on.

In: photographs with captions, pictures of named classes, clip art, stamps, and WordNet. Out: tar shards of small pictures
below OUT, photos/{train,heldout}, named/{train,heldout}, drawings/train and stamps/train, the same bytes at every run, and a
table of what was read, kept and dropped. No training picture is a near-copy of a held-out one of its kind; the drawings that
are held out are the package's own (`src/fullclip/assets/sample/heldout`). What `fullclip data decontaminate` found besides is
left out with --without: `overlap.txt`, a key a line.

    apt-get install openclipart-png openclipart-svg tuxpaint-stamps-default wordnet-base
    python runs/small/prepare.py --photos coco-cc3m-sample.tar --named tiny-imagenet-50k.tar.gz --out pairs
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from pictures import NearCopies
from sample_shard import HELDOUT_PAIR, HELDOUT_SAME_AUTHOR, KEPT_PAIR, Likeness, series_of
from sample_texts import Drawing
from sources import Found, Making, drawings, named_pictures, photographs, stamps
from wordnet import WordNet

from fullclip.data.drops import Drops
from fullclip.data.shards import read_shards, write_shards

NUM_PHOTOS, NUM_PER_CLASS = 140, 25
PARTS = ("photos", "named", "drawings", "stamps")


def hold_out(found: Sequence[Found], *, count: int) -> list[Found]:
    """The first `count` of each group, by a hash of the key."""
    groups = defaultdict[str, list[Found]](list)
    for one in sorted(found, key=lambda one: one.order):
        groups[one.group].append(one)
    return [one for group in groups.values() for one in group[:count]]


def without_copies(found: Sequence[Found], heldout: Sequence[Found], limit: Likeness, counts: Counter[str]) -> list[Found]:
    """What is neither held out nor a near-copy of what is."""
    if not heldout:
        return list(found)
    kept, keys = [], {one.key for one in heldout}
    copies = NearCopies([one.picture.gradient for one in heldout], [one.picture.colours for one in heldout])
    for one in found:
        if one.key in keys:
            continue
        if len(copies.of(one.picture.gradient, one.picture.colours, limit=limit)):
            counts["dropped: near-copy of a held-out picture"] += 1
        else:
            kept.append(one)
    return kept


def split_drawings(
    found: Sequence[tuple[Drawing, Found]], sources: set[str], counts: Counter[str]
) -> tuple[list[Found], list[Found]]:
    """(what is trained on, the sample's held-out drawings): none like one of those by the sample's rules."""
    heldout = [(drawing, one) for drawing, one in found if drawing.path in sources]
    if missing := sources - {drawing.path for drawing, _ in heldout}:
        raise ValueError(f"the sample holds out {min(missing)}, which is not among the drawings; give the sample's openclipart")
    series = {series_of(drawing) for drawing, _ in heldout}
    rest = [(drawing, one) for drawing, one in found if drawing.path not in sources]
    other = [one for drawing, one in rest if series_of(drawing) not in series]
    counts["dropped: series of a held-out drawing"] += len(rest) - len(other)
    kept = without_copies(other, [one for _, one in heldout], HELDOUT_PAIR, counts)
    authors = defaultdict[str, list[Found]](list)
    for _, one in heldout:
        authors[one.group].append(one)
    kept = [one for one in kept if without_copies([one], authors[one.group], HELDOUT_SAME_AUTHOR, counts)]
    return kept, [one for _, one in heldout]


def sample_sources(folder: Path) -> set[str]:
    """The paths of the drawings that the package's sample holds out."""
    pairs = list(read_shards([str(folder)], Drops(strict=True)))
    if not all("source" in pair.meta for pair in pairs):
        raise ValueError(
            f"{folder} is no sample: its pairs have no source; give src/fullclip/assets/sample/heldout as --sample"
        )
    return {pair.meta["source"] for pair in pairs}


def read_keys(file: Path | None) -> frozenset[str]:
    """The keys in a file, one a line, lines that begin with # being remarks."""
    lines = file.read_text(encoding="utf-8").splitlines() if file else []
    return frozenset(line for line in lines if line and not line.startswith("#"))


def write(found: Sequence[Found], folder: Path, counts: Counter[str]) -> None:
    """Shards in the order of a hash of the keys."""
    index = write_shards((one.to_pair() for one in sorted(found, key=lambda one: one.order)), folder)
    counts[f"kept: {folder.name}"] = index.num_pairs
    counts[f"texts: {folder.name}"] = sum(len(one.texts) for one in found)
    counts[f"bytes: {folder.name}"] = sum(shard.num_bytes for shard in index.shards)


def write_train(found: Sequence[Found], folder: Path, counts: Counter[str], *, without: frozenset[str]) -> None:
    """All but the keys in `without`."""
    kept = [one for one in found if one.key not in without]
    if without:
        counts["dropped: like a picture of an evaluation"] += len(found) - len(kept)
    write(kept, folder / "train", counts)


def prepare_photos(options: argparse.Namespace, making: Making, counts: Counter[str]) -> None:
    found = photographs(options.photos, making, counts, skip_torn=options.skip_torn)
    heldout = hold_out([one for one in found if one.group == str(options.photos[0])], count=NUM_PHOTOS)
    if not heldout:
        raise ValueError(f"nothing can be held out of {options.photos[0]}; name a whole tar first after --photos")
    kept = without_copies(found, heldout, KEPT_PAIR, counts)
    write_train(kept, options.out / "photos", counts, without=read_keys(options.without))
    write(heldout, options.out / "photos/heldout", counts)


def prepare_named(options: argparse.Namespace, making: Making, counts: Counter[str]) -> None:
    found = named_pictures(options.named, WordNet.read(options.wordnet), making, counts)
    heldout = hold_out(found, count=NUM_PER_CLASS)
    kept = without_copies(found, heldout, KEPT_PAIR, counts)
    write_train(kept, options.out / "named", counts, without=read_keys(options.without))
    write(heldout, options.out / "named/heldout", counts)


def prepare_drawn(options: argparse.Namespace, making: Making, counts: dict[str, Counter[str]]) -> None:
    """Drawings and stamps: the sample's held-out drawings are kept out of both."""
    sources, without = sample_sources(options.sample), read_keys(options.without)
    found = drawings(options.svg, options.png, making, counts["drawings"])
    kept, heldout = split_drawings(found, sources, counts["drawings"])
    if "drawings" in options.parts:
        write_train(kept, options.out / "drawings", counts["drawings"], without=without)
    if "stamps" in options.parts:
        stamped = stamps(options.stamps, making, counts["stamps"], words=WordNet.read(options.wordnet))
        kept = without_copies(stamped, heldout, HELDOUT_PAIR, counts["stamps"])
        write_train(kept, options.out / "stamps", counts["stamps"], without=without)


def report(counts: dict[str, Counter[str]]) -> None:
    for part, counted in counts.items():
        print(part)
        for name, count in sorted(counted.items(), key=lambda item: (not item[0].startswith("read"), item[0])):
            print(f"{count:12,d}  {name}")


def check(options: argparse.Namespace) -> None:
    """ValueError with what to type where an input is missing, or what is to be written is there already."""
    given = vars(options)
    for part in ("photos", "named"):
        if part in options.parts and not given[part]:
            raise ValueError(f"--{part} is missing: give it, or leave the part out with --parts")
    if {"drawings", "stamps"} & set(options.parts):
        for option, package in (("svg", "openclipart-svg"), ("png", "openclipart-png"), ("stamps", "tuxpaint-stamps-default")):
            if not given[option].is_dir():
                raise ValueError(f"{given[option]} is no folder; install {package}, or say where its folder is with --{option}")
    for part in options.parts:
        if (options.out / part).exists():
            raise ValueError(f"{options.out / part} is there already; remove it, or give another --out")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+", default=[], help="tars; pairs are held out of the first")
    parser.add_argument("--named", type=Path, help="a tar with classes.json, or tar.gz")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--svg", type=Path, default=Path("/usr/share/openclipart/svg"))
    parser.add_argument("--png", type=Path, default=Path("/usr/share/openclipart/png"))
    parser.add_argument("--stamps", type=Path, default=Path("/usr/share/tuxpaint/stamps"))
    parser.add_argument("--sample", type=Path, default=Path("src/fullclip/assets/sample/heldout"))
    parser.add_argument("--without", type=Path, help="keys of pairs to leave out, one a line: overlap.txt")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--side", type=int, default=160, help="longest side of photographs and stamps, in pixels")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--skip-torn", action="store_true", help="leave out a tar of photographs that is torn")
    options = parser.parse_args(arguments)
    making, counts = Making(side=options.side, workers=options.workers), {part: Counter[str]() for part in options.parts}
    try:
        check(options)
        if "photos" in counts:
            prepare_photos(options, making, counts["photos"])
        if "named" in counts:
            prepare_named(options, making, counts["named"])
        if counts.keys() & {"drawings", "stamps"}:
            prepare_drawn(options, making, defaultdict(Counter, counts))
    except (ValueError, OSError) as error:
        sys.exit(f"prepare: {error}")
    report(counts)


if __name__ == "__main__":
    main()
