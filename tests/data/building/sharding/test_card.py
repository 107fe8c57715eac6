import json
import re

from copies import contents, jpeg, row, scene, write_stage
from fullclip.data.building.deduplicating.deduplicate import deduplicate
from fullclip.data.building.engine import Pool
from fullclip.data.building.rows import partitions
from fullclip.data.building.sharding.card import markdown
from fullclip.data.building.sharding.history import history
from fullclip.data.building.sharding.order import Limit
from fullclip.data.building.sharding.shard import works_of, write_all

LICENCES = ("CC0", "CC0", "CC-BY", None, "a | b\n# c <script>")


def rows():
    found = [
        row(f"k{i}", jpeg(scene(i)), f"words of text {i}", licence=LICENCES[i], language="en", queries=["dog", f"q{i}"])
        for i in range(5)
    ]
    return [*found, row("copy", jpeg(scene(0), 50), licence="CC0", language="en", queries=["dog"])]


def made(folder, *, num_parts=1):
    """A folder of shards that has a stage before it, and one before that."""
    write_stage(folder / "in", rows(), num_parts=num_parts)
    deduplicate(partitions([str(folder / "in")]), out=str(folder / "first"), engine=Pool(1))
    deduplicate(partitions([str(folder / "first")]), out=str(folder / "second"), engine=Pool(1), threshold=0.95)
    write_all(
        works_of(str(folder / "second")),
        out=str(folder / "shards"),
        engine=Pool(1),
        limit=Limit(pairs=2),
        seed=4,
        made_with="fullclip 9.9",
    )
    return folder / "shards"


def test_the_card_tells_what_there_is_and_how_it_came_to_be(tmp_path):
    out = made(tmp_path)
    card = json.loads((out / "data.json").read_text())
    assert (card["num_pairs"], card["captions"], card["words"]) == (5, 5, 20)
    assert card["licence"] == {"CC0": 2, "CC-BY": 1, "a | b\n# c <script>": 1, "not known": 1}
    assert card["language"] == {"en": 5}
    assert card["queries"]["most_frequent"] == {"dog": 5} | {f"q{i}": 1 for i in range(5)}
    assert (card["queries"]["with_a_pair"], card["queries"]["matches"], card["queries"]["in_one_pair"]) == (6, 10, 5)
    assert [(one["folder"], one["inputs"], one["num_in"], one["num_out"]) for one in card["stages"]] == [
        ("first", ["000000.parquet"], 6, 5),
        ("second", ["first"], 5, 5),
    ]
    assert card["stages"][0]["dropped"] == {"near copy (picture)": 1}
    assert [one["settings"]["threshold"] for one in card["stages"]] == [0.9, 0.95]
    assert card["shards"] == json.loads((out / "index.json").read_text())["shards"]
    assert (card["sharding"]["seed"], card["sharding"]["pairs"]) == (4, 2)


def test_people_read_the_same(tmp_path):
    out = made(tmp_path)
    told = (out / "DATA.md").read_text()
    assert told == markdown(json.loads((out / "data.json").read_text()))
    assert "5 pairs of an image and its texts in 3 shards, made with fullclip 9.9." in told
    assert "| CC0 | 2 |" in told
    assert "| near copy (picture) | 1 |" in told
    assert "fullclip data shard second --out DIR --seed 4 --pairs-per-shard 2" in told
    for shard in json.loads((out / "index.json").read_text())["shards"]:
        assert f"| {shard['name']} | {shard['num_pairs']} | {shard['sha256']} |" in told


def test_nobody_s_words_break_out_of_a_cell(tmp_path):
    told = (made(tmp_path) / "DATA.md").read_text()
    (line,) = [line for line in told.splitlines() if "script" in line]
    assert line == r"| a \| b \# c \<script\> | 1 |"
    marks = markdown(
        {
            **json.loads((tmp_path / "shards/data.json").read_text()),
            "stages": [
                {
                    "stage": "x",
                    "folder": "a`b",
                    "inputs": ["``"],
                    "settings": {},
                    "num_in": 1,
                    "num_out": 1,
                    "dropped": {},
                    "counts": {},
                }
            ],
        }
    )
    assert "From ``` `` ``` into `` a`b ``: 1 rows in," in marks


def test_neither_machine_nor_time_nor_parting_is_told(tmp_path):
    first = contents(made(tmp_path / "one"))
    other = contents(made(tmp_path / "two"))
    for name in ("DATA.md", "data.json"):
        assert first[name] == other[name]
        assert str(tmp_path).encode() not in first[name]
        assert not re.search(rb"20\d\d-\d\d-\d\d|\d\d:\d\d", first[name])


def test_what_has_no_stage_before_it_has_no_history(tmp_path):
    folder = write_stage(tmp_path / "in", rows())
    assert history([str(folder / "parts/000000.parquet")]) == []
