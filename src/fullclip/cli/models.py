"""fullclip models: what can be loaded by name, fetching it, and changing its format."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from fullclip.cli.output import Json, show_json, show_table

app = typer.Typer(help="List, fetch and convert models.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_models(json: Json = False) -> None:
    """Show the models that are known by name, with their licences."""
    from fullclip.core.config import to_dict
    from fullclip.models.hub import PRETRAINED

    if json:
        show_json({name: to_dict(known) for name, known in PRETRAINED.items()})
        return
    rows = [(name, known.preset, known.licence, known.training_data) for name, known in PRETRAINED.items()]
    show_table(["name", "architecture", "licence", "training data"], rows)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="A name from `fullclip models list`, or hf-hub:owner/repository.")],
    json: Json = False,
) -> None:
    """Fetch a model, check it, and print where it lies."""
    from fullclip.models.hub import locate

    path, provenance = locate(name)
    if json:
        show_json({"path": str(path), "sha256": provenance.sha256, "licence": provenance.licence})
    else:
        typer.echo(path)


@app.command()
def convert(
    model: Annotated[str, typer.Argument(help="A name, a folder or a weight file.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    form: Annotated[Literal["fullclip", "openclip", "hf"], typer.Option("--format", help="Whose format.")] = "fullclip",
    activation: Annotated[
        Literal["gelu", "quick_gelu"] | None, typer.Option(help="For weight files that do not say theirs.")
    ] = None,
    json: Json = False,
) -> None:
    """Write a model in our format, OpenCLIP's or Hugging Face's; the weights stay equal to the bit."""
    from dataclasses import replace

    from fullclip.inference import tokenizer_of
    from fullclip.models.hub import locate
    from fullclip.models.weights import read_checkpoint, to_module
    from fullclip.models.writing import write_checkpoint

    if out.exists():
        raise ValueError(f"{out} is there already; give another --out")
    path, provenance = locate(model)
    checkpoint = read_checkpoint(path, activation=activation)
    if provenance.source:
        checkpoint = replace(checkpoint, provenance=provenance)
    to_module(checkpoint, source=path)  # weights that do not fit their config are refused before anything is written
    write_checkpoint(checkpoint, out, tokenizer=tokenizer_of(path, checkpoint), form=form)
    if json:
        show_json({"path": str(out), "format": form, "weights": len(checkpoint.state)})
    else:
        typer.echo(out)
