"""fullclip serve as a user types it; tests/serve/test_process.py has it at work."""

import subprocess
import sys
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from fullclip.cli.serve import serve
from fullclip.serve import run as running
from fullclip.serve.run import Place
from fullclip.serve.settings import Limits, Settings

app = typer.Typer()
app.command()(serve)


def run(*words: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
    """The exit code, and the error as it would be reported."""
    result = CliRunner().invoke(app, list(words), env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return (2 if isinstance(result.exception, ValueError) else 1), str(result.exception)
    return result.exit_code, result.stderr


@pytest.fixture
def served(monkeypatch) -> list[tuple[Settings, Place]]:
    """What would be served."""
    found: list[tuple[Settings, Place]] = []
    monkeypatch.setattr(running, "serve", lambda settings, place: found.append((settings, place)))
    monkeypatch.delenv("FULLCLIP_API_KEYS", raising=False)
    return found


def test_by_default_only_this_machine_is_let_in(served):
    assert run() == (0, "")
    [(settings, place)] = served
    assert place == Place(host="127.0.0.1", port=8000, workers=1)
    assert settings == Settings(model="small", hosts=("localhost", "127.0.0.1", "[::1]"))


def test_other_names_are_let_in(served):
    assert run("--allow-host", "a.example", "--allow-host", "10.0.0.1") == (0, "")
    assert served[0][0].hosts == ("localhost", "127.0.0.1", "[::1]", "a.example", "10.0.0.1")


def test_all_that_can_be_said(served, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("f" * 20)
    words = "--model tiny --host ::1 --port 0 --workers 3 --precision float32 --device cpu --allow-images-from a.example"
    more = ["--api-keys-file", str(keys), "--limit", "items=7", "--limit", "seconds=2.5", "--allow-images-from", "*.b.example"]
    assert run(*words.split(), *more, environment={"FULLCLIP_API_KEYS": "e" * 20}) == (0, "")
    [(settings, place)] = served
    assert place == Place(host="::1", port=0, workers=3)
    assert settings == Settings(
        model="tiny",
        precision="float32",
        device="cpu",
        api_keys=("e" * 20, "f" * 20),
        images_from=("a.example", "*.b.example"),
        limits=Limits(items=7, seconds=2.5),
    )
    assert "e" * 20 not in repr(settings)


def test_everybody_is_let_in_only_on_demand(served):
    code, said = run("--host", "0.0.0.0")  # noqa: S104
    assert (code, served) == (2, [])
    assert "FULLCLIP_API_KEYS" in said
    assert run("--host", "0.0.0.0", "--no-api-keys") == (0, "")  # noqa: S104
    assert served[0][0].hosts == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--limit", "itms=3"], "items"),
        (["--limit", "items"], "name=value"),
        (["--limit", "items=many"], "items"),
        (["--limit", "items=0"], "items is 0"),
        (["--allow-images-from", "http://a.example/"], "--allow-images-from"),
        (["--allow-images-from", "*"], "--allow-images-from"),
        (["--allow-host", "*.a.example"], "--allow-host"),
        (["--allow-host", "a.example:80"], "without a port"),
        (["--api-keys-file", "nowhere"], "nowhere"),
        (["--index", "nowhere"], "nowhere"),
        (["--port", "70000"], "65535"),
        (["--workers", "0"], "than or equal to 1"),
    ],
)
def test_wrong_use_is_one_line(served, words, message):
    code, said = run(*words)
    assert code != 0
    assert message in said
    assert not served


def test_keys_and_their_opposite(served):
    code, said = run("--no-api-keys", environment={"FULLCLIP_API_KEYS": "e" * 20})
    assert (code, served) == (2, [])
    assert "--no-api-keys" in said


def test_a_missing_package_is_named(served, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code, said = run()
    assert (code, served) == (1, [])
    assert "fullclip[serve]" in said


def test_models_that_are_none_and_ports_that_are_taken(tmp_path):
    place: dict[str, Any] = {"host": "127.0.0.1", "port": 0}
    with running.listen(Place(**place)) as taken:
        port = taken.getsockname()[1]
        code, said = run("--port", str(port))
        assert (code, f"port {port}" in said) == (1, True)
    code, said = run("--port", "0", "--model", str(tmp_path / "none"))
    assert code != 0
    assert "none" in said


def test_help_imports_nothing_heavy():
    code = "import sys, fullclip.cli.serve; print([m for m in ('torch', 'fastapi', 'uvicorn', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
