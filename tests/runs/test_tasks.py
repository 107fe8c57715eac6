"""The script of the tasks on a few pictures of each kind: what is asked can be opened, and is what was given."""

import hashlib
import importlib.util
import io
import json
import sys
import tarfile
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from emoji_classes import CIFAR10, IMAGENET, KINDS
from emoji_hands import HANDS, Emoji, code
from PIL import Image
from task_folders import Picture

from fullclip.core.types import Pair
from fullclip.data.shards import write_shards
from fullclip.evaluation.datasets import class_names, imagenet_wordnet_ids, templates
from fullclip.evaluation.suite.shifts import corresponding
from fullclip.evaluation.tasks.find import find_task
from fullclip.evaluation.tasks.task import Example, Task

# `tasks` is another module where tests are
_spec = importlib.util.spec_from_file_location("small_tasks", Path(__file__).parents[2] / "runs/small/tasks.py")
assert _spec is not None
assert _spec.loader is not None
script = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(script)

FEW_KINDS = {"animal": (("animal",), "🐕 🐈 🦁 🦋"), "fruit": (("fruit", "vegetable"), "🍋 🍌 🌶️ 🍊")}
WNIDS = ("n02129165", "n07749582", "n02123045", "n02281406")  # a lion, a lemon, a tabby, a butterfly
COUNTRIES = {"1F1EF-1F1F5": "Japan", "1F1E9-1F1EA": "Germany", "1F1F9-1F1E9": "Chad"}


def encoded(colour: tuple[int, ...], *, side: int = 32, kind: str = "PNG", noise: int = 0) -> bytes:
    """One colour; a few grey levels of noise make it a picture like no other of its colour."""
    pixels = np.broadcast_to(np.array(colour, dtype=np.int64), (side, side, len(colour))).copy()
    pixels[: side // 2, :, :3] += np.random.default_rng(noise).integers(0, 4, (side // 2, side, 3))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, kind, quality=95)
    return buffer.getvalue()


def shade(label: int) -> tuple[int, int, int]:
    return (20 + 22 * label, 200 - 15 * label, 60)


def colour_of(emoji: str) -> tuple[int, int, int]:
    return tuple(40 + each % 160 for each in hashlib.sha256(emoji.encode()).digest()[:3])  # type: ignore[return-value]


def write_cifar10(path: Path, *, names: str | None = None, per_class: int = 4) -> None:
    with tarfile.open(path, "w:gz") as tar:

        def add(name: str, data: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))

        add("classnames.txt", (names or "\n".join(name[0] for name in class_names("cifar10"))).encode())
        for number in range(10 * per_class):
            add(f"{number:05d}.jpg", encoded(shade(number % 10), kind="JPEG", noise=number))
            add(f"{number:05d}.cls", str(number % 10).encode())


def write_named(folder: Path, *, wnids: tuple[str, ...] = WNIDS) -> None:
    pairs = [
        Pair(key=f"{wnid}-{number}", image=encoded(shade(place), noise=number), texts=("a thing",), meta={"wnid": wnid})
        for number in range(3)
        for place, wnid in enumerate(wnids)
    ]
    write_shards(pairs, folder)


def write_modules(folder: Path) -> None:
    """The npm packages with the emoji that are asked for, each a colour of its own that fades towards transparency."""
    used = [each for _, text in FEW_KINDS.values() for each in text.split()]
    used += [each for text in CIFAR10.values() for each in text.split()]
    used += [each for _, text in IMAGENET.values() for each in text.split()]
    names = {each: {"tts": [f"thing {code(each)}"]} for each in used}
    listed = [{"unified": code, "name": f"{name} Flag", "subcategory": "country-flag"} for code, name in COUNTRIES.items()]
    for path, told in (
        ("cldr-annotations-full/annotations/en/annotations.json", {"annotations": {"annotations": names}}),
        ("emoji-datasource-google/emoji.json", [*listed, {"unified": "1F600", "name": "X", "subcategory": "face"}]),
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(told), encoding="utf-8")
    flags = ["".join(chr(int(part, 16)) for part in text.split("-")) for text in COUNTRIES]
    for hand, place in HANDS.items():
        for emoji in (*used, *flags[: 2 if hand == "openmoji" else 3]):
            name = code(emoji.replace("\ufe0f", "") if hand in ("twitter", "openmoji") else emoji)
            path = folder / place.format(lower=name, upper=name.upper())
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".svg":
                path.write_text(f"<svg fill='rgb{colour_of(emoji)}'/>".replace(" ", ""), encoding="utf-8")
            else:
                path.write_bytes(encoded(colour_of(emoji), side=80, kind=path.suffix[1:].upper().replace("WEBP", "PNG")))


def painted(*, svg_path: str, width: int, height: int, skip_system_fonts: bool) -> bytes:
    """What resvg would give for the drawings above."""
    assert skip_system_fonts
    assert width == height
    told = Path(svg_path).read_text(encoding="utf-8").partition("rgb(")[2].partition(")")[0]
    return encoded(tuple(int(part) for part in told.split(",")), side=width)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    write_cifar10(folder / "cifar10.tar.gz")
    write_named(folder / "named")
    photos = [
        Pair(key=f"p{number}", image=encoded(shade(number)), texts=(f"picture {number}", "again"), meta={"url": "x"})
        for number in range(4)
    ]
    write_shards(photos, folder / "photos")
    write_modules(folder / "node_modules")
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(sys.modules, "resvg_py", SimpleNamespace(svg_to_bytes=painted))
        patched.setattr(script, "KINDS", FEW_KINDS)
        yield folder


def command(given: Path, out: Path, *more: str) -> list[str]:
    return [
        *("--cifar10", str(given / "cifar10.tar.gz"), "--named", str(given / "named"), "--photos", str(given / "photos")),
        *("--flickr8k", str(given / "photos/000000.tar"), "--emoji", str(given / "node_modules"), "--out", str(out), *more),
    ]


@pytest.fixture(scope="module")
def made(given):
    with redirect_stdout(io.StringIO()) as printed:
        script.main(command(given, given / "tasks"))
    return given / "tasks", printed.getvalue()


def examples_of(task: Task, split: str = "test") -> list[Example]:
    found = list(task.splits[split].read(range(len(task.splits[split]))))
    assert all(isinstance(each, Example) for each in found)
    return found  # type: ignore[return-value]


def mean_colour(example: Example) -> np.ndarray:
    assert isinstance(example.image, bytes)
    return np.asarray(Image.open(io.BytesIO(example.image)).convert("RGB"), dtype=np.float64).mean(axis=(0, 1))


def test_every_folder_opens_as_the_task_that_the_table_says(made):
    out, printed = made
    names = sorted(folder.name for folder in out.iterdir() if folder.is_dir())
    assert {find_task(str(out / name)).name for name in names} == set(names)
    rows = [line.split(" | ")[0].removeprefix("| ") for line in printed.splitlines()]
    assert sorted(rows) == names
    assert all(line in (out / "README.md").read_text(encoding="utf-8") for line in printed.splitlines())
    notes = {line.split(" | ")[0].removeprefix("| "): line.split(" | ")[3] for line in printed.splitlines()}
    for name in names:
        note = find_task(str(out / name)).note
        assert note
        assert f"{note} |" in notes[name]
    assert {"cifar10", "named-heldout", "photos-heldout", "sample-heldout", "flickr8k-test", "emoji-google"} <= set(names)


def test_cifar10_by_its_name_has_the_papers_words_and_each_picture_its_label(made):
    out, _ = made
    task = find_task("cifar10", root=out)
    assert (task.dataset, task.classes, task.templates) == ("cifar10", class_names("cifar10"), templates("cifar10"))
    assert len(examples_of(task)) == 40
    for example in examples_of(task):
        assert np.abs(mean_colour(example) - shade(example.labels[0])).max() < 6


def test_halves_share_no_picture_and_are_the_whole_set(made):
    out, _ = made
    whole, cut = find_task("cifar10", root=out), find_task(str(out / "cifar10-halves"))
    parts = {split: {example.key: example.labels for example in examples_of(cut, split)} for split in ("train", "test")}
    assert not parts["train"].keys() & parts["test"].keys()
    assert parts["train"] | parts["test"] == {example.key: example.labels for example in examples_of(whole)}
    assert Counter(parts["train"].values()) == Counter(parts["test"].values()) == {(label,): 2 for label in range(10)}
    assert cut.classes == whole.classes


def test_halves_do_not_depend_on_the_order_of_the_pictures():
    pictures = [Picture(key=f"{n}", data=encoded(shade(n % 3), noise=n), label=n % 3) for n in range(15)]
    one, other = script.halves(pictures), script.halves(pictures[::-1])
    assert {split: {p.key for p in part} for split, part in one.items()} == {
        split: {p.key for p in part} for split, part in other.items()
    }
    assert (len(one["train"]), len(one["test"])) == (6, 9)  # of five, three are tested


def test_named_pictures_have_imagenets_names_in_its_order(made):
    out, _ = made
    task = find_task(str(out / "named-heldout"))
    ids = imagenet_wordnet_ids()
    ordered = sorted(WNIDS, key=ids.index)
    assert task.classes == tuple(class_names("imagenet")[ids.index(wnid)] for wnid in ordered)
    assert task.templates == templates("imagenet")
    for example in examples_of(task):
        wnid = example.key.partition("-")[0]
        assert ordered[example.labels[0]] == wnid
        assert np.abs(mean_colour(example) - shade(WNIDS.index(wnid))).max() < 6


def test_pairs_keep_their_pictures_and_captions(made):
    out, _ = made
    for name in ("photos-heldout", "flickr8k-test"):
        task = find_task(str(out / name))
        assert task.kind == "retrieval"
        assert [(example.key, example.texts) for example in examples_of(task)] == [
            (f"p{number}", (f"picture {number}", "again")) for number in range(4)
        ]
    assert len(find_task(str(out / "sample-heldout")).splits["test"]) == 300


def test_an_emoji_is_the_same_class_by_every_hand(made):
    out, _ = made
    reference = find_task(str(out / "emoji-google"))
    shown = [each for _, text in FEW_KINDS.values() for each in text.split()]
    assert reference.class_names == tuple(f"thing {code(each)}" for each in shown)
    for hand in HANDS:
        task = find_task(str(out / f"emoji-{hand}"))
        found = examples_of(task)
        assert [example.labels for example in found] == [(label,) for label in range(len(shown))]
        for example, each in zip(found, shown, strict=True):
            assert np.abs(mean_colour(example) - colour_of(each)).max() < 8
        if hand != "google":
            assert corresponding(task, reference) == tuple((label,) for label in range(len(shown)))


def test_kinds_are_learned_from_one_hand_and_asked_of_other_things(made):
    out, _ = made
    reference = find_task(str(out / "emoji-kinds-google"))
    assert reference.classes == (("animal",), ("fruit", "vegetable"))
    keys = {split: {example.key for example in examples_of(reference, split)} for split in ("train", "test")}
    assert len(keys["train"]) == len(keys["test"]) == 4
    assert not keys["train"] & keys["test"]
    for hand in set(HANDS) - {"google"}:
        shift = find_task(str(out / f"emoji-kinds-{hand}"))
        assert list(shift.splits) == ["test"]
        assert {example.key.replace(hand, "google") for example in examples_of(shift)} == keys["test"]
        assert corresponding(shift, reference) == ((0,), (1,))


def test_photographs_classes_are_drawn_by_all_hands(made):
    out, _ = made
    cifar, drawn = find_task(str(out / "cifar10-halves")), find_task(str(out / "cifar10-emoji"))
    assert corresponding(drawn, cifar) == tuple((label,) for label in range(10))
    numbers = Counter(example.labels[0] for example in examples_of(drawn))
    assert numbers == {label: len(HANDS) * len(text.split()) for label, text in enumerate(CIFAR10.values())}
    named, drawn = find_task(str(out / "named-heldout-halves")), find_task(str(out / "named-heldout-emoji"))
    there = corresponding(drawn, named)
    assert {name: named.class_names[places[0]] for name, places in zip(drawn.class_names, there, strict=True)} == {
        "cat": "tabby cat", "lion": "lion", "butterfly": "sulphur butterfly", "lemon": "lemon",
    }  # fmt: skip


def test_flags_are_those_that_all_of_three_hands_have(made):
    out, _ = made
    for hand in ("google", "twitter", "openmoji"):
        task = find_task(str(out / f"flags-{hand}"))
        assert task.class_names == ("Japan", "Germany")
        assert [example.key for example in examples_of(task)] == [f"{hand}-1f1ef-1f1f5", f"{hand}-1f1e9-1f1ea"]


def test_the_same_input_gives_the_same_bytes(made, given):
    out, _ = made
    script.main(command(given, given / "again"))
    files = sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(given / "again") for path in (given / "again").rglob("*") if path.is_file())
    assert all((out / file).read_bytes() == (given / "again" / file).read_bytes() for file in files)


def test_drawings_stand_on_white(tmp_path):
    write_modules(tmp_path)
    clear = tmp_path / HANDS["google"].format(lower=code("🐕"), upper="")
    Image.new("RGBA", (72, 72), (200, 0, 0, 0)).save(clear)
    picture = Image.open(io.BytesIO(Emoji(tmp_path).picture("🐕", "google")))
    assert (picture.mode, picture.size) == ("RGB", (64, 64))
    assert np.asarray(picture).min() == 255


def test_an_svg_is_drawn_as_it_says(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "resvg_py", raising=False)  # the stand-in
    pytest.importorskip("resvg_py", reason="drawings in SVG need resvg-py")
    write_modules(tmp_path)
    half = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 72 72'><rect width='36' height='72' fill='#ff0000'/></svg>"
    (tmp_path / HANDS["openmoji"].format(lower="", upper=code("🐕").upper())).write_text(half, encoding="utf-8")
    found = np.asarray(Image.open(io.BytesIO(Emoji(tmp_path).picture("🐕", "openmoji"))))
    assert (found[:, :28] == (255, 0, 0)).all()
    assert (found[:, 36:] == 255).all()


def test_the_tables_of_emoji_hold_together():
    things = [each for _, text in KINDS.values() for each in text.split()]
    assert len(things) == len(set(things)) > 300
    assert min(len(text.split()) for _, text in KINDS.values()) >= 10
    assert list(CIFAR10) == [names[0] for names in class_names("cifar10")]
    wnids = [wnid for own, _ in IMAGENET.values() for wnid in own]
    assert len(wnids) == len(set(wnids))
    assert set(wnids) <= set(imagenet_wordnet_ids())
    for table in (CIFAR10, {name: text for name, (_, text) in IMAGENET.items()}):
        shown = [each for text in table.values() for each in text.split()]
        assert len(shown) == len(set(shown))


def refused(arguments: list[str]) -> str:
    with pytest.raises(SystemExit) as stopped:
        script.main(arguments)
    return str(stopped.value)


def test_a_torn_set_is_named_or_left_out_and_said(given, tmp_path, capsys):
    torn = tmp_path / "torn.tar"
    torn.write_bytes((given / "photos/000000.tar").read_bytes()[:2000])
    arguments = ["--flickr8k", str(torn), "--out", str(tmp_path / "out")]
    assert refused(arguments) == (
        f"tasks: {torn}: torn: {torn} from byte 1,536; fetch it again, or go on without it with --skip-torn"
    )
    script.main([*arguments, "--skip-torn"])
    assert f"left out: {torn}: torn: " in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "out").iterdir() if path.is_dir()] == ["sample-heldout"]


def test_what_is_not_cifar10_is_refused(given, tmp_path):
    write_cifar10(tmp_path / "other.tar.gz", names="dog\ncat")
    assert "no CIFAR-10, its classnames.txt says ['dog', 'cat']" in refused(
        ["--cifar10", str(tmp_path / "other.tar.gz"), "--out", str(tmp_path / "out")]
    )
    (tmp_path / "cut.tar.gz").write_bytes((given / "cifar10.tar.gz").read_bytes()[:3000])
    assert "torn tar" in refused(["--cifar10", str(tmp_path / "cut.tar.gz"), "--out", str(tmp_path / "out")])
    write_cifar10(tmp_path / "short.tar", per_class=1)
    with tarfile.open(tmp_path / "short.tar") as whole, tarfile.open(tmp_path / "less.tar", "w") as less:
        for member in whole:
            if member.name != "00003.cls":
                less.addfile(member, whole.extractfile(member))
    assert "00003.jpg has no 00003.cls" in refused(["--cifar10", str(tmp_path / "less.tar"), "--out", str(tmp_path / "out")])


def test_pictures_of_no_class_of_imagenet_are_refused(tmp_path):
    write_named(tmp_path / "strange", wnids=("n00000001", "n02129165"))
    arguments = ["--named", str(tmp_path / "strange"), "--out", str(tmp_path / "out")]
    assert "n00000001 is no class of ImageNet" in refused(arguments)


def test_a_missing_package_or_drawing_is_named_with_what_to_type(given, tmp_path, monkeypatch):
    write_modules(tmp_path / "node_modules")
    arguments = ["--emoji", str(tmp_path / "node_modules"), "--out", str(tmp_path / "out")]
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "resvg_py", None)
        assert "pip install resvg-py" in refused(arguments)
    (tmp_path / "node_modules" / HANDS["twitter"].format(lower=code("🍋"), upper="")).unlink()
    assert "twitter has no drawing of 🍋 (1f34b)" in refused(arguments)
    (tmp_path / "node_modules/@lobehub").rename(tmp_path / "gone")
    assert "npm install --ignore-scripts @lobehub/fluent-emoji-3d" in refused(arguments)


def test_an_emoji_without_a_name_is_said(given):
    with pytest.raises(ValueError, match=r"🫨 \(1fae8\) has no name in .*annotations\.json; install a newer one"):
        Emoji(given / "node_modules").name("🫨")


def test_a_folder_that_holds_something_is_not_written_into(made, given):
    assert f"{given / 'tasks'} is there already" in refused(command(given, given / "tasks"))
