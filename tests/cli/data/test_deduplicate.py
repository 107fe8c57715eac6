"""fullclip data deduplicate as a user types it."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from copies import jpeg, png, row, scene, write_stage
from embedded import write_model
from fullclip.cli.app import app
from overlaps import drawings


def run(*words: str) -> tuple[int, str, str]:
    """(exit code, stdout, what is said on stderr, or the error)."""
    result = CliRunner().invoke(app, ["data", "deduplicate", *words, "--workers", "1"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return 2, result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def stage(tmp_path) -> Path:
    rows = [row(f"k{i}", jpeg(scene(i)), "a longer text") for i in range(4)] + [
        row("copy", jpeg(scene(0), 40)),
        row("same", jpeg(scene(1))),
    ]
    return write_stage(tmp_path / "in", [*rows, row("test", png(drawings()[0]))])


def test_copies_are_left_out_and_told(stage, tmp_path):
    code, stdout, stderr = run(str(stage), "--out", str(tmp_path / "out"), "--grid", str(tmp_path / "grid.png"))
    assert code == 0, stderr
    assert "5 of 7 rows in 1 part" in stdout
    assert "left out: 1 near copy (picture) (copy)" in stderr
    assert "left out: 1 exact copy (same)" in stderr
    assert "1 groups:" in stderr
    with Image.open(tmp_path / "grid.png") as grid:
        assert grid.width > grid.height > 150


def test_json_is_the_report_and_where_it_is(stage, tmp_path):
    code, stdout, stderr = run(str(stage), "--out", str(tmp_path / "out"), "--json")
    assert code == 0, stderr
    told = json.loads(stdout)
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert {name: told[name] for name in report} == report
    assert told["dropped"]["exact copy"] == {"count": 1, "examples": ["same"]}
    assert told["out"] == str(tmp_path / "out")


def test_a_folder_s_pictures_are_left_out(stage, tmp_path):
    (tmp_path / "held").mkdir()
    (tmp_path / "held/a.jpg").write_bytes(jpeg(drawings()[0], 60))
    (tmp_path / "held/torn.jpg").write_bytes(jpeg(drawings()[1])[:100])
    code, stdout, stderr = run(str(stage), "--against", str(tmp_path / "held"), "--out", str(tmp_path / "out"), "--json")
    assert code == 0, stderr
    assert json.loads(stdout)["dropped"]["in held"] == {"count": 1, "examples": ["test"]}
    assert "held: not looked for: 1" in stderr


def test_a_model_s_embeddings_are_compared(stage, tmp_path):
    model = write_model(tmp_path / "model")
    words = (str(stage), "--embed", model, "--embed-threshold", "0.01", "--out", str(tmp_path / "out"), "--json")
    code, stdout, stderr = run(*words)
    assert code == 0, stderr
    told = json.loads(stdout)
    assert told["settings"]["embedding"] == {"model": model, "threshold": 0.01}
    assert told["dropped"]["near copy (embedding)"]["count"] >= 1


def test_what_cannot_be_is_said_in_a_line(stage, tmp_path):
    code, _, said = run(str(stage), "--threshold", "2", "--out", str(tmp_path / "out"))
    assert (code, said) == (2, "a threshold is 2.0: a similarity above 0 and up to 1 is needed, such as 0.9")
    code, _, said = run(str(stage), "--against", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"))
    assert code == 2
    assert "nowhere" in said
    assert not (tmp_path / "out").exists()


def test_no_group_no_grid(tmp_path):
    stage = write_stage(tmp_path / "in", [row("a", jpeg(scene(0)))])
    code, _, stderr = run(str(stage), "--out", str(tmp_path / "out"), "--grid", str(tmp_path / "grid.png"))
    assert code == 0, stderr
    assert "no group of pictures to draw" in stderr
    assert not (tmp_path / "grid.png").exists()
