"""fullclip embed as a user types it."""

import json
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import fullclip
from embedded import CAPTIONS, NUM, read_back, write_inputs, write_model, write_pictures
from fullclip.cli.app import app


def run(*words: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr or the error as it would be reported)."""
    result = CliRunner().invoke(app, ["embed", *map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return (2 if isinstance(result.exception, ValueError) else 1), result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


def test_a_folder_of_pictures(model, tmp_path):
    paths = write_pictures(tmp_path / "pictures")
    code, said, notes = run(tmp_path / "pictures", "--model", model, "--out", tmp_path / "out")
    assert (code, said) == (0, f"{tmp_path / 'out'}: 10 images in 1 part\n")
    rows, vectors = read_back(tmp_path / "out", "images")
    assert [row["key"] for row in rows] == [str(path) for path in paths]
    np.testing.assert_allclose(vectors, fullclip.load(model).encode_images(paths), atol=1e-6)
    assert "a second" in notes


def test_files_that_are_not_read_are_told_of(model, tmp_path):
    write_pictures(tmp_path / "pictures", 2)
    for name in ("phone.heic", "notes.md"):
        (tmp_path / "pictures" / name).write_bytes(b"...")
    code, said, notes = run(tmp_path / "pictures", "--model", model, "--out", tmp_path / "out")
    assert (code, said) == (0, f"{tmp_path / 'out'}: 2 images in 1 part\n")
    assert re.search(r"^left out: 1 no picture \(\S+notes.md\), 1 picture in a format that is not read \(", notes, re.MULTILINE)
    assert "phone.heic" in notes
    told = json.loads(run(tmp_path / "pictures", "--model", model, "--out", tmp_path / "again", "--json")[1])
    assert sum(told["left_out"].values()) == 2


def test_json_and_a_second_time(model, tmp_path):
    given = write_inputs(tmp_path)
    Path(given["folder"], "b/009.png").write_bytes(b"torn")
    words = (given["folder"], "--model", model, "--out", tmp_path / "out", "--what", "both", "--format", "npy", "--json")
    code, said, _ = run(*words)
    told = json.loads(said)
    assert code == 0
    expected = {
        "embedded": 29,
        "images": 9,
        "texts": 20,
        "truncated": 0,
        "skipped": 1,
        "parts": 1,
        "out": str(tmp_path / "out"),
    }
    assert {name: told[name] for name in expected} == expected
    assert told["reasons"] == {"unreadable image": 1}
    assert (told["resumed"], told["seconds"] > 0) == (0, True)
    again = json.loads(run(*words)[1])
    assert again["resumed"] == 1
    assert {name: again[name] for name in expected} == expected
    code, said, notes = run(*words[:-1])
    assert said == f"{tmp_path / 'out'}: 9 images and 20 texts in 1 part\n"
    assert f"1 skipped: unreadable image: 1; each is named in {tmp_path / 'out'}/skipped" in notes


def test_texts_of_a_file(model, tmp_path):
    texts = [caption for captions in CAPTIONS for caption in captions]
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    code, said, _ = run(tmp_path / "texts.txt", "--what", "texts", "--model", model, "--out", tmp_path / "out")
    assert (code, said) == (0, f"{tmp_path / 'out'}: 20 texts in 1 part\n")
    rows, vectors = read_back(tmp_path / "out", "texts")
    assert [row["caption"] for row in rows] == texts
    np.testing.assert_allclose(vectors, fullclip.load(model).encode_texts(texts), atol=1e-6)


def test_wrong_use_is_one_line(model, tmp_path):
    given = write_pictures(tmp_path / "pictures", NUM)[0]
    assert run(given, "--model", model)[0] == 2
    for words, message in (
        (("nowhere", "--model", model), "nowhere: no such file or folder"),
        ((given, "--model", tmp_path / "none"), "none"),
        ((given, "--model", model, "--device", "gpu"), "no device 'gpu' here"),
    ):
        code, said, notes = run(*words, "--out", tmp_path / "out")
        assert (code, said) == (2, "")
        assert message in notes
    assert not (tmp_path / "out").exists()


def test_the_pages_examples_read_what_was_written(tmp_path, monkeypatch, capsys):
    """docs/embedding.md, its Python as it stands, after its commands on photographs that ship with the package."""
    monkeypatch.chdir(tmp_path)
    Path("titles.txt").write_text("a title\nanother\n")
    assert run(files("fullclip").joinpath("assets/photographs"), "--out", "embedded")[0] == 0
    assert run("titles.txt", "--what", "texts", "--format", "npy", "--out", "embedded-titles")[0] == 0
    page = (Path(__file__).parents[2] / "docs/embedding.md").read_text(encoding="utf-8")
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        exec(block, {})  # noqa: S102
    said = capsys.readouterr().out
    assert "photographs/cat.jpg\n" in said
    assert "1 a title [" in said
