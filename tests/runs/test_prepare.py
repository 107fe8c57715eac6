"""The whole script on a few pictures of each kind: what is kept, what is held out, what is refused."""

import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from prepare import main, split_drawings
from sources import Making, photographs, stamp_texts
from wordnet import WordNet

from fullclip.core.types import Pair
from fullclip.data.drops import Drops
from fullclip.data.shards import read_shards, write_shards
from nouns import write_wordnet

SCRIPT = Path(__file__).parents[2] / "runs/small/prepare.py"
CLASSES = ("n04285008", "n01443537")
SVG = """<svg xmlns:rdf="r" xmlns:cc="c" xmlns:dc="d"><metadata><rdf:RDF><cc:Work><dc:title>{title}</dc:title>
<dc:creator><cc:Agent><dc:title>{author}</dc:title></cc:Agent></dc:creator>
<dc:subject><rdf:Bag><rdf:li>animal</rdf:li><rdf:li>drawing</rdf:li></rdf:Bag></dc:subject></cc:Work></rdf:RDF></metadata></svg>"""


def blocks(seed: int, *, side: int) -> Image.Image:
    """A picture like no other."""
    colours = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((side, side), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def drawn(seed: int, *, noise: int = 0) -> Image.Image:
    """Ink on a transparent sheet; with noise, the same drawing in slightly other colours."""
    chance = np.random.default_rng(seed)
    sheet = Image.new("RGBA", (120, 100), (0, 0, 0, 0))
    pen = ImageDraw.Draw(sheet)
    pen.rectangle((10, 10, 109, 89), fill=(*(int(c) for c in chance.integers(30, 220, 3)),))
    for _ in range(12):
        left, top = (int(v) for v in chance.integers(10, 70, 2))
        pen.ellipse((left, top, left + 30, top + 18), fill=(*(min(int(c) + noise, 255) for c in chance.integers(0, 240, 3)),))
    return sheet


def by_hash(keys: list[str]) -> list[str]:
    return sorted(keys, key=lambda key: hashlib.sha256(key.encode()).hexdigest())


def make_photos(folder: Path) -> None:
    """150 photographs, one of which is held out and comes once more, squeezed; a torn tar, and one of zeros."""
    keys = [f"photo-{number:03d}" for number in range(150)]
    copied = keys.index(by_hash(keys)[0])
    pairs = [
        Pair(key=key, image=encoded(blocks(number, side=200), "JPEG"), texts=(f"picture  {number}", "said again"))
        for number, key in enumerate(keys)
    ]
    write_shards(pairs, folder / "photos")
    again = encoded(blocks(copied, side=200).resize((150, 180)), "JPEG", quality=60)
    other = encoded(blocks(999, side=200), "JPEG")
    write_shards(
        [Pair(key=key, image=image, texts=(key,)) for key, image in (("again", again), ("other", other))], folder / "more"
    )
    (folder / "torn.tar").write_bytes((folder / "photos/000000.tar").read_bytes()[:100_000])
    (folder / "zeros.tar").write_bytes(bytes(20_480))


def make_named(folder: Path) -> None:
    """30 pictures of each of two classes, and one that is none."""
    with tarfile.open(folder / "named.tar.gz", "w:gz") as tar:

        def add(name: str, data: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))

        add("classes.json", json.dumps([{"wnid": wnid} for wnid in CLASSES]).encode())
        for number in range(60):
            add(f"{number:06d}.webp", encoded(blocks(2_000 + number, side=64), "WEBP"))
            add(f"{number:06d}.cls", str(number % 2).encode())
        add("000060.webp", b"RIFF....WEBP, says the name")
        add("000060.cls", b"0")


def make_drawings(folder: Path) -> None:
    """Six drawings, of which the sample holds out the first: the second is its copy, the third of its series."""
    drawings = [
        ("red fish", "Ann", drawn(0)), ("swimming animal", "Bob", drawn(0, noise=6)), ("blue fish", "Ann", drawn(1)),
        ("old bottle", "Cem", drawn(2)), ("drawing of a car", "Ann", drawn(3)), ("untitled", "Dan", drawn(4)),
    ]  # fmt: skip
    for number, (title, author, image) in enumerate(drawings):
        path = Path("animals") / f"file-{number}.svg"
        for root, data in (("svg", SVG.format(title=title, author=author).encode()), ("png", encoded(image, "PNG"))):
            file = (folder / root / path).with_suffix(f".{root}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
    held = Pair(key="held", image=encoded(drawn(0), "PNG"), texts=("red fish",), meta={"source": "animals/file-0.svg"})
    write_shards([held], folder / "sample")


def make_stamps(folder: Path) -> None:
    """Two good stamps, one that copies the held-out drawing, one in SVG only, one without English, one alone."""
    for name, text, image in (
        ("food/orange", "An “orange”.  Do you like it?\nde.utf8=Eine Apfelsine.\n", drawn(10)), ("z_99", "Nine.\n", drawn(11)),
        ("copy", "A fish.\n", drawn(0, noise=6)), ("vector", "A line.\n", None), ("foreign", "de.utf8=Ein Fisch.\n", drawn(12)),
        ("alone", "Nothing.\n", None),
    ):  # fmt: skip
        file = folder / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        if image is not None:
            file.with_suffix(".png").write_bytes(encoded(image, "PNG"))
    (folder / "vector.svg").write_text("<svg/>")


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    make_photos(folder)
    make_named(folder)
    make_drawings(folder)
    make_stamps(folder / "stamps")
    write_wordnet(folder / "wordnet")
    return folder


def prepare(given: Path, out: Path, *, workers: int) -> subprocess.CompletedProcess[str]:
    photos = [given / "photos/000000.tar", given / "more/000000.tar"]
    command = [sys.executable, SCRIPT, "--out", out, "--side", "96", "--workers", str(workers), "--photos", *photos]
    for option in ("wordnet", "svg", "png", "stamps", "sample"):
        command += [f"--{option}", given / option]
    command += ["--named", given / "named.tar.gz"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def prepared(given, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "pairs"
    done = prepare(given, out, workers=1)
    assert done.returncode == 0, done.stderr
    return out, done.stdout


def pairs_of(folder: Path) -> list[Pair]:
    return list(read_shards([str(folder)], Drops(strict=True)))


def counts_of(printed: str) -> dict[str, dict[str, int]]:
    """{part: {line: count}} of the printed table."""
    found, part = defaultdict[str, dict[str, int]](dict), ""
    for line in printed.splitlines():
        if not line.startswith(" "):
            part = line
        else:
            count, _, name = line.strip().partition("  ")
            found[part][name] = int(count.replace(",", ""))
    return found


def test_photographs_are_held_out_of_the_first_tar_with_their_copies(prepared):
    out, printed = prepared
    train, heldout = (pairs_of(out / "photos" / split) for split in ("train", "heldout"))
    assert [pair.key for pair in heldout] == by_hash([f"photo-{number:03d}" for number in range(150)])[:140]
    assert len(train) == 150 - 140 + 1
    assert "other" in {pair.key for pair in train}
    assert counts_of(printed)["photos"]["dropped: near-copy of a held-out picture"] == 1
    assert heldout[0].texts == (f"picture {int(heldout[0].key[-3:])}", "said again")
    assert {Image.open(io.BytesIO(pair.image)).size for pair in heldout} == {(96, 96)}


def test_named_pictures_are_held_out_by_class_and_said_in_many_words(prepared, given):
    out, printed = prepared
    train, heldout = (pairs_of(out / "named" / split) for split in ("train", "heldout"))
    assert Counter(pair.meta["wnid"] for pair in heldout) == dict.fromkeys(CLASSES, 25)
    assert Counter(pair.meta["wnid"] for pair in train) == dict.fromkeys(CLASSES, 5)
    assert all(CLASSES[pair.meta["class"]] == pair.meta["wnid"] for pair in (*train, *heldout))
    keys = [f"{CLASSES[0]}-{number:06d}" for number in range(0, 60, 2)]
    assert {pair.key for pair in heldout if pair.meta["class"] == 0} == set(by_hash(keys)[:25])
    assert len({pair.texts for pair in (*train, *heldout)}) == 2
    car = next(pair for pair in train if pair.meta["class"] == 0)
    assert {"sports car", "sport car", "a sports car, a kind of car"} <= set(car.texts)
    with tarfile.open(given / "named.tar.gz") as tar:
        member = tar.extractfile(f"{car.key.partition('-')[2]}.webp")
        assert member is not None
        assert car.image == member.read()  # small enough already
    assert counts_of(printed)["named"]["dropped: unreadable picture"] == 1


def test_drawings_leave_out_what_the_sample_holds_out(prepared):
    out, printed = prepared
    assert {pair.texts[0] for pair in pairs_of(out / "drawings/train")} == {"old bottle", "drawing of a car"}
    counts = counts_of(printed)["drawings"]
    assert counts["dropped: near-copy of a held-out picture"] == 1
    assert counts["dropped: series of a held-out drawing"] == 1
    assert counts["dropped: title says nothing"] == 1
    assert counts["read"] == 6


def test_stamps_have_their_sentence_and_their_name(prepared):
    out, printed = prepared
    pairs = {pair.key: pair for pair in pairs_of(out / "stamps/train")}
    assert pairs.keys() == {"food-orange", "z-99"}
    assert pairs["food-orange"].texts == ('An "orange"', 'An "orange". Do you like it?', "orange")
    assert pairs["z-99"].texts == ("Nine",)
    dropped = {name: count for name, count in counts_of(printed)["stamps"].items() if name.startswith("dropped")}
    assert dropped == {
        "dropped: SVG only": 1, "dropped: no picture": 1, "dropped: no English sentence": 1,
        "dropped: near-copy of a held-out picture": 1,
    }  # fmt: skip


def test_every_picture_read_is_kept_or_counted(prepared):
    for part, counts in counts_of(prepared[1]).items():
        held = 1 if part == "drawings" else 0  # it stays in the sample
        kept = sum(count for name, count in counts.items() if name.startswith(("kept", "dropped")))
        assert counts["read"] == kept + held, part


def test_the_same_bytes_come_again(prepared, given, tmp_path):
    done = prepare(given, tmp_path / "again", workers=2)
    assert done.returncode == 0, done.stderr
    first, second = (
        {file.relative_to(root): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}
        for root in (prepared[0], tmp_path / "again")
    )
    assert first == second
    assert len(first) == 6 * 3  # of each split a shard, its offsets, an index


def test_what_an_overlap_names_is_left_out_of_training_alone(prepared, given, tmp_path):
    heldout = pairs_of(prepared[0] / "photos/heldout")[0].key
    reports = [{"sets": {"a set": {"num_training": 2, "pairs": [{"training_key": key} for key in ("other", heldout)]}}},
               {"sets": {"a set": {"num_training": 1, "pairs": [{"training_key": "other"}]}}}]  # fmt: skip
    written = subprocess.run(
        [sys.executable, SCRIPT.with_name("overlap.py")], input="\n".join(map(json.dumps, reports)),
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    assert written == f"# a set: 3 training pictures\nother\n{heldout}\n"
    (tmp_path / "overlap.txt").write_text(written)
    main([
        "--parts", "photos", "--photos", *(str(given / f"{name}/000000.tar") for name in ("photos", "more")), "--side", "96",
        "--out", str(tmp_path / "out"), "--without", str(tmp_path / "overlap.txt"), "--workers", "1",
    ])  # fmt: skip
    before, after = ({pair.key for pair in pairs_of(out / "photos/train")} for out in (prepared[0], tmp_path / "out"))
    assert before - after == {"other"}
    assert heldout in {pair.key for pair in pairs_of(tmp_path / "out/photos/heldout")}


def test_what_is_no_report_is_one_line():
    done = subprocess.run(
        [sys.executable, SCRIPT.with_name("overlap.py")], input='{"sets": 3}', capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stderr.startswith("overlap: no reports of `fullclip data decontaminate --json`")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("name", "where"), [("torn.tar", "torn.tar from byte"), ("zeros.tar", "zeros.tar holds no pair")])
def test_a_torn_tar_is_left_out_only_when_asked(given, tmp_path, capsys, name, where):
    whole, torn = given / "photos/000000.tar", given / name
    with pytest.raises(SystemExit) as refused:
        main(["--parts", "photos", "--out", str(tmp_path / "out"), "--photos", str(whole), str(torn)])
    line = f"prepare: torn tar: {given}/{where}.*; fetch it again, or leave it out with --skip-torn"
    assert re.fullmatch(line, str(refused.value))
    counts = Counter[str]()
    assert photographs([torn], Making(side=96, workers=1), counts, skip_torn=True) == []
    assert counts == {"dropped: torn tar": 1}
    assert f"left out, since it is torn: {given}/{where}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--parts named --named {}/torn.tar", "torn tar: {}/torn.tar from byte"),
        ("--parts named --named {}/cut.tar.gz", "torn tar: {}/cut.tar.gz as gzip"),
        ("--parts named --named {}/photos/000000.tar", "no named pictures (KeyError('classes.json')); give a tar of KEY.webp"),
        ("--parts named --named {}/named.tar.gz --wordnet {}", "{}/data.noun is not there; install Debian's wordnet-base"),
        ("--parts named", "--named is missing: give it, or leave the part out with --parts"),
        (
            "--parts stamps --stamps {}/no",
            "{}/no is no folder; install tuxpaint-stamps-default, or say where its folder is with",
        ),
        ("--parts drawings --png {}/no", "{}/no is no folder; install openclipart-png, or say where its folder is with --png"),
        ("--parts drawings --sample {}/photos", "{}/photos is no sample: its pairs have no source; give src/fullclip/assets"),
        ("--parts photos --photos {}/no.tar", "No such file or directory: '{}/no.tar'"),
    ],
)
def test_a_wrong_input_is_one_line(given, tmp_path, options, message):
    (given / "cut.tar.gz").write_bytes((given / "named.tar.gz").read_bytes()[:2_000])
    folders = [f"--{name}={given / name}" for name in ("wordnet", "svg", "png", "stamps", "sample")]
    with pytest.raises(SystemExit) as refused:
        main([*folders, "--out", str(tmp_path / "out"), *options.replace("{}", str(given)).split()])
    assert message.replace("{}", str(given)) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_sample_of_other_drawings_is_refused(prepared):
    with pytest.raises(ValueError, match=r"holds out animals/gone\.svg, which is not among the drawings; give the sample's"):
        split_drawings([], {"animals/gone.svg"}, Counter())


def test_what_is_there_already_stays(given, tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(SystemExit, match="photos is there already; remove it, or give another --out"):
        main(["--parts", "photos", "--photos", str(given / "photos/000000.tar"), "--out", str(tmp_path)])


def test_a_stamps_file_name_counts_if_it_is_made_of_nouns(given, tmp_path):
    words = WordNet.read(given / "wordnet")
    for name, text, expected in (
        ("car_bottle2", "A toy.", ("A toy", "car bottle")),
        ("car_x", "A toy.", ("A toy",)),
        ("fish_2", 'A "red" (fish). It swims! Far.', ('A "red" (fish)', 'A "red" (fish). It swims! Far.', "fish")),
        ("car_1", "St. Bernard's car.", ("St. Bernard's car", "car")),
        ("bottle", "Bottle!", ("Bottle!", "bottle")),
        ("fish", "Fish.", ("Fish",)),
        ("car", "", ()),
    ):
        file = tmp_path / f"{name}.txt"
        file.write_text(text, encoding="utf-8")
        assert stamp_texts(file, words) == expected, name
