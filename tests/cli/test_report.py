"""fullclip report as a user types it: Markdown or JSON lines on stdout, the page beside, one line for what is wrong."""

import json

import pytest
from typer.testing import CliRunner

from evaluations import begin, classified, shifted
from fullclip.cli.app import app
from fullclip.evaluation.suite.records import lines_of


@pytest.fixture
def folders(tmp_path):
    for place, name in enumerate(("one", "two")):
        classified(begin(tmp_path / name, name), "colours", 0.5 + 0.2 * place, seed=place)
    shifted(tmp_path / "one", "art", 0.6, 0.5)
    return tmp_path


def call(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["report", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr if result.exit_code == 0 else str(result.exception)


def test_markdown_on_stdout_and_the_page_beside(folders):
    code, out, err = call(folders / "one", folders / "two", "--out", folders / "r.html")
    assert code == 0
    assert out == (folders / "r.md").read_text(encoding="utf-8")
    assert "Zero-shot: two is better than one on 1 of 1 set" in out
    assert (folders / "r.html").read_text().startswith("<!doctype html>")
    assert str(folders / "r.html") in err


def test_json_lines(folders):
    code, out, _ = call(folders / "one", "--baseline", folders / "two", "--out", folders / "r.html", "--json")
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines == lines_of(folders / "one") + lines_of(folders / "two")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere holds no evaluation: evaluation.json is not there"),
        (["one", "one"], "is given twice"),
        (["one", "--out", "r.txt"], "give --out a name that ends in .html"),
        (["one", "--line", "bad.csv"], "the column 'shift_n' is missing"),
        (["one", "--line", "much.csv"], "line 2: reference_accuracy '120' is no share from 0 to 1; write 0.762 for 76.2%"),
        (["one", "--line", "other.csv"], "the published models are of 'arts'; did you mean 'art'?"),
        (["two", "--line", "other.csv"], "the published models are of 'arts', but no shift is measured"),
    ],
)
def test_what_is_wrong_is_one_line(folders, monkeypatch, words, message):
    monkeypatch.chdir(folders)
    head = "model,shift,reference_accuracy,shift_accuracy,reference_n"
    (folders / "bad.csv").write_text(f"{head}\na,art,0.5,0.5,9\n")
    (folders / "much.csv").write_text(f"{head},shift_n\na,art,120,0.5,9,9\n")
    (folders / "other.csv").write_text(f"{head},shift_n\na,arts,0.5,0.5,9,9\n")
    code, _, error = call(*words)
    assert code == 1
    assert message in error
    assert "\n" not in error
    assert not (folders / "report.html").exists()
