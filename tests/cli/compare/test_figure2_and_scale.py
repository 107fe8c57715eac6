"""fullclip compare as a user types it: results and a page in a folder, factors on stdout, one line for what is wrong."""

import json

import pytest
from typer.testing import CliRunner

from fullclip.baselines.results.records import read_rows
from fullclip.cli.app import app
from walls import make_walls, typed


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Shards of coloured pictures, one of them torn, and a folder of others with the same names."""
    return make_walls(tmp_path_factory.mktemp("data"), [("", 100, 4)])


def call(kind, data, out, *words, settings=("every=32",), images=96):
    given = typed(data, out, ("least=1", *settings), *words, images=images)
    result = CliRunner().invoke(app, ["compare", kind, *given])
    return result.exit_code, result.stdout, result.stderr if result.exit_code == 0 else str(result.exception)


def test_figure_2_leaves_results_a_page_and_factors(data, tmp_path):
    code, out, err = call("figure2", data, tmp_path, "--seeds", 2)
    assert code == 0, err
    rows = read_rows(tmp_path / "results.jsonl")
    assert len(rows) == 2 * 3 * (2 + 2 + 1 + 1)
    assert {(row["method"], row["seed"]) for row in rows} == {
        (method, seed) for method in ("caption-lm", "bag-of-words", "contrastive-bag", "contrastive") for seed in (0, 1)
    }
    assert [row["images"] for row in rows if row["method"] == "contrastive" and row["seed"] == 1] == [32, 64, 96]
    assert all(row["n"] == 12 and row["task"] == "walls" for row in rows)
    assert len(out.splitlines()) == 5
    assert "left out: 1 unreadable image (torn)" in err
    page = (tmp_path / "figure2.html").read_text(encoding="utf-8")
    assert (
        "Learned from 48 pairs; asked about 12 pictures of walls, which has 3 classes, so that guessing is right in 33%."
        in page
    )


def test_a_second_start_makes_what_is_lacking_only(data, tmp_path):
    assert call("figure2", data, tmp_path, "--seeds", 1, "--methods", "contrastive-bag")[0] == 0
    before = read_rows(tmp_path / "results.jsonl")
    code, out, _ = call("figure2", data, tmp_path, "--seeds", 1, "--methods", "bag-of-words,contrastive-bag", "--json")
    assert code == 0
    told = json.loads(out)
    assert read_rows(tmp_path / "results.jsonl")[:3] == before  # the seconds, too: they were not made again
    assert [row["method"] for row in told["results"]] == ["bag-of-words"] * 6 + ["contrastive-bag"] * 3
    assert len(told["factors"]) == 2
    assert told["page"].endswith("figure2.html")


def test_scale_varies_one_thing_at_a_time(data, tmp_path):
    varied = ["--vary", "share=0.5,1", "--vary", "batch_size=8,16"]
    code, out, _ = call("scale", data, tmp_path, "--seeds", 1, *varied, settings=("every=96",))
    assert code == 0
    rows = read_rows(tmp_path / "results.jsonl")
    assert [(row["share"], row["batch_size"]) for row in rows] == [(0.5, 16), (1.0, 16), (1.0, 8)]
    assert out.splitlines()[0].startswith("By share of the pairs: 50%: ")
    assert "<svg" in (tmp_path / "scale.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "ngram"], "no way of learning named 'ngram'"),
        (["--methods", ","], "no way of learning is named"),
        (["--seeds", "0"], "0 seeds: at least 1"),
        (["--set", "batch_size=100"], "images is 96, less than one batch of 100"),
        (["--set", "batch_size=64"], "there are 48 pairs, fewer than batch_size = 64"),
        (["--set", "least=60"], "no piece of a word occurs in 60 texts"),
        (["--set", "vision.image_size=9"], "image_size 9 is not a multiple of patch_size 4"),
        (["--task", "cifar11"], "no task or folder 'cifar11'; did you mean 'cifar10'"),
        (["--shards", "nowhere.tar"], "no .tar files match 'nowhere.tar'"),
    ],
)
def test_what_cannot_be_done_is_one_line(data, tmp_path, words, message):
    code, _, said = call("figure2", data, tmp_path, "--methods", "contrastive", "--seeds", 1, *words)
    assert code != 0
    assert message in said
    assert "\n" not in said


def test_other_settings_in_the_same_folder_are_refused(data, tmp_path):
    assert call("figure2", data, tmp_path, "--seeds", 1, "--methods", "contrastive-bag", images=32, settings=())[0] == 0
    _, _, said = call("figure2", data, tmp_path, "--seeds", 1, "--methods", "contrastive-bag", images=64, settings=())
    assert "settings.images is 64, but the comparison in" in said
    assert "was begun with 32" in said
