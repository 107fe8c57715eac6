"""The table of commands, and what every one of them shares: --debug, one line per error, exit codes.

0 done; 1 failed; 2 wrong use; 130 stopped by Ctrl-C, 143 by SIGTERM.
"""

import os
import sys
import warnings
from typing import Annotated

import typer

from fullclip.cli import (
    bench,
    classify,
    compare,
    data,
    demo,
    embed,
    evaluate,
    export,
    models,
    report,
    rerank,
    search,
    serve,
    train,
)
from fullclip.cli.printable import printable

app = typer.Typer(
    name="fullclip",
    help="CLIP, the whole way: pairs, shards, training, zero-shot answers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("classify")(classify.classify)
app.command("embed")(embed.embed)
app.command("rerank")(rerank.rerank)
app.command("serve")(serve.serve)
app.command("train")(train.train)
app.command("demo")(demo.demo)
app.command("evaluate")(evaluate.evaluate)
app.command("report")(report.report)
app.command("export")(export.export)
app.command("bench")(bench.bench)
app.add_typer(search.app, name="search")
app.add_typer(data.app, name="data")
app.add_typer(compare.app, name="compare")
app.add_typer(models.app, name="models")


def _version(wanted: bool) -> bool:
    if wanted:
        from fullclip import __version__

        typer.echo(__version__)
        raise typer.Exit
    return wanted


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole traceback of an error.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    if debug:
        os.environ["FULLCLIP_DEBUG"] = "1"


def main() -> None:
    """Run a command; an expected error is one line on stderr."""
    # Pillow's advice on how to convert such pictures is for programmers; they are converted as openai/CLIP converts them
    warnings.filterwarnings("ignore", message="Palette images with Transparency", category=UserWarning)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if os.environ.get("FULLCLIP_DEBUG"):
            raise
        sys.exit(_report(error))


def _report(error: Exception) -> int:
    """One line on stderr, and the exit code: 2 for what the user can mend by typing something else, 1 for the rest."""
    from fullclip.data.drops import DroppedError

    expected = isinstance(error, (ValueError, OSError, ImportError, FloatingPointError))
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{error.filename}: {error.strerror}"
    if not expected:
        text = f"{type(error).__name__}: {text} (this should not happen; --debug before the command shows where)"
    print(f"fullclip: {printable(text)}", file=sys.stderr)  # noqa: T201
    return 2 if isinstance(error, ValueError) and not isinstance(error, DroppedError) else 1
