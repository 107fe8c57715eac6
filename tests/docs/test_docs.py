"""What is documented is executed, fresh, and linked to what exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import fullclip

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "README.ja.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "runs").rglob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_resolve(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target


def test_the_page_of_commands_is_fresh():
    made = subprocess.run(
        [sys.executable, ROOT / "docs/make_cli_page.py", "--print"], capture_output=True, text=True, check=True
    )
    assert made.stdout == (ROOT / "docs/cli.md").read_text(encoding="utf-8"), "run: make docs"


def test_the_public_names_are_there_and_sorted():
    assert fullclip.__all__ == sorted(fullclip.__all__)
    for name in fullclip.__all__:
        assert getattr(fullclip, name) is not None
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = fullclip.nothing_such


def test_importing_the_package_imports_no_torch():
    code = "import sys, fullclip; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_the_readmes_first_commands_are_targets_of_make():
    commands = re.findall(r"^make (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert commands[:2] == ["demo", "test"]
    assert set(commands) <= set(targets)


@pytest.mark.whole
@pytest.mark.parametrize("example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_examples_run(example, tmp_path):
    subprocess.run([sys.executable, example], check=True, cwd=tmp_path, capture_output=True, timeout=300)
