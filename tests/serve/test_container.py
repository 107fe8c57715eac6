"""The Dockerfile, which is read here: what it copies, installs and starts is there, and is enough to build the package from."""

import fnmatch
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

import typer
from typer.testing import CliRunner

from fullclip.cli.serve import serve
from fullclip.core.storage import cache_folder
from fullclip.serve.keys import ENVIRONMENT
from served import Live, app_of

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
LINES = [line for line in TEXT.splitlines() if line and not line.startswith("#")]
BUILD, FINAL = "\n".join(LINES).split("\nFROM ")


def words_of(instruction: str, part: str) -> list[str]:
    """What stands behind an instruction, each time that it is used."""
    return [line.split(maxsplit=1)[1] for line in part.splitlines() if line.split()[0] == instruction]


def copied() -> list[str]:
    return [name for words in words_of("COPY", BUILD) for name in words.split()[:-1]]


def test_what_is_copied_is_there_and_not_ignored():
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    kept = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    assert set(copied()) == kept
    for name in kept:
        assert (ROOT / name).exists(), name
    assert not any(fnmatch.fnmatch(".git", name) for name in kept)


def test_the_extras_exist_and_the_versions_are_the_tested_ones():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [extras] = re.findall(r"'\.\[([a-z,]+)\]'", BUILD)
    assert set(extras.split(",")) == {"serve", "search"}
    assert set(extras.split(",")) <= set(project["optional-dependencies"])
    installs = [words for words in words_of("RUN", BUILD) if words.startswith("pip install")]
    assert all("--constraint constraints.txt" in words for words in installs)
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    assert any(line.startswith("torch==") for line in pinned)


def test_it_runs_as_nobody_of_importance_and_keeps_models_in_a_volume(monkeypatch):
    [user] = words_of("USER", FINAL)
    assert f"useradd --uid 1000 --create-home --shell /usr/sbin/nologin {user}" in FINAL
    [environment] = words_of("ENV", FINAL)
    given = dict(pair.split("=", 1) for pair in environment.split())
    monkeypatch.setenv("FULLCLIP_CACHE", given["FULLCLIP_CACHE"])
    assert words_of("VOLUME", FINAL) == [str(cache_folder())]
    assert given["HF_HOME"].startswith(given["FULLCLIP_CACHE"])
    assert not any("KEY" in name for name in given)


def test_its_command_asks_for_a_key(monkeypatch):
    """The command itself, run without one: it says what is missing, and starts nothing."""
    [entry] = words_of("ENTRYPOINT", FINAL)
    command = json.loads(entry)
    assert command[:2] == ["fullclip", "serve"]
    assert words_of("EXPOSE", FINAL) == [command[command.index("--port") + 1]]
    assert f"--env {ENVIRONMENT}=" in TEXT
    app = typer.Typer()
    app.command()(serve)
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    result = CliRunner().invoke(app, command[2:])
    assert isinstance(result.exception, ValueError)
    assert ENVIRONMENT in str(result.exception)


def test_its_probe_tells_a_server_that_lives_from_none():
    probe = json.loads(re.search(r"CMD (\[.*\])", FINAL)[1])
    assert "127.0.0.1:8000/healthz" in probe[2]
    with Live(app_of(api_keys=("a-key-of-twenty-signs",))) as server:
        code = probe[2].replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
        assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0
    assert subprocess.run([sys.executable, "-c", code], timeout=30, capture_output=True).returncode != 0


@pytest.mark.whole
@pytest.mark.skipif(importlib.util.find_spec("hatchling") is None, reason="hatchling is not installed")
def test_the_package_is_built_from_what_is_copied_and_has_the_page(tmp_path):
    for name in copied():
        ignore = shutil.ignore_patterns("__pycache__")
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(build, cwd=tmp_path, check=True, timeout=120, capture_output=True)
    [wheel] = (tmp_path / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    page = ROOT / "src/fullclip/assets/page"
    assert {f"fullclip/assets/page/{path.name}" for path in page.iterdir()} <= set(names)
