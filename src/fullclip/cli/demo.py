"""fullclip demo: the bundled model answers on photographs; then a small one is trained on the sample that ships with the
package, and answers on pictures that training never saw.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fullclip.cli.output import Json, note, show_json, show_table
from fullclip.cli.processes import pick_device
from fullclip.cli.train import stopped_or_done

if TYPE_CHECKING:
    from fullclip.core.types import Pair
    from fullclip.evaluation.showcase.answers import Showcase

DEFAULT_LABELS = "flag,map,animal,fruit,people,computer,sign,car"
PHOTO_LABELS = ("cat", "dog", "cup of coffee", "rocket", "astronaut", "flower", "temple", "car", "bicycle", "ship")


def demo(
    out: Annotated[Path, typer.Option(help="The folder for the model and the report.")] = Path("demo"),
    labels: Annotated[str, typer.Option(help="Words to look for in the unseen pictures, comma between.")] = DEFAULT_LABELS,
    minutes: Annotated[float, typer.Option(min=0.05, help="How long to train, at the most.")] = 3.0,
    json: Json = False,
) -> None:
    """Ask the bundled model about photographs; then train a small model in three minutes, ask it about pictures it never saw,
    and write report.html.
    """
    from fullclip.core.config import to_dict
    from fullclip.core.extras import require
    from fullclip.evaluation.showcase.answers import show, write_showcase
    from fullclip.inference import load
    from fullclip.zeroshot.prompts import check_labels

    require("matplotlib", extra="eval")  # before three minutes of training, not after
    words = [label.strip() for label in labels.split(",")]
    check_labels(words)
    photographs = _photographs()
    if not json:
        show_table(["photograph", "the bundled model's answer", ""], photographs)
    if (out / "model").exists():
        note(f"{out / 'model'} is there already and is asked again; remove {out} to train anew")
    else:
        _train(out, minutes)
    pairs = _held_out()
    showcase = show(load(out / "model"), pairs, words)
    facts = {"model": str(out / "model"), "trained on": "the sample of public-domain drawings", "unseen pairs": str(len(pairs))}
    write_showcase(showcase, out / "metrics.jsonl", out / "report.html", title="fullclip demo", facts=facts)
    if json:
        results = [to_dict(result) for result in showcase.results]
        show_json({"photographs": photographs, "results": results, "report": str(out / "report.html")})
    else:
        _print(showcase, out / "report.html")


def _photographs() -> list[tuple[str, str, str]]:
    """(the photograph's name, the likeliest of `PHOTO_LABELS`, its probability) for each that ships with the package."""
    from importlib.resources import files

    from fullclip.inference import load
    from fullclip.zeroshot.classifier import ZeroShotClassifier

    folder = Path(str(files("fullclip").joinpath("assets/photographs")))
    paths = sorted(folder.glob("*.jpg"))
    encoder = load("small")
    classifier = ZeroShotClassifier(encoder, labels=PHOTO_LABELS, templates=("{}",), scale=encoder.scale)
    found = classifier.predict_proba(paths)
    return [(path.name, PHOTO_LABELS[row.argmax()], f"{row.max():.0%}") for path, row in zip(paths, found, strict=True)]


def _train(out: Path, minutes: float) -> None:
    """The demo recipe; a stopped one goes on where it was."""
    from fullclip.core.config import override
    from fullclip.core.distributed import World
    from fullclip.train import loop
    from fullclip.train.recipes import RECIPES

    run = override(RECIPES["demo"](), [f"train.minutes={minutes}"])
    resume = (out / "checkpoints").exists()
    device = pick_device(None)
    note(f"training on the sample shard for at most {minutes:g} minutes on {device}")
    with stopped_or_done("the same command goes on"):
        done = loop.train(run, out, resume=resume, world=World.single(), device=device)
    note(f"{done.pairs:,} pairs in {done.seconds:.0f} s")


def _held_out() -> list["Pair"]:
    from importlib.resources import files

    from fullclip.data.drops import Drops
    from fullclip.data.shards import read_shards

    folder = str(files("fullclip").joinpath("assets/sample/heldout"))
    return list(read_shards([folder], Drops(strict=True)))


def _print(showcase: "Showcase", report: Path) -> None:
    rows = [
        (f"{r.task}, {r.metric}", f"{r.value:.1%}", f"{r.interval[0]:.1%} to {r.interval[1]:.1%}", f"{chance:.0%}")
        for r, chance in zip(showcase.results, showcase.chances, strict=True)
    ]
    show_table(["unseen pairs", "value", "95% interval", "chance"], rows)
    for word, pictures in showcase.words:
        show_table([word, ""], [(f"{p.caption[:60]}", f"{p.hits[0].score:.0%}") for p in pictures[:3]])
    typer.echo(f"\n{showcase.headline}\nThe report: {report.resolve()}")
