"""fullclip data download as a user types it."""

import json

import pytest
import typer
from typer.testing import CliRunner

from fullclip import __version__
from fullclip.cli.data.download import download
from misbehaving import Server, body, picture, status

pytest.importorskip("aiohttp")
app = typer.Typer()
app.command()(download)


def run(*words: str) -> tuple[int, str, str]:
    """(exit code, stdout, what is said on stderr, or the error)."""
    result = CliRunner().invoke(app, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return (2 if isinstance(result.exception, ValueError) else 1), result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def server():
    with Server({"/a": body(picture(1)), "/b": status(404), "/c": body(picture(2), X_Robots_Tag="noai")}) as started:
        yield started


@pytest.fixture
def table(server, tmp_path):
    path = tmp_path / "table.jsonl"
    path.write_text("".join(json.dumps({"url": server.url(one), "text": one}) + "\n" for one in ("/a", "/b", "/c")))
    return str(path)


def test_what_was_fetched_and_what_was_not_are_told(server, table, tmp_path):
    out = str(tmp_path / "out")
    code, stdout, stderr = run(table, "--out", out, "--allow-private")
    assert code == 0, stderr
    assert f"{out}: 1 of 3 rows in 1 part" in stdout
    assert "left out: 1 404" in stderr
    assert "left out: 1 opted out" in stderr
    assert f"named in {out}/failed" in stderr
    assert server.headers["/a"]["user-agent"] == f"fullclip/{__version__}"
    code, stdout, _ = run(table, "--out", out, "--allow-private", "--json", "--concurrency", "1")
    told = json.loads(stdout)
    assert (code, told["num_in"], told["num_out"], told["resumed"], told["out"]) == (0, 3, 1, 1, out)
    assert {reason: one["count"] for reason, one in told["dropped"].items()} == {"404": 1, "opted out": 1}
    assert server.asked["/a"] == 1


def test_switches(server, table, tmp_path):
    words = ["--allow-private", "--ignore-robots", "--ignore-opt-out", "--user-agent", "mine/1", "--json", "--part-rows", "2"]
    code, stdout, stderr = run(table, "--out", str(tmp_path / "out"), *words)
    assert code == 0, stderr
    told = json.loads(stdout)
    assert (told["num_out"], told["num_parts"]) == (2, 2)
    assert server.asked["/robots.txt"] == 0
    assert server.headers["/a"]["user-agent"] == "mine/1"
    code, stdout, _ = run(table, "--out", str(tmp_path / "public"), "--json")
    assert json.loads(stdout)["dropped"]["refused address"]["count"] == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--user-agent", ""], "--user-agent"),
        (["--timeout", "0"], "--timeout"),
        (["--root", "/nowhere/at/all"], "--root /nowhere/at/all: no such folder"),
        (["--host-delay", "nan"], "--host-delay"),
        (["--engine", "ray", "--workers", "2"], "--workers is for --engine local"),
        (["--concurrency", "0"], "concurrency"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(table, tmp_path, words, said):
    code, _, stderr = run(table, "--out", str(tmp_path / "out"), *words)
    assert (code, said in stderr) == (2, True), stderr
