"""A recipe as the commands that a person would type."""

import pytest

from fullclip.data.building.recipe import STAGES, read_recipe

WHOLE = """
[queries]
wordnet = ["/usr/share/wordnet"]
min_count = 5

[collect]
inputs = ["pages/*.warc.gz", "more"]
keep_opted_out = true
language = "any"

[match]

[balance]
cap = 3
seed = 1

[download]
allow_private = false
host_delay = 0.5

[deduplicate]

[shard]
pairs_per_shard = 10

[decontaminate]
task = ["cifar10", "mine"]
"""


def steps(tmp_path, text):
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path, "/data/wit")


def test_each_stage_reads_what_the_one_before_wrote(tmp_path):
    found = {step.stage: " ".join(step.words) for step in steps(tmp_path, WHOLE)}
    assert found == {
        "queries": "--wordnet /usr/share/wordnet --min-count 5 --out /data/wit/queries.jsonl",
        "collect": "pages/*.warc.gz more --keep-opted-out --language any --out /data/wit/collect",
        "match": "/data/wit/collect --queries /data/wit/queries.jsonl --out /data/wit/match",
        "balance": "/data/wit/match --cap 3 --seed 1 --out /data/wit/balance",
        "download": "/data/wit/balance --host-delay 0.5 --out /data/wit/download",
        "deduplicate": "/data/wit/download --out /data/wit/deduplicate",
        "shard": "/data/wit/deduplicate --pairs-per-shard 10 --out /data/wit/shard",
        "decontaminate": "/data/wit/shard --task cifar10 --task mine --out /data/wit/decontaminate",
    }
    assert list(found) == list(STAGES)


def test_in_another_order_with_a_list_of_ones_own(tmp_path):
    found = steps(tmp_path, '[download]\ninputs = ["urls.parquet"]\n[match]\nqueries = "mine.txt"\n[shard]\n')
    assert [" ".join(step.words) for step in found] == [
        "urls.parquet --out /data/wit/download",
        "/data/wit/download --queries mine.txt --out /data/wit/match",
        "/data/wit/match --out /data/wit/shard",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"no stage in it; write a table for each, such as \[collect\]"),
        ("[collekt]", "there is no stage 'collekt'; did you mean 'collect'"),
        ("match = 3", r"match is 3; write a table, \[match\]"),
        ("[match", "not TOML"),
        ("[match]\nqueries = 'q'", r'match comes first and has nothing to read; give it inputs = \["..."\]'),
        ("[match]\nqueries = 'q'\ninputs = 'a'", "match.inputs is 'a'; write a list of names"),
        ("[match]\nqueries = 'q'\ninputs = ['a']\nout = 'b'", "match.out: --out of the build says"),
        ("[match]\nqueries = 'q'\ninputs = ['a']\njson = true", "match.json: give --json to the build"),
        ("[match]\ninputs = ['a']", r"match has no list; begin with a table \[queries\], or give it queries"),
        ("[match]\ninputs = ['--help']\nqueries = 'q'", "match.inputs has '--help'; options are keys of their own"),
        ("[match]\ninputs = ['a']\nqueries = {a = 1}", "match.queries is {'a': 1}; write a text, a number"),
    ],
)
def test_what_is_no_recipe(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        steps(tmp_path, text)


def test_a_recipe_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="there is no such recipe"):
        read_recipe(tmp_path / "none.toml", "out")
