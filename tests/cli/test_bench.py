"""fullclip bench as a user types it."""

import json

from typer.testing import CliRunner

from fullclip.cli.app import app
from fullclip.core.config import nearest


def run(*words: str):
    return CliRunner().invoke(app, ["bench", *words])


def test_bench_explains_itself_and_names_all_measurements():
    from fullclip.bench.measurements import MEASUREMENTS

    result = run("--help")
    assert result.exit_code == 0
    said = " ".join(result.stdout.split())
    assert all(name in said for name in MEASUREMENTS)


def test_json_has_the_machine_and_the_rows():
    result = run("--only", "batches,agreement", "--model", "tiny", "--rounds", "1", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["machine"]["model"].startswith("tiny with random weights, images in ")
    assert found["machine"]["torch"]
    assert {row["part"] for row in found["rows"]} == {"batches", "agreement"}
    assert all(row["ours"]["best"] > 0 for row in found["rows"])
    assert "batches: " in result.stderr


def test_a_table_has_what_was_measured_and_how():
    result = run("--only", "batches", "--model", "tiny", "--rounds", "2")
    assert result.exit_code == 0
    assert "image tower, batch 32, images/s" in result.stdout
    assert "model tiny with random weights" in " ".join(result.stdout.split())
    assert "The best of 2 rounds" in result.stdout
    assert "bar" not in result.stdout.split("\n\n")[1].splitlines()[0]


def test_an_unknown_measurement_or_model_names_the_nearest():
    result = run("--only", "imges")
    assert (type(result.exception), str(result.exception)) == (
        ValueError,
        f"no measurement named 'imges'{nearest('imges', ['images'])}",
    )
    result = run("--only", "batches", "--model", "ViT-B-23")
    assert isinstance(result.exception, ValueError)
    assert "did you mean" in str(result.exception)
