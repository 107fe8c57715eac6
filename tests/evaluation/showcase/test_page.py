"""The report: one page that needs nothing beside it, whatever the texts in it say; and how it looks in a browser."""

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fullclip.core.distributed import World
from fullclip.data.drops import Drops
from fullclip.data.shards import find_shards, read_shard
from fullclip.evaluation.showcase.answers import full_text, show, write_showcase
from fullclip.inference import load
from fullclip.train.loop import train
from tiny import tiny_run


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("report")
    done = train(tiny_run("train.steps=3"), out, resume=False, world=World.single(), device=torch.device("cpu"))
    folder = str(Path(__file__).parents[3] / "src/fullclip/assets/sample/heldout")
    pairs = [pair for shard in find_shards([folder]) for pair in read_shard(shard, Drops(strict=True))][:120]
    shown = show(load(done.model), pairs, ["<b>a dog</b>", "a flag"])
    write_showcase(shown, done.metrics, out / "report.html", title="A & B", facts={"model": "<tiny>"})
    return out / "report.html"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.counts: dict[str, int] = {}

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.links += [value for name, value in attrs if name in ("src", "href") and value]


def test_it_needs_nothing_beside_it(report):
    tags = Tags()
    tags.feed(report.read_text())
    assert tags.counts["img"] == 2 * 6 + 18
    assert tags.counts["svg"] == 1
    assert all(link.startswith(("data:image/", "#")) for link in tags.links)


def test_texts_are_escaped(report):
    html = report.read_text()
    assert "<b>a dog</b>" not in html
    assert "&lt;b&gt;a dog&lt;/b&gt;" in html
    assert "<tiny>" not in html


def test_the_headline_is_honest_about_chance(report):
    """Three steps teach next to nothing, and the page says so."""
    assert "below the five aimed at" in report.read_text()


def test_the_right_text_is_marked_at_most_once_a_picture(report):
    assert report.read_text().count('class="right"') <= 18


def test_the_fullest_caption_is_the_longest():
    folder = str(Path(__file__).parents[3] / "src/fullclip/assets/sample/heldout")
    pair = next(read_shard(find_shards([folder])[0], Drops()))
    assert all(len(full_text(pair)) >= len(text) for text in pair.texts)


@pytest.mark.browser
def test_it_renders_in_a_browser(report, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    picture = tmp_path / "report.png"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync"]
    options += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}"]
    options += ["--window-size=1200,2400", f"--screenshot={picture}"]
    subprocess.run([browser, *options, report.as_uri()], check=True, capture_output=True, timeout=120)
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    assert pixels.shape == (2400, 1200, 3)
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 500  # text, a curve and coloured pictures, not a blank page
