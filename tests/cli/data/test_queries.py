"""fullclip data queries as a user types it."""

import json
import math
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from fullclip.cli.data.queries import queries
from wikis import page, write_dictionary, write_dump


def run(*words: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr or the error as it would be reported)."""
    app = typer.Typer()
    app.command()(queries)
    result = CliRunner().invoke(app, [*map(str, words)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return (2 if isinstance(result.exception, ValueError) else 1), result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    text = "The dog saw New York. " * 60 + "A dog in New York."
    write_dump(folder / "wiki.xml.bz2", [page("Dog", text), page("Hound", "#REDIRECT [[Dog]]"), page("Cat", "The dog.")])
    write_dictionary(folder / "wordnet", ["dog domestic_dog", "cat"])
    (folder / "views.txt").write_text("en Dog 80 0\nen Cat 90 0\nen New_York 100 0\nen Few 3 0\n")
    return folder


def given(place: Path, *names: str) -> list[str]:
    paths = {"wikipedia": "wiki.xml.bz2", "views": "views.txt", "wordnet": "wordnet"}
    return [word for name in names for word in (f"--{name}", str(place / paths[name]))]


def test_counts_are_told(place, tmp_path):
    out = tmp_path / "q.jsonl"
    words = [*given(place, "wikipedia", "views", "wordnet"), "--out", str(out), "--min-count", "61", "--workers", "1"]
    code, stdout, stderr = run(*words)
    assert code == 0, stderr
    assert stdout.splitlines()[0] == f"{out}: 5 queries"
    assert [line.split() for line in stdout.splitlines()[2:]] == [
        ["wordnet", "2", "0", "2"],
        ["unigram", "4", "1", "3"],
        ["bigram", "0", "0", "0"],
        ["title", "2", "2", "0"],
    ]
    assert (
        "at least 1 times among 307 words have 8.3 bits at most, and --min-pmi is 30: there is none; give a lower one" in stderr
    )
    assert "left out: 1 redirect (wiki.xml.bz2: 'Hound')" in stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()[1:]]
    assert lines == [
        {"query": "cat", "source": "wordnet", "synsets": 1},
        {"query": "dog", "source": "wordnet", "synsets": 1},
        {"query": "new", "source": "unigram", "count": 61},
        {"query": "the", "source": "unigram", "count": 61},
        {"query": "york", "source": "unigram", "count": 61},
    ]


def test_json(place, tmp_path):
    out = tmp_path / "q.jsonl"
    words = [*given(place, "wikipedia"), "--out", str(out), "--min-pmi", "2", "--min-count-bigram", "60", "--json"]
    code, stdout, _ = run(*words, "--min-count", "1000", "--size", "1", "--workers", "1")
    told = json.loads(stdout)
    assert (code, told["queries"], told["out"], told["resumed"]) == (0, 1, str(out), 0)
    assert told["sources"]["bigram"] == {"passed": 4, "before": 0, "taken": 1}
    assert told["dropped"]["redirect"]["count"] == 1
    header, row = out.read_text().splitlines()
    assert {name: told[name] for name in json.loads(header)} == json.loads(header)
    assert json.loads(row)["query"] == "new york"  # 307 words, of which new and york 61 times each
    assert json.loads(row)["pmi"] == pytest.approx(math.log2(307 / 61), abs=1e-6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "q.jsonl"], "nothing to make queries of; give --wikipedia, --views or --wordnet"),
        (["--out", "q.txt", "--wordnet", "wordnet"], "the list is a .jsonl file"),
        (["--out", "q.jsonl", "--wordnet", "wordnet", "--min-pmi", "nan"], "--min-pmi nan: give a number of bits"),
        (["--out", "q.jsonl", "--wordnet", "none"], "none: there is no such file; give WordNet's folder"),
        (["--out", "q.jsonl", "--wordnet", "wordnet", "--ray-address", "x"], "--ray-address is for --engine ray"),
        (["--out", "q.jsonl", "--wikipedia", "views.txt"], "views.txt: no Wikipedia dump"),
        (["--out", "q.jsonl", "--views", "wiki.xml.bz2"], "wiki.xml.bz2: no page views in it"),
    ],
)
def test_what_cannot_be_is_one_line(place, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(place)
    words = [str(tmp_path / word) if word.startswith("q.") else word for word in words]
    code, _, error = run(*words, *([] if "--ray-address" in words else ["--workers", "1"]))
    assert code in (1, 2)
    assert said in error
    assert "\n" not in error
