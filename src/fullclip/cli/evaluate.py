"""fullclip evaluate: a model and tasks in; numbers with intervals, a table, a report out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fullclip.cli.output import Json, note, show_json, show_table
from fullclip.cli.processes import one_voice, pick_device

if TYPE_CHECKING:
    from fullclip.core.distributed import World
    from fullclip.evaluation.suite.plan import Protocol
    from fullclip.evaluation.suite.records import About, Record
    from fullclip.evaluation.suite.run import Evaluated
    from fullclip.evaluation.suite.subject import Subject
    from fullclip.evaluation.tasks.find import Availability
    from fullclip.evaluation.tasks.task import Task


def evaluate(
    model: Annotated[str | None, typer.Argument(help="A name from `fullclip models list`, a folder or a file.")] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="A name from --list or a folder; may be repeated. Without it, all that are here.")
    ] = None,
    probe: Annotated[bool, typer.Option("--probe", help="Fit the linear probe of the paper's appendix A.3.")] = False,
    few_shot: Annotated[bool, typer.Option("--few-shot", help="Fit probes on 1 to 16 examples of each class.")] = False,
    calibration: Annotated[bool, typer.Option("--calibration", help="Ask how far confidence can be trusted.")] = False,
    rejection: Annotated[
        bool,
        typer.Option("--rejection", help="Ask, of each two tasks, whether one's images are seen to be none of the other's."),
    ] = False,
    overlap: Annotated[
        list[str] | None, typer.Option(metavar="SHARDS", help="Look for the tasks' images in training shards; may be repeated.")
    ] = None,
    features: Annotated[
        str | None, typer.Option(metavar="NET", help="A model that is no CLIP, for probes: net.onnx, or nets.py:function.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder of the results.  [default: evaluations/MODEL]")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Look at no more than so many images of a split.")] = None,
    data: Annotated[Path | None, typer.Option(help="Where data sets lie.  [default: $FULLCLIP_DATASETS, or the cache]")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default the GPU where there is one.")] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Show the known data sets: what is here, and how to bring the rest.")
    ] = False,
    pull: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Fetch a data set from the hub; may be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Measure a model on tasks: zero-shot and retrieval, and what else is asked for. Every number has its n and 95% interval.

    A task of your own is a folder with a folder of images for each class, with or without a task.toml. The same command goes
    on where an interrupted one has stopped. Many processes: torchrun --nproc-per-node 8 -m fullclip evaluate ...
    """
    from fullclip.core import distributed
    from fullclip.evaluation.suite.plan import questions
    from fullclip.evaluation.suite.run import run

    if listing or pull:
        _sets(data, pull or [], with_train=probe or few_shot, json=json)
        return
    protocols = _protocols(model, {"probe": probe, "few-shot": few_shot, "calibration": calibration, "rejection": rejection})
    world = distributed.start()
    try:
        with one_voice(world.rank, how_to_go_on="the same command goes on"):
            subject, about = distributed.together(lambda: _subject(model, features, device, world), world)
            tasks = distributed.together(lambda: _tasks(task or [], data, limit), world)
            asked = distributed.together(lambda: questions(tasks, protocols), world)
            folder = out or Path("evaluations") / _slug(model or features or "")
            done = run(subject, asked, about=about, out=folder, on_record=_tell)
    finally:
        distributed.stop(world)
    if world.leads:
        _finish(done, folder, json=json)


def _protocols(model: str | None, wanted: dict[str, bool]) -> list["Protocol"]:
    """What is asked: of a CLIP always zero-shot, retrieval and shifts."""
    from fullclip.evaluation.suite.plan import PROTOCOLS

    always = () if model is None else ("zero-shot", "retrieval", "robustness")
    return [protocol for protocol in PROTOCOLS if protocol in always or wanted.get(protocol)]


def _subject(model: str | None, features: str | None, device: str | None, world: "World") -> "tuple[Subject, About]":
    """The model to ask, by its name or as a network that is no CLIP, and what is said of it on the report."""
    from fullclip.core.storage import cache_folder
    from fullclip.evaluation.features.backbone import Backbone, ClipBackbone
    from fullclip.evaluation.features.foreign import open_backbone
    from fullclip.evaluation.suite.records import About
    from fullclip.evaluation.suite.subject import Subject
    from fullclip.inference import load

    if (model is None) == (features is None):
        raise ValueError("give either a model, such as openai/ViT-B-32, or --features net.onnx for a network that is no CLIP")
    chosen = pick_device(device, world.local_rank)
    backbone: Backbone
    if model is None:
        backbone = open_backbone(features or "", device=chosen)
    else:
        backbone = ClipBackbone(load(model, device=str(chosen)), name=model)
    about = About(model=backbone.name, fingerprint=backbone.fingerprint, facts=backbone.facts)
    return Subject(backbone=backbone, cache=cache_folder() / "features", world=world), about


def _tasks(names: list[str], data: Path | None, limit: int | None) -> list["Task"]:
    """The tasks by name or folder, or all that are here."""
    from fullclip.evaluation.tasks.find import available, find_task
    from fullclip.evaluation.tasks.task import limited

    here = names or [found.name for found in available(data) if found.path is not None]
    if not here:
        raise ValueError("no data set is here; add --task FOLDER, or see `fullclip evaluate --list`")
    tasks = [find_task(name, root=data) for name in here]
    return tasks if limit is None else [limited(task, limit) for task in tasks]


def _sets(data: Path | None, wanted: list[str], *, with_train: bool, json: bool) -> None:
    """Fetch what is wanted; show what is here."""
    from fullclip.evaluation.tasks.find import available, pull

    for name in wanted:
        note(f"{name}: {pull(name, root=data, with_train=with_train)}")
    found = [one for one in available(data) if not wanted or one.name in wanted]
    if json:
        show_json([_known(one) for one in found])
        return
    rows = [
        (
            one.name,
            one.dataset.title,
            str(one.dataset.classes or "–"),
            f"{one.dataset.test:,}",
            one.dataset.metric,
            one.path or one.how,
        )
        for one in found
    ]
    show_table(["name", "set", "classes", "test images", "metric", "where it is, or how to bring it"], rows)


def _known(one: "Availability") -> dict[str, Any]:
    from fullclip.core.config import to_dict

    return {"name": one.name, "path": one.path, "how": one.how, **to_dict(one.dataset)}


def _tell(record: "Record") -> None:
    """A line for each record as it is found."""
    first = record.results[0]
    low, high = first.interval
    note(f"{record.task} · {record.protocol}: {first.metric} {first.value:.4g} ({low:.4g} to {high:.4g}), n = {first.n:,}")


def _finish(done: "Evaluated", folder: Path, *, json: bool) -> None:
    """The numbers on stdout; exit code 1 where something could not be measured."""
    from fullclip.core.config import to_dict

    results = [{"protocol": record.protocol, **to_dict(result)} for record in done.records for result in record.results]
    skipped = {record.task: record.details.get("skipped", {}) for record in done.records}
    if json:
        failures = [to_dict(failure) for failure in done.failures]
        show_json({"results": results, "skipped": skipped, "failures": failures, "folder": str(folder)})
    else:
        rows = [
            (
                one["task"],
                one["protocol"],
                one["metric"],
                f"{one['value']:.4g}",
                "{:.4g} to {:.4g}".format(*one["interval"]),
                f"{one['n']:,}",
            )
            for one in results
        ]
        show_table(["task", "protocol", "metric", "value", "95% interval", "n"], rows)
        typer.echo(f"\n{folder}")
    for task, reasons in skipped.items():
        for reason, told in reasons.items():
            note(f"{task}: left out {told['count']:,} for {reason} ({told['examples'][0]})")
    for failure in done.failures:
        note(f"fullclip: {failure.name} · {failure.protocol}: {failure.reason}")
    if done.failures:
        raise typer.Exit(1)


def _slug(name: str) -> str:
    """A model's name as a folder's."""
    return "-".join("".join(letter if letter.isalnum() or letter in "._" else " " for letter in name).split()) or "model"
