"""fullclip data shard as a user types it: a stage's folder, and what is none."""

import json

from typer.testing import CliRunner

from copies import contents, jpeg, row, scene, write_stage
from fullclip.cli.app import app
from fullclip.data.shards import write_shards
from pairs import make_pairs, make_shards, read_all


def run(*words: str) -> tuple[int, str, str]:
    """(exit code, stdout, what is said on stderr, or the error)."""
    result = CliRunner().invoke(app, ["data", "shard", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return 2, result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


def stage_in(folder):
    rows = [row(f"k{i}", jpeg(scene(i, size=(24, 16))), f"text {i}") for i in range(9)]
    return str(write_stage(folder / "in", [*rows, row("mute", rows[0]["image"], "")], num_parts=2))


def keys_in(out):
    return [pair.key for pair in read_all(sorted(out.glob("*.tar")))[0]]


def test_a_stage_is_shuffled_and_has_a_card(tmp_path):
    words = (stage_in(tmp_path), "--out", str(tmp_path / "out"), "--pairs-per-shard", "4", "--workers", "1")
    code, stdout, stderr = run(*words)
    assert code == 0, stderr
    assert stdout == f"{tmp_path / 'out'}: 9 pairs in 3 shards\n"
    assert "left out: 1 no text (mute)" in stderr
    assert sorted(keys_in(tmp_path / "out")) == [f"k{i}" for i in range(9)] != keys_in(tmp_path / "out")
    assert (tmp_path / "out/DATA.md").read_text().startswith("# Data card\n\n9 pairs")
    code, stdout, stderr = run(*words, "--json")
    assert code == 0, stderr
    told = json.loads(stdout)
    assert told["shards"] == json.loads((tmp_path / "out/index.json").read_text())["shards"]
    assert (told["resumed"], told["dropped"]) == (3, {"no text": {"count": 1, "examples": ["mute"]}})


def test_neither_shuffled_nor_with_a_card_where_that_is_asked(tmp_path):
    code, _, stderr = run(stage_in(tmp_path), "--out", str(tmp_path / "out"), "--no-shuffle", "--no-card", "--workers", "1")
    assert code == 0, stderr
    assert keys_in(tmp_path / "out") == [f"k{i}" for i in (0, 2, 4, 6, 8, 1, 3, 5, 7)]
    assert not (tmp_path / "out/DATA.md").exists()


def test_shards_of_so_many_bytes(tmp_path):
    words = ("--out", str(tmp_path / "out"), "--shard-bytes", "25000", "--workers", "1")
    code, _, stderr = run(stage_in(tmp_path), *words)
    assert code == 0, stderr
    sizes = [path.stat().st_size for path in (tmp_path / "out").glob("*.tar")]
    assert len(sizes) > 1
    assert max(sizes) <= 25_000


def test_other_shards_come_as_they_are_unless_asked(tmp_path):
    make_shards(tmp_path / "in", make_pairs(9), pairs_per_shard=4)
    code, stdout, stderr = run(str(tmp_path / "in"), "--out", str(tmp_path / "plain"), "--pairs-per-shard", "5", "--json")
    assert code == 0, stderr
    write_shards(make_pairs(9), tmp_path / "naive", pairs_per_shard=5)
    assert contents(tmp_path / "plain") == contents(tmp_path / "naive")
    assert json.loads(stdout)["shards"] == json.loads((tmp_path / "naive/index.json").read_text())["shards"]
    code, _, stderr = run(str(tmp_path / "in"), "--out", str(tmp_path / "mixed"), "--shuffle", "--seed", "1", "--workers", "1")
    assert code == 0, stderr
    assert sorted(keys_in(tmp_path / "mixed")) == keys_in(tmp_path / "plain") != keys_in(tmp_path / "mixed")


def test_what_does_not_go_together_is_said_in_a_line(tmp_path):
    stage = stage_in(tmp_path)
    code, _, said = run(stage, "--out", str(tmp_path / "out"), "--shard-bytes", "5000", "--pairs-per-shard", "2")
    assert (code, said) == (2, "give --pairs-per-shard or --shard-bytes, not both")
    code, _, said = run(str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"))
    assert code == 2
    assert said.startswith(f"{tmp_path / 'nowhere'}: neither a folder, nor a table")
