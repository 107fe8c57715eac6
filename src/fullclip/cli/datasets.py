"""What `fullclip evaluate --list` and `--pull` do: the known data sets, which are here, and how the others come."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from fullclip.cli.output import note, show_json, show_table

if TYPE_CHECKING:
    from fullclip.evaluation.tasks.find import Availability

_COLUMNS = ("name", "set", "classes", "test", "metric")


def list_sets(data: Path | None, wanted: list[str], *, with_train: bool, json: bool) -> None:
    """Fetch what is wanted; show what is here, or only that."""
    from fullclip.evaluation.tasks.find import PULL, available, datasets_folder, pull

    for name in wanted:
        note(f"{name}: {pull(name, root=data, with_train=with_train)}")
    found = [one for one in available(data) if not wanted or one.name in wanted]
    if json:
        show_json([_known(one) for one in found])
        return
    here, missing = [[one for one in found if (one.path is not None) == there] for there in (True, False)]
    by_hub = [one for one in missing if one.how.startswith(PULL)]
    others = [one for one in missing if not one.how.startswith(PULL)]
    if here:
        show_table([*_COLUMNS, "where"], [[*_facts(one), one.path or ""] for one in here])
    else:
        typer.echo(f"none of {len(found)} known data sets is below {data or datasets_folder()}")
    if by_hub:
        typer.echo(f"\nnot here, and brought by `{PULL} NAME`:")
        show_table(_COLUMNS, [_facts(one) for one in by_hub])
    if others:
        typer.echo("\nnot here, and brought by other means:")
        for one in others:
            typer.echo(f"{one.name} ({one.dataset.title}): {one.how}")
    note("\na task of your own is a folder: fullclip evaluate MODEL --task FOLDER")


def _facts(one: "Availability") -> list[str]:
    dataset = one.dataset
    return [one.name, dataset.title, str(dataset.classes or "–"), f"{dataset.test:,}" if dataset.test else "–", dataset.metric]


def _known(one: "Availability") -> dict[str, Any]:
    from fullclip.core.config import to_dict

    return {"name": one.name, "path": one.path, "how": one.how, **to_dict(one.dataset)}
