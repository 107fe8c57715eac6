"""fullclip data decontaminate as a user types it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fullclip.cli.app import app
from fullclip.data.shards import find_shards
from overlaps import hidden, jpeg
from pairs import make_pairs, make_shards


def run(*words: str) -> tuple[int, str, str]:
    """(exit code, stdout, what is said on stderr, or the error)."""
    result = CliRunner().invoke(app, ["data", "decontaminate", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return (2 if isinstance(result.exception, ValueError) else 1), result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    make_shards(folder / "train", hidden()[1], pairs_per_shard=20)
    (folder / "mine").mkdir()
    for i, image in enumerate(hidden()[0]):
        (folder / "mine" / f"{i}.jpg").write_bytes(jpeg(image, 95))
    return folder


def test_copies_are_left_out_and_told(place, tmp_path):
    out = tmp_path / "clean"
    code, stdout, stderr = run(
        str(place / "train"), "--task", str(place / "mine"), "--out", str(out), "--threshold", "mine=0.8"
    )
    assert code == 0, stderr
    assert "12 of 40 pairs are left out" in stdout
    assert f"the pictures: {out / 'decontamination.html'}" in stderr
    assert len(find_shards([str(out)])) == 2
    code, stdout, _ = run(
        str(place / "train"), "--task", str(place / "mine"), "--out", str(out), "--threshold", "mine=0.8", "--json"
    )
    told = json.loads(stdout)
    assert (code, told["num_removed"], told["num_left"], told["folder"]) == (0, 12, 28, str(out))


def test_a_dry_run_writes_nothing(place, tmp_path):
    code, stdout, _ = run(str(place / "train"), "--task", str(place / "mine"), "--dry-run", "--json")
    told = json.loads(stdout)
    assert code == 0
    assert {pair["training_key"] for pair in told["sets"]["mine"]["pairs"]} == hidden()[2].keys()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--task", "mine"], "give either --out DIR, the folder to write, or --dry-run"),
        (["train", "--task", "mine", "--dry-run", "--out", "x"], "give either --out DIR"),
        (["nowhere", "--task", "mine", "--dry-run"], "no .tar files match"),
        (["train", "--task", "mine", "--dry-run", "--threshold", "1.5"], "a number above 0 and up to 1 is needed"),
        (["train", "--task", "mine", "--dry-run", "--threshold", "your=0.9"], "there is no set 'your' here"),
        (["train", "--task", "train2", "--dry-run"], "or give a folder of images, or .tar shards"),
        (["train", "--task", "mine", "--task", "mine", "--dry-run"], "two sets have one name"),
        (["train", "--task", "mine", "--out", "train"], "holds the shards that are read"),
        (["torn", "--task", "mine", "--dry-run"], "is torn from byte"),
    ],
)
def test_bad_input_is_one_line(place, monkeypatch, words, said):
    monkeypatch.chdir(place)
    if words[0] == "torn" and not Path("torn").exists():
        (shard,) = make_shards(Path("torn"), make_pairs(4))
        Path(shard).write_bytes(Path(shard).read_bytes()[:3000])
    code, stdout, error = run(*words)
    assert (code, stdout) == (2, "")
    assert said in error
    assert "\n" not in error
