"""fullclip bench: this machine's table, in one run."""

from typing import TYPE_CHECKING, Annotated

import typer

from fullclip.cli.output import Json, note, show_json, show_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fullclip.bench.rows import Row

_ABOUT = "A preset of random weights, such as ViT-B-16, or a name, folder or file as for the other commands."
_ONLY = "Some of the measurements, with commas: ceiling, images, batches, exported, texts, tokenizer, classifier,"
_ONLY += " decoding, files, first-answer, agreement, memory."


def bench(
    only: Annotated[str, typer.Option(help=_ONLY)] = "",
    model: Annotated[str, typer.Option(help=_ABOUT)] = "ViT-B-32",
    rounds: Annotated[int, typer.Option(min=1, help="How often each side is measured, all in turn.")] = 3,
    threads: Annotated[int | None, typer.Option(help="Threads, and processors to keep to.  [default: all]")] = None,
    full: Annotated[
        bool, typer.Option("--full", help="All 1,000 classes, 5,000 images for memory, int8 exports: a quarter of an hour.")
    ] = False,
    json: Json = False,
) -> None:
    """Measure how fast fullclip is on this machine, beside transformers and open_clip where they are installed: the same
    weights, in one run, as ratios. About six minutes on two cores. Exit code 1 where a measurement failed.
    """
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from fullclip.bench import machine
    from fullclip.bench.measurements import chosen, measure
    from fullclip.bench.subject import check_name
    from fullclip.bench.workbench import FULL, Sizes, Workbench, for_gpu

    names, sizes = chosen(only), FULL if full else Sizes()
    check_name(model)
    with machine.threads(threads), TemporaryDirectory(prefix="fullclip-bench-") as folder:
        facts = machine.description()
        sizes = for_gpu(sizes) if "GPU" in facts else sizes
        workbench = Workbench(model=model, folder=Path(folder), rounds=rounds, sizes=sizes)
        rows = measure(names, workbench, say=note)
        facts |= workbench.described()
    if json:
        show_json({"machine": facts, "rows": [row.as_json() for row in rows]})
    else:
        _show(facts, rows, rounds)
    if any(row.failed for row in rows):
        raise typer.Exit(1)


def _show(facts: dict[str, str], rows: "Sequence[Row]", rounds: int) -> None:
    from shutil import get_terminal_size
    from textwrap import fill

    words = "; ".join(f"{name} {value}" for name, value in facts.items())
    width = get_terminal_size().columns
    typer.echo(fill(words, width=width, break_on_hyphens=False) + "\n")
    columns = ["measured", "fullclip", "beside", "theirs", "ratio", "bar"]
    with_bar = any(row.bar for row in rows)
    show_table(columns if with_bar else columns[:-1], [row.cells() if with_bar else row.cells()[:-1] for row in rows])
    lines = [f"The best of {rounds} rounds, all sides in turn; in brackets the worst."] if rounds > 1 else []
    lines += ["Ratio: how many times as good as theirs ours is."]
    lines += ["Peers have the same weights, on a CPU in float32 and on a GPU in bfloat16."]
    cosines = [row.cosine for row in rows if row.cosine is not None]
    lines += [f"Lowest cosine of our embeddings with a peer's: {min(cosines):.5f}."] if cosines else []
    lines += [f"Bar of {row.what}: {row.asked()}." for row in rows if row.bar]
    lines += [f"{row.what}: {row.note}" if row.theirs or not row.beside else row.note for row in rows if row.note]
    typer.echo("\n" + "\n".join(fill(line, width=width, subsequent_indent="  ") for line in dict.fromkeys(lines)))
