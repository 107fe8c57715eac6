"""From a little web to a trained model: pages in WARC files, a recipe, pictures from hosts that misbehave, shards, training."""

import json
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import command

pytest.importorskip("warcio", reason="needs warcio")
from little_web import EACH, FINE, TROUBLES, Site, drawings
from warc import write_warcs

pytestmark = [pytest.mark.whole, pytest.mark.filterwarnings("ignore::ResourceWarning")]

NUMBER = EACH * len(TROUBLES) + 5
COLOURS, THINGS = ("red", "green", "blue", "yellow", "purple"), ("house", "boat", "tree", "fish", "clock", "apple", "star")
RECIPE = """
[collect]
inputs = ["warcs/*.warc.gz"]

[match]
queries = "queries.txt"

[balance]
cap = 1000

[download]
allow_private = true
timeout = 1.5
retries = 1
max_bytes = 400000

[deduplicate]

[shard]
pairs_per_shard = 50
"""


def picture(path: Path, seed: int) -> None:
    """Unlike the others, and like nothing in particular."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, size=(7, 7, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((96, 80), Image.Resampling.BICUBIC).save(path)


@pytest.fixture(scope="module")
def web(tmp_path_factory) -> Site:
    root = tmp_path_factory.mktemp("web")
    svg = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{}</dc:title></svg>'
    for number in range(NUMBER):
        title = f"A {COLOURS[number % 5]} {THINGS[number % 7]} on a table, seen from side {number}"
        path = root / f"svg/art/{number:03d}.svg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(svg.format(title), encoding="utf-8")
        picture(root / f"png/art/{number:03d}.png", number)
    pages = [f'<img src="pictures/{i}.png" alt="The dialog of a very useful tool number {i}">' for i in range(6)]
    pages.append('<img src="pictures/0.png" alt="The dialog of a very useful tool number 0, once more">')
    for i in range(6):
        picture(root / f"docs/pictures/{i}.png", 1000 + i)
    (root / "docs/index.html").write_text(f"<html lang=en><body>{''.join(pages)}</body></html>", encoding="utf-8")
    found = drawings(root / "svg", root / "png", None)
    assert len(found) == NUMBER
    return Site([root / "docs"], found, port=_free_port())


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def fullclip(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "fullclip", *words], capture_output=True, text=True, timeout=300)


def test_from_the_web_to_a_model(web, tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "queries.txt").write_text("\n".join([*COLOURS[:4], "useful tool", "unseen"]), encoding="utf-8")
    words = ["data", "build", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "built"), "--workers", "1"]
    with web.served():
        assert write_warcs(web.pages(), tmp_path / "warcs", a_file=2) == 1 + -(-NUMBER // 40)
        done = fullclip(*words, "--json")
        assert done.returncode == 0, done.stderr
        asked = Counter(web.asked)
        again = fullclip(*words, "--json")
        assert again.returncode == 0, again.stderr
        assert web.asked == asked, "nothing is asked for twice"
    stages = json.loads(done.stdout)["stages"]
    reports = {name: json.loads(Path(folder, "report.json").read_text()) for name, folder in stages.items() if name != "shard"}

    purple = sum(number % 5 == 4 for number in range(NUMBER))
    assert reports["collect"]["num_out"] == NUMBER + 7
    assert reports["match"]["dropped"]["no query in the text"]["count"] == purple
    lost = Counter(
        trouble
        for number in range(NUMBER)
        if number % 5 != 4 and (trouble := web.trouble(number)) is not None and trouble not in FINE
    )
    told = {reason: one["count"] for reason, one in reports["download"]["dropped"].items()}
    assert sum(told.values()) == sum(lost.values())
    names = {
        "missing": "404",
        "loop": "too many redirects",
        "page": "not an image",
        "torn": "broken image",
        "trickle": "time-out",
        "endless": "too large",
        "opted-out": "opted out",
        "forbidden": "robots.txt",
    }
    assert told == {names[trouble]: count for trouble, count in lost.items()}
    assert not any("/forbidden/" in path for path in asked)
    assert reports["deduplicate"]["dropped"].keys() == {"exact copy"}  # one picture stands twice on the page of the docs
    kept = NUMBER + 7 - purple - sum(lost.values()) - 1
    assert reports["deduplicate"]["num_out"] == kept

    verified = fullclip("data", "verify", stages["shard"], "--json")
    assert verified.returncode == 0, verified.stdout
    assert json.loads(verified.stdout)["num_pairs"] == kept
    card = Path(stages["shard"], "DATA.md").read_text(encoding="utf-8")
    assert "creativecommons.org/publicdomain/zero/1.0" in card
    assert str(tmp_path) not in card

    shards = ["--set", f'data.shards=["{stages["shard"]}"]', "--set", "train.steps=3"]
    trained = subprocess.run(command(tmp_path / "run", *shards), capture_output=True, text=True, timeout=300)
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "run/model/model.safetensors").is_file()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("[match]\ncapital = true", "recipe.toml, [match]: No such option: --capital"),
        ("[balance]\ncap = 'many'", "recipe.toml, [balance]: Invalid value for '--cap'"),
        ("[deduplicate]\nagainst = ['nosuchset']", "recipe.toml, [deduplicate]: no task or folder 'nosuchset'"),
    ],
)
def test_what_a_recipe_has_wrong_is_told_before_anything_is_done(tmp_path, table, said):
    (tmp_path / "a.txt").write_text("a dog", encoding="utf-8")
    first = '[collect]\ninputs = ["a.jsonl"]\n' if "match" in table else '[match]\ninputs = ["a.txt"]\nqueries = "a.txt"\n'
    table = table + '\nqueries = "a.txt"' if "match" in table else table
    (tmp_path / "recipe.toml").write_text(f"{first}{table}\n", encoding="utf-8")
    done = fullclip("data", "build", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "built"))
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "built").exists()
