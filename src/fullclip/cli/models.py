"""fullclip models: what can be loaded by name, fetching it, changing its format, and mixing two."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fullclip.cli.output import Json, show_json, show_table

if TYPE_CHECKING:
    from fullclip.models.checkpoint import Checkpoint
    from fullclip.preprocess.tokenizer import Tokenizer

app = typer.Typer(help="List, fetch, convert and mix models.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_models(json: Json = False) -> None:
    """Show the models that are known by name, with their licences. The first ones ship with the package."""
    from fullclip.core.config import to_dict
    from fullclip.models.hub import BUNDLED, PRETRAINED, locate
    from fullclip.models.weights import read_model_file

    bundled = {name: read_model_file(locate(name)[0]) for name in BUNDLED}
    if json:
        own = {name: {"bundled": True, **to_dict(known.provenance)} for name, known in bundled.items()}
        show_json(own | {name: to_dict(known) for name, known in PRETRAINED.items()})
        return
    rows = [
        (name, own.model.vision.kind, own.provenance.licence, own.provenance.training_data) for name, own in bundled.items()
    ]
    rows += [(name, known.preset, known.licence, known.training_data) for name, known in PRETRAINED.items()]
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
    """Write a model, or the one in a training run's checkpoint, in our format, OpenCLIP's or Hugging Face's; the weights stay
    equal to the bit.
    """
    from fullclip.models.weights import to_module
    from fullclip.models.writing import write_checkpoint

    if out.exists():
        raise ValueError(f"{out} is there already; give another --out")
    checkpoint, tokenizer = _opened(model, activation=activation)
    to_module(checkpoint, source=model)  # weights that do not fit their config are refused before anything is written
    write_checkpoint(checkpoint, out, tokenizer=tokenizer, form=form)
    if json:
        show_json({"path": str(out), "format": form, "weights": len(checkpoint.state)})
    else:
        typer.echo(out)


@app.command()
def interpolate(
    first: Annotated[str, typer.Argument(metavar="A", help="A name, a folder or a weight file: the model before fine-tuning.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The same, after it.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    alpha: Annotated[float, typer.Option(help="The share of B: from 0 to 1.")] = 0.5,
    json: Json = False,
) -> None:
    """Mix the weights of two models of one architecture, (1 - alpha) A + alpha B: WiSE-FT, for robust fine-tuning."""
    from fullclip.models.interpolation import interpolate as mix
    from fullclip.models.weights import to_module
    from fullclip.models.writing import write_checkpoint

    if out.exists():
        raise ValueError(f"{out} is there already; give another --out")
    (one, tokenizer), (other, other_tokenizer) = _opened(first, names_path=True), _opened(second, names_path=True)
    mixed = mix(one, other, alpha)
    if (tokenizer and tokenizer.pieces()) != (other_tokenizer and other_tokenizer.pieces()):
        raise ValueError(f"{first} and {second} have different vocabularies: their weights mean different words")
    to_module(mixed, source=out)
    write_checkpoint(mixed, out, tokenizer=tokenizer)
    if json:
        show_json({"path": str(out), "alpha": alpha, "note": mixed.provenance.note})
    else:
        typer.echo(out)


def _opened(
    model: str, *, activation: Literal["gelu", "quick_gelu"] | None = None, names_path: bool = False
) -> "tuple[Checkpoint, Tokenizer | None]":
    """A model and its tokenizer, with all that is known of where it comes from; with its path, if asked for. The checkpoint of
    a training run is one, too; its shares are joined.
    """
    from dataclasses import replace

    from fullclip.inference import tokenizer_of
    from fullclip.models.hub import locate
    from fullclip.models.weights import read_checkpoint
    from fullclip.train.checkpoints.contents import model_in, run_of
    from fullclip.train.checkpoints.folder import is_checkpoint
    from fullclip.train.start import tokenizer_for

    if is_checkpoint(model):
        return model_in(model), tokenizer_for(run_of(model))
    path, provenance = locate(model)
    checkpoint = read_checkpoint(path, activation=activation)
    known = provenance if provenance.source else checkpoint.provenance
    if names_path and known.source not in (model, str(path)):
        known = replace(known, source=f"{path} ({known.source})")
    return replace(checkpoint, provenance=known), tokenizer_of(path, checkpoint)
