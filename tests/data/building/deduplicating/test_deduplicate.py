import json
import random

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image, ImageDraw

from copies import contents, jpeg, killed, png, row, scene, write_stage
from fullclip.data.building.deduplicating import grouping
from fullclip.data.building.deduplicating.deduplicate import deduplicate
from fullclip.data.building.deduplicating.grouping import EvaluationSet
from fullclip.data.building.engine import Pool
from fullclip.data.building.rows import partitions
from overlaps import CHANGES, cropped, described, drawings

EASY = ("recompressed", "64 pixels", "squashed", "larger", "grey", "darker", "contrast")


def run(folder, out, *, workers=1, **options):
    engine = Pool(workers)
    try:
        return deduplicate(partitions([str(folder)]), out=str(out), engine=engine, **options)
    finally:
        engine.close()


def kept_keys(out):
    return sorted(
        key for part in sorted((out / "parts").iterdir()) for key in pyarrow.parquet.read_table(part)["key"].to_pylist()
    )


def groups_of(out):
    return [json.loads(line) for line in (out / "groups.jsonl").read_text().splitlines()]


def reasons(report):
    return {one.reason: one.count for one in report.dropped}


def mixed_rows():
    """Pictures, copies of some of them, blank pages, what is no picture, and rows without any."""
    rows = [row(f"one{i:02d}", jpeg(scene(i)), "a text of some length") for i in range(12)]
    rows += [row(f"copy{i:02d}", jpeg(scene(i), 40)) for i in range(6)]
    rows += [row(f"same{i:02d}", jpeg(scene(i))) for i in range(3)]
    rows += [row(f"blank{i}", png(Image.new("RGB", (64, 48), (250, 250, 250 - i)))) for i in range(2)]
    rows += [row("torn", jpeg(scene(40))[:300]), row("none1", None), row("none2", None)]
    return rows


def test_copies_are_found_and_different_pictures_are_not(tmp_path):
    sources = [*drawings(), *(scene(seed) for seed in range(120))]
    rows, truth = [], {}
    for number, image in enumerate(sources):
        rows.append(row(f"p{number:03d}", png(image), "the longest text of all"))
        for place in (number, number + 1):
            change = EASY[place % len(EASY)]
            key = f"c{number:03d}-{change.replace(' ', '')}"
            rows.append(row(key, jpeg(CHANGES[change](image), 85)))
            truth[key] = (f"p{number:03d}", change)
    report = run(write_stage(tmp_path / "in", rows, num_parts=2), tmp_path / "out")
    group = {}
    for one in groups_of(tmp_path / "out"):
        members = [one["kept"], *(gone["key"] for gone in one["removed"])]
        assert len({member[1:4] for member in members}) == 1, members
        group |= dict.fromkeys(members, one["kept"])
    for change in EASY:
        found = [group.get(key, key) == group.get(source, source) for key, (source, kind) in truth.items() if kind == change]
        assert np.mean(found) >= 0.95, change
    assert report.num_out <= len(sources) + 0.05 * len(truth)


def test_flat_pictures_are_not_all_the_same(tmp_path):
    def page(mark):
        image = Image.new("RGB", (64, 64), "white")
        if mark is not None:
            ImageDraw.Draw(image).rectangle((mark, 30, mark + 3, 33), fill=(170, 170, 170))
        return image

    rows = [row(f"marked{mark:02d}", png(page(mark))) for mark in range(0, 60, 6)]
    rows += [
        row("blank", png(page(None)), "the longest text"),
        row("blank-again", jpeg(page(None), 50)),
        row("smaller", png(page(None).resize((32, 32)))),
    ]
    rows += [row(colour, png(Image.new("RGB", (64, 64), colour))) for colour in ("red", "green", "blue", "black")]
    report = run(write_stage(tmp_path / "in", rows), tmp_path / "out")
    assert reasons(report) == {"near copy (picture)": 2}
    (group,) = groups_of(tmp_path / "out")
    assert group["kept"] == "blank"
    assert {one["key"] for one in group["removed"]} == {"blank-again", "smaller"}


def test_reasons_are_counted_and_told(tmp_path):
    report = run(write_stage(tmp_path / "in", mixed_rows()), tmp_path / "out")
    assert report.num_in == 26
    assert reasons(report) == {"near copy (picture)": 7, "exact copy": 3, "unreadable picture": 1}
    assert report.counts == {"groups": 7, "largest_group": 3, "crowded": 0}
    assert kept_keys(tmp_path / "out") == ["blank0", "none1", "none2", *(f"one{i:02d}" for i in range(12))]
    first = next(one for one in groups_of(tmp_path / "out") if one["kept"] == "one00")
    told = {one["key"]: one for one in first["removed"]}
    assert told["same00"] == {"key": "same00", "reason": "exact copy", "similarity": 1.0}
    assert told["copy00"]["reason"] == "near copy (picture)"
    assert 0.8 <= told["copy00"]["similarity"] <= 1


@pytest.mark.parametrize("kept", range(5))
def test_of_copies_the_largest_stays_then_that_with_the_longest_text_the_largest_file_the_first_key(tmp_path, kept):
    image, large = scene(0), scene(0).resize((192, 144))
    ranked = [
        row("e", jpeg(large, 50), "longer than all"),
        row("d", jpeg(large), "longer"),
        row("b", jpeg(large, 60), "longer"),
        row("c", jpeg(large, 60), "longer"),
        row("a", jpeg(image, 99), "the very longest of all texts"),
    ]
    run(write_stage(tmp_path / "in", ranked[kept:][::-1]), tmp_path / "out")
    assert kept_keys(tmp_path / "out") == [ranked[kept]["key"]]


def test_what_goes_is_itself_like_what_stays(tmp_path):
    """Of a chain, each like the next, the far end is not taken for the beginning."""
    images = [cropped(scene(5, size=(256, 192)), cut, cut, cut, cut) for cut in np.linspace(0, 0.2, 21)]
    rows = [row(f"cut{i:02d}", png(image)) for i, image in enumerate(images)]
    run(write_stage(tmp_path / "in", rows), tmp_path / "out")
    kept = kept_keys(tmp_path / "out")
    assert "cut00" in kept
    assert 2 <= len(kept) < 21
    groups = [json.loads(line) for line in (tmp_path / "out/groups.jsonl").read_text().splitlines()]
    removed = [one for group in groups for one in group["removed"]]
    assert sorted([*kept, *(one["key"] for one in removed)]) == [f"cut{i:02d}" for i in range(21)]
    assert min(one["similarity"] for one in removed) >= 0.9


@pytest.mark.parametrize("workers", [1, 2])
def test_neither_parting_nor_order_nor_workers_change_what_stays(tmp_path, workers):
    rows = mixed_rows()
    run(write_stage(tmp_path / "in", rows), tmp_path / "whole")
    random.Random(workers).shuffle(rows)
    run(write_stage(tmp_path / "other", rows, num_parts=5), tmp_path / "parted", workers=workers)
    assert kept_keys(tmp_path / "whole") == kept_keys(tmp_path / "parted")
    assert groups_of(tmp_path / "whole") == groups_of(tmp_path / "parted")


def test_pictures_of_a_set_go_whatever_was_done_to_them(tmp_path):
    images = drawings()
    theirs = EvaluationSet(
        name="held out", keys=[f"test{i}" for i in range(10)], descriptors=described(images[:10]), threshold=0.8
    )
    changes = {
        "same": lambda image: image,
        "mirrored": CHANGES["mirrored"],
        "recompressed": CHANGES["recompressed"],
        "cut": lambda image: cropped(image, 0.05, 0.05, 0.05, 0.05),
    }
    rows = [row(f"{name}{i}", png(change(images[i]))) for name, change in changes.items() for i in range(10)]
    rows += [row(f"other{i}", png(images[i])) for i in range(10, 30)]
    report = run(write_stage(tmp_path / "in", rows, num_parts=2), tmp_path / "out", against=[theirs])
    kept = kept_keys(tmp_path / "out")
    assert [key for key in kept if key.startswith("other")] == sorted(f"other{i}" for i in range(10, 30))
    assert len(kept) <= 20 + 2
    assert reasons(report) == {"in held out": report.num_in - report.num_out}
    group = next(one for one in groups_of(tmp_path / "out") if one["in"][0]["picture"] == "test0")
    assert group["kept"] is None
    assert {one["key"] for one in group["removed"]} >= {"same0", "recompressed0"}
    assert report.settings["against"]["held out"]["pictures"] == 10


def test_a_copy_of_what_is_in_a_set_goes_with_it(tmp_path):
    image = scene(7, size=(256, 192))
    theirs = EvaluationSet(name="s", keys=["k"], descriptors=described([image]), threshold=0.8)
    chain = [cropped(image, cut, cut, cut, cut) for cut in (0.0, 0.03, 0.06, 0.09, 0.12)]
    rows = [row(f"cut{i}", png(one)) for i, one in enumerate(chain)] + [row("other", png(scene(8)))]
    report = run(write_stage(tmp_path / "in", rows), tmp_path / "out", against=[theirs])
    assert kept_keys(tmp_path / "out") == ["other"]
    assert reasons(report) == {"in s": 5}


def test_a_flat_picture_of_a_set_goes(tmp_path):
    white = Image.new("RGB", (32, 32), "white")
    theirs = EvaluationSet(name="s", keys=["k"], descriptors=described([white]), threshold=0.8)
    rows = [row("white", png(white.resize((80, 80)))), row("black", png(Image.new("RGB", (80, 80))))]
    run(write_stage(tmp_path / "in", rows), tmp_path / "out", against=[theirs])
    assert kept_keys(tmp_path / "out") == ["black"]


def test_pictures_that_are_about_alike_do_not_take_for_ever(tmp_path, monkeypatch):
    """A crowd of pictures with one layout and other details: each is aligned with some of the others only."""
    num_aligned, aligned = [], grouping.align

    def align(first, second, places):
        num_aligned.append(len(first))
        return aligned(first, second, places)

    monkeypatch.setattr(grouping, "align", align)
    monkeypatch.setattr(grouping, "_CLIMBS", 3)
    monkeypatch.setattr(grouping, "_AT_ONCE", 16)
    layout, random_ = np.asarray(scene(0, size=(64, 64))).astype(int), np.random.default_rng(0)
    rows = [
        row(f"k{i:02d}", png(Image.fromarray(np.clip(layout + random_.normal(0, 55, layout.shape), 0, 255).astype(np.uint8))))
        for i in range(60)
    ]
    report = run(write_stage(tmp_path / "in", rows), tmp_path / "out")
    assert report.num_out > 30
    assert 20 <= sum(num_aligned) <= 60 * (3 + 16) / 2


def test_rows_without_pictures_are_compared_by_url_and_text(tmp_path):
    table = tmp_path / "rows.jsonl"
    lines = [("u1", "a"), ("u1", "a"), ("u1", "b"), ("u2", "a")]
    table.write_text("".join(json.dumps({"url": url, "text": text}) + "\n" for url, text in lines) + "{broken\n")
    report = run(table, tmp_path / "out")
    assert (report.num_in, report.num_out) == (5, 3)
    assert reasons(report) == {"exact copy": 1, "broken row": 1}


def test_no_row_at_all(tmp_path):
    report = run(write_stage(tmp_path / "in", [row("torn", b"rubbish")]), tmp_path / "out")
    assert (report.num_out, reasons(report)) == (0, {"unreadable picture": 1})


@pytest.mark.faults
def test_killed_at_any_file_it_goes_on_to_the_same_bytes(tmp_path):
    folder = write_stage(tmp_path / "in", mixed_rows(), num_parts=3)
    run(folder, tmp_path / "straight")
    kills = 0
    while killed(2 + 3 * kills, run, folder, tmp_path / "killed"):
        kills += 1
        assert kills < 30
    assert kills >= 3
    assert contents(tmp_path / "killed") == contents(tmp_path / "straight")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, "a threshold is 1.5"),
        ({"threshold": float("nan")}, "a threshold is nan"),
        (
            {"against": [EvaluationSet(name="s", keys=[], descriptors=np.empty((0, 1056), np.uint8), threshold=0.8)] * 2},
            "two sets",
        ),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, options, message):
    folder = write_stage(tmp_path / "in", mixed_rows()[:2])
    with pytest.raises(ValueError, match=message):
        run(folder, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_another_threshold_wants_another_folder(tmp_path):
    folder = write_stage(tmp_path / "in", mixed_rows()[:2])
    run(folder, tmp_path / "out")
    with pytest.raises(ValueError, match=r"was begun with threshold 0\.9, and now it is 0\.8"):
        run(folder, tmp_path / "out", threshold=0.8)
