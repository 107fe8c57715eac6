"""fullclip export as a user types it, and the folder in a model's place."""

import json
from importlib.resources import files

import pytest
from typer.testing import CliRunner

from embedded import write_model
from fullclip.cli.app import app

pytest.importorskip("onnxscript", reason="fullclip[export] is not installed")


def run(*words: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr or the error as it would be reported)."""
    result = CliRunner().invoke(app, [*map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return (2 if isinstance(result.exception, ValueError) else 1), result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[str, str, str, str]:
    """(the model, its export, what was said, what was remarked)."""
    folder = tmp_path_factory.mktemp("export")
    model = write_model(folder / "tiny")
    code, said, notes = run("export", model, "--out", folder / "onnx")
    assert code == 0
    return model, str(folder / "onnx"), said, notes


def test_it_says_how_well_both_agree(exported):
    _, folder, said, notes = exported
    lines = said.splitlines()
    assert lines[0] == folder
    assert "on 300 pairs of the sample" in lines[1]
    assert "same text found first" in said
    assert "100.0%" in said
    assert notes.splitlines() == ["to ONNX", "comparing with the model on the sample"]


def test_the_folder_is_a_model(exported):
    picture = files("fullclip").joinpath("assets/photographs/cat.jpg")
    answers = []
    for model in exported[:2]:
        code, said, _ = run("classify", picture, "--model", model, "--labels", "cat,dog,car", "--json")
        assert code == 0
        answers.append({one["label"]: one["probability"] for one in json.loads(said)["answers"][0]["labels"]})
    assert answers[0] == pytest.approx(answers[1], abs=0.05)  # bfloat16 beside float32


def test_json(exported, tmp_path):
    code, said, _ = run("export", exported[0], "--out", tmp_path / "small", "--quantize", "int8", "--json")
    assert code == 0
    told = json.loads(said)
    assert (told["path"], told["format"], told["quantized"]) == (str(tmp_path / "small"), "onnx", "int8")
    assert told["agreement"]["num_pairs"] == 300
    assert 0.99 < told["agreement"]["image_cosine"] <= 1


def test_wrong_use(exported, tmp_path):
    model, folder, _, _ = exported
    assert run("export", model, "--out", folder)[::2] == (2, f"{folder} is there already; give another folder")
    code, _, said = run("export", folder, "--out", tmp_path / "twice")
    assert (code, said) == (2, "an exported model has no weights for PyTorch: give the model that it was exported from")
    code, _, said = run("export", tmp_path / "nothing", "--out", tmp_path / "out")
    assert code == 2
    assert "no such file or folder" in said
    assert run("export", model, "--out", tmp_path / "out", "--format", "tflite")[0] == 2
    assert not (tmp_path / "out").exists()
