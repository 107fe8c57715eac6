"""fullclip export: a model out, for ONNX Runtime or OpenVINO."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fullclip.cli.output import Json, note, show_json, show_table

if TYPE_CHECKING:
    from fullclip.export.agreement import Agreement

ENOUGH = 0.99  # of pictures for which int8 finds the same text as float32


def export(
    model: Annotated[str, typer.Argument(help="A name from `fullclip models list`, a folder or a weight file.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    form: Annotated[Literal["onnx", "openvino"], typer.Option("--format", help="Whose runtime.")] = "onnx",
    quantize: Annotated[
        Literal["int8"] | None, typer.Option(help="Matrix products in 8 bits: a quarter of the memory, and faster.")
    ] = None,
    json: Json = False,
) -> None:
    """Write both towers for ONNX Runtime or OpenVINO, with tokenizer and preprocessing beside them, and compare them with the
    model on the sample that ships with the package. --model takes the folder wherever it takes a model.
    """
    from fullclip.core.config import to_dict
    from fullclip.export.write import export_model
    from fullclip.inference import load

    encoder = load(model, precision="float32", device="cpu")
    found = export_model(encoder, out, form=form, quantize=quantize, say=note)
    if json:
        show_json({"path": str(out), "format": form, "quantized": quantize, "agreement": found and to_dict(found)})
        return
    typer.echo(out)
    if found is None:
        note("not compared: the model has no vocabulary for the sample's texts")
        return
    _show(found)
    if quantize and found.top1 < ENOUGH:
        note(f"{quantize} finds the same text for {found.top1:.1%} of the sample's pictures only: less than {ENOUGH:.0%}")


def _show(found: "Agreement") -> None:
    show_table(
        [f"on {found.num_pairs} pairs of the sample", ""],
        [
            ("lowest cosine of images", f"{found.image_cosine:.6f}"),
            ("lowest cosine of texts", f"{found.text_cosine:.6f}"),
            ("same text found first", f"{found.top1:.1%}"),
            ("right text found first", f"{found.recall_after:.1%} (before: {found.recall_before:.1%})"),
        ],
    )
