"""fullclip evaluate: a model and tasks in; numbers with intervals, a table, a report out."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fullclip.cli.datasets import list_sets
from fullclip.cli.output import Json, note, show_json, show_table
from fullclip.cli.processes import one_voice, pick_device

if TYPE_CHECKING:
    from fullclip.core.distributed import World
    from fullclip.evaluation.suite.plan import Protocol
    from fullclip.evaluation.suite.records import About, Record
    from fullclip.evaluation.suite.run import Evaluated
    from fullclip.evaluation.suite.subject import Question, Subject
    from fullclip.evaluation.tasks.task import Task


def evaluate(
    model: Annotated[str | None, typer.Argument(help="A name from `fullclip models list`, a folder or a file.")] = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="A name from --list, or a folder of your own; may be repeated. Without it, all known sets that are here."
        ),
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Fit the linear probe of the paper's appendix A.3, and try it on shifts.")
    ] = False,
    few_shot: Annotated[bool, typer.Option("--few-shot", help="Fit probes on 1 to 16 examples of each class.")] = False,
    calibration: Annotated[
        bool,
        typer.Option("--calibration", help="Ask how far confidence can be trusted, before and after a fitted temperature."),
    ] = False,
    rejection: Annotated[
        bool,
        typer.Option(
            "--rejection", help="Ask, of each two tasks, whether one's images are recognised as none of the other's classes."
        ),
    ] = False,
    overlap: Annotated[
        list[str] | None, typer.Option(metavar="SHARDS", help="Look for the tasks' images in training shards; may be repeated.")
    ] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]NUMBER",
            help="For --overlap: from which similarity on (0 to 1) two images are the same, for all tasks or one;"
            " may be repeated.  [default: what fits each task]",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="NET",
            help="In place of MODEL, a network that is no CLIP, for --probe: net.onnx, net.onnx:output or nets.py:function.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The folder of the results.  [default: evaluations/MODEL]")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Look at no more than so many images of a split.")] = None,
    data: Annotated[Path | None, typer.Option(help="Where data sets lie.  [default: $FULLCLIP_DATASETS, or the cache]")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default the GPU where there is one.")] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Show the known data sets: what is here, and how to bring the rest.")
    ] = False,
    pull: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Fetch a data set from the hub, with --probe its train split, too; may be repeated."),
    ] = None,
    json: Json = False,
) -> None:
    """Measure a model on tasks: zero-shot, retrieval and shifts, and what else is asked for. Every number has its n and its 95%
    interval; report.html in the folder of the results shows them all.

    A task of your own is a folder with a folder of images for each class; docs/evaluation.md says what a task.toml in it can
    change. The same command goes on where an interrupted one has stopped. Many processes: torchrun --nproc-per-node 8 -m
    fullclip evaluate ...
    """
    from fullclip.core import distributed
    from fullclip.evaluation.suite.plan import unasked
    from fullclip.evaluation.suite.run import run

    if listing or pull:
        list_sets(data, pull or [], with_train=probe or few_shot, json=json)
        return
    if model is not None and features is not None:
        raise ValueError(f"give either a model, such as {model}, or --features {features} for a network that is no CLIP")
    if features is None:
        model = model or "small"
    wanted = {"probe": probe, "adapted-robustness": probe, "few-shot": few_shot, "calibration": calibration}
    protocols = _protocols(model, {**wanted, "rejection": rejection, "overlap": bool(overlap)})
    folder = out or Path("evaluations") / _slug(model or features or "")
    world = distributed.start()
    try:
        with one_voice(world.rank, how_to_go_on="the same command goes on"):
            subject, about = distributed.together(lambda: _subject(model, features, device, world), world)
            tasks = distributed.together(lambda: _tasks(task or [], data, limit), world)
            asked = distributed.together(lambda: _questions(tasks, protocols, overlap or [], threshold or []), world)
            left = unasked(tasks, protocols)
            for line in left if world.leads else ():
                note(line)
            done = run(subject, asked, about=about, out=folder, on_record=_tell)
    finally:
        distributed.stop(world)
    if world.leads:
        _finish(done, folder, left, json=json)


def _protocols(model: str | None, wanted: dict[str, bool]) -> list["Protocol"]:
    """What is asked: of a CLIP always zero-shot, retrieval and shifts."""
    from fullclip.evaluation.suite.plan import PROTOCOLS

    always = () if model is None else ("zero-shot", "retrieval", "robustness")
    found = [protocol for protocol in PROTOCOLS if protocol in always or wanted.get(protocol)]
    if not found:
        raise ValueError("a network that is no CLIP has no words: add --probe or --few-shot")
    return found


def _subject(model: str | None, features: str | None, device: str | None, world: "World") -> "tuple[Subject, About]":
    """The model to ask, by its name or as a network that is no CLIP, and what is said of it on the report."""
    from fullclip.core.storage import cache_folder
    from fullclip.evaluation.features.backbone import Backbone, ClipBackbone
    from fullclip.evaluation.features.foreign import open_backbone
    from fullclip.evaluation.suite.records import About
    from fullclip.evaluation.suite.subject import Subject
    from fullclip.inference import load

    chosen = pick_device(device, world.local_rank)
    backbone: Backbone
    if model is None:
        backbone = open_backbone(features or "", device=chosen)
    else:
        backbone = ClipBackbone(load(model, precision="float32", device=str(chosen)), name=_title(model))
    about = About(model=backbone.name, fingerprint=backbone.fingerprint, facts=backbone.facts)
    subject = Subject(
        backbone=backbone,
        cache=_cache(cache_folder()),
        world=world,
        device=str(chosen) if chosen.type == "cuda" else None,
    )
    return subject, about


def _cache(folder: Path) -> Path:
    """Where features are kept; ValueError where nothing can be."""
    from tempfile import TemporaryFile

    features = folder / "features"
    try:
        features.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=features):
            return features
    except OSError as error:
        advice = "set FULLCLIP_CACHE to a folder that can be written"
        raise ValueError(f"features cannot be kept at {features} ({error.strerror}); {advice}") from None


def _tasks(names: list[str], data: Path | None, limit: int | None) -> list["Task"]:
    """The tasks by name or folder, or all that are here."""
    from fullclip.evaluation.tasks.find import available, find_task
    from fullclip.evaluation.tasks.task import limited

    here = names or [found.name for found in available(data) if found.path is not None]
    if not here:
        raise ValueError("no data set is here; add --task FOLDER, or see `fullclip evaluate --list`")
    tasks = [find_task(name, root=data) for name in here]
    return tasks if limit is None else [limited(task, limit) for task in tasks]


def _questions(tasks: list["Task"], protocols: list["Protocol"], shards: list[str], thresholds: list[str]) -> "list[Question]":
    from fullclip.evaluation.overlap.threshold import parse_thresholds
    from fullclip.evaluation.suite.plan import questions

    everywhere, single = parse_thresholds(thresholds)
    if thresholds and not shards:
        raise ValueError(f"--threshold {thresholds[0]} is for --overlap SHARDS, which is not given")
    if everywhere is not None:
        single = {task.name: everywhere for task in tasks} | single
    return questions(tasks, protocols, shards=shards, thresholds=single)


def _tell(record: "Record") -> None:
    """A line for each record as it is found."""
    first = record.results[0]
    low, high = first.interval
    note(f"{record.task} · {record.protocol}: {first.metric} {first.value:.4g} ({low:.4g} to {high:.4g}), n = {first.n:,}")


def _finish(done: "Evaluated", folder: Path, left: list[str], *, json: bool) -> None:
    """The numbers on stdout, the page beside them; exit code 1 where something could not be measured."""
    from fullclip.core.config import to_dict
    from fullclip.evaluation.report.write import write_report

    page = write_report([folder], folder / "report.html").page if done.records else None
    results = [{"protocol": record.protocol, **to_dict(result)} for record in done.records for result in record.results]
    skipped = {record.task: record.details.get("skipped", {}) for record in done.records}
    notes = {record.task: record.details["task_note"] for record in done.records if record.details.get("task_note")}
    if json:
        failures = [to_dict(failure) for failure in done.failures]
        where = {"folder": str(folder), "report": str(page) if page else None}
        show_json({"results": results, "skipped": skipped, "notes": notes, "not_asked": left, "failures": failures, **where})
    else:
        show_table(["task", "protocol", "metric", "value", "95% interval", "n"], [_row(result) for result in results])
    for name, text in notes.items():
        note(f"{name}: {text}")
    for name, reasons in skipped.items():
        for reason, told in reasons.items():
            note(f"{name}: left out {told['count']:,} for {reason} ({told['examples'][0]})")
    for failure in done.failures:
        note(f"fullclip: {failure.name} · {failure.protocol}: {failure.reason}")
    if page is not None:
        note(f"the report: {page.resolve()}")
    if done.failures:
        raise typer.Exit(1)


def _row(result: Mapping[str, Any]) -> list[str]:
    low, high = result["interval"]
    numbers = [f"{result['value']:.4g}", f"{low:.4g} to {high:.4g}", f"{result['n']:,}"]
    return [result["task"], result["protocol"], result["metric"], *numbers]


def _title(model: str) -> str:
    """What reports call a model: its name, or of a path its end, with the run's folder before a mere "model"."""
    path = Path(model)
    if not path.exists():
        return model
    parts = path.resolve().parts
    return "/".join(parts[-2:]) if parts[-1].startswith("model") else parts[-1]


def _slug(name: str) -> str:
    """A model's name as a folder's."""
    words = "".join(letter if letter.isalnum() or letter in "._" else " " for letter in name).split()
    return "-".join(words).strip(".") or "model"
