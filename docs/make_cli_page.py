"""Write docs/cli.md from the commands' own help texts: `make docs`."""

import argparse
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from fullclip.cli.app import app

WIDTH = 100


def sections(command: Any, context: typer.Context) -> list[str]:
    """The help of a command of typer's, and of those below it."""
    found = [f"## {context.command_path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"]
    for name in command.list_commands(context) if isinstance(command, TyperGroup) else []:
        below = command.get_command(context, name)
        found += sections(
            below, typer.Context(below, info_name=name, parent=context, max_content_width=WIDTH, terminal_width=WIDTH)
        )
    return found


def page() -> str:
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="fullclip", max_content_width=WIDTH, terminal_width=WIDTH)
    introduction = (
        "# Commands\n\nMade by `make docs` from the commands' own help.\n\n"
        "Answers go to stdout (with `--json` as JSON), progress and remarks to stderr. Exit codes: 0 done, 1 failed, 2 wrong"
        " use, 130 stopped by Ctrl-C, 143 by SIGTERM.\n"
        "An error is one line; `fullclip --debug COMMAND ...` shows where it came from.\n"
    )
    return "\n".join([introduction, *sections(command, context)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", help="print the page in place of writing it")
    if parser.parse_args().print:
        print(page(), end="")
    else:
        (Path(__file__).parent / "cli.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
