"""Accuracy by data and by batches: which runs there are, and what is told of them."""

from dataclasses import replace

import pytest
import torch

from fullclip.baselines.scale.comparison import Point, compare_scale, last_accuracies, points, read_varied
from fullclip.baselines.scale.page import sentences, write_page
from learning import SETTINGS, colour_pairs, colour_question


def test_one_thing_is_varied_at_a_time_and_each_run_is_made_once():
    found = points(read_varied([]), replace(SETTINGS, batch_size=128))
    assert found == [
        Point(share=0.1, batch_size=128),
        Point(share=0.3, batch_size=128),
        Point(share=1.0, batch_size=128),
        Point(share=1.0, batch_size=32),
        Point(share=1.0, batch_size=512),
    ]
    assert points(read_varied(["share=0.5,1"]), SETTINGS) == [Point(share=0.5, batch_size=16), Point(share=1.0, batch_size=16)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shares=0.1,1", "nothing named 'shares' can be varied; did you mean 'share'"),
        ("share=a,b", "write numbers, such as share=0.1,0.3,1"),
        ("share=0.5", "two numbers at least, such as share=0.1,0.3,1"),
        ("share=0,1", "shares are above 0 and at most 1"),
        ("batch_size=1,2", "batches have 2 pairs or more, such as batch_size=32,128,512"),
        ("batch_size=2.5,4", "batches have 2 pairs or more"),
    ],
)
def test_what_cannot_be_varied_is_one_line(text, message):
    with pytest.raises(ValueError, match=message):
        read_varied([text])


def test_runs_see_as_many_images_from_their_share(tmp_path):
    varied = {"share": (0.5, 1.0), "batch_size": (8, 16)}
    given = {"shards": ["s"], "varied": varied, "seeds": [0], "device": torch.device("cpu")}
    for rows in compare_scale(colour_pairs(), colour_question(), tmp_path, SETTINGS, **given):
        write_page(rows, tmp_path / "scale.html", data="d", settings=SETTINGS)  # of one run, too
    assert {(row["share"], row["batch_size"]) for row in rows} == {(0.5, 16), (1.0, 16), (1.0, 8)}
    assert [row["images"] for row in rows] == [160, 320] * 3
    usual = Point(share=1.0, batch_size=16)
    last = {(row["share"], row["batch_size"]): row["value"] for row in rows}
    assert {key: list(found) for key, found in last_accuracies(rows, "share", usual).items()} == {
        0.5: [last[0.5, 16]],
        1.0: [last[1.0, 16]],
    }
    said = sentences(rows, SETTINGS)
    assert said[0].startswith("By share of the pairs: 50%: ")
    assert said[1].startswith("By pairs in a batch: 8: ")
    write_page(rows, tmp_path / "scale.html", data="d", settings=SETTINGS)
    page = (tmp_path / "scale.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1
    assert page.count("<table") == 2
