"""fullclip serve: the model as a server for other programs, and as a page for people."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from fullclip.serve.settings import Limits

PACKAGES = ("fastapi", "uvicorn", "prometheus_client")
FETCHING = ("aiohttp", "protego")


def serve(
    model: Annotated[
        str | None,
        typer.Option(help="A name from `fullclip models list`, a folder or a file.  [default: the index's own, or small]"),
    ] = None,
    index: Annotated[str | None, typer.Option(help="A folder that `fullclip search build` wrote, to be searched.")] = None,
    host: Annotated[str, typer.Option(help="Where to listen; 127.0.0.1 is for this machine alone.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Processes, each with a model of its own.")] = 1,
    api_keys_file: Annotated[
        Path | None, typer.Option(help="A file with an API key a line; $FULLCLIP_API_KEYS has them as well.")
    ] = None,
    no_api_keys: Annotated[
        bool, typer.Option("--no-api-keys", help="With another --host: let everybody in who gets there.")
    ] = False,
    allow_images_from: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="Fetch image URLs of this host, or of *.HOST; may be repeated.  [default: of none]"),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A name that browsers may ask this server by, such as that of a proxy before it; may be repeated."
            "  [default: on 127.0.0.1 without keys localhost alone, otherwise any]",
        ),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBER", help="A limit (docs/serving.md), such as items=64; may be repeated."),
    ] = None,
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(help="What the model computes in.  [default: the fastest that is right here]"),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.  [default: cuda where there is one]")] = None,
) -> None:
    """Serve embeddings, labels, search and reranking over HTTP, and a page at /. /docs describes the routes."""
    import os

    from fullclip.core.extras import require

    for package in (*PACKAGES, *(FETCHING if allow_images_from else ())):
        require(package, extra="serve")
    from fullclip.serve.keys import ENVIRONMENT, read_keys
    from fullclip.serve.run import Place, serve as run
    from fullclip.serve.settings import Settings, names_of

    keys = read_keys(os.environ, api_keys_file)
    if keys and no_api_keys:
        raise ValueError(f"--no-api-keys, and there are keys in ${ENVIRONMENT} or a file: leave one out")
    place = Place(host=host, port=port, workers=workers)
    place.check(has_keys=bool(keys), is_open=no_api_keys)
    settings = Settings(
        model=model or _model_of(index),
        index=index,
        precision=precision,
        device=device,
        api_keys=keys,
        images_from=tuple(_host(name) for name in allow_images_from or ()),
        hosts=names_of(host, api_keys=keys, allowed=[_own_name(name) for name in allow_host or ()]),
        limits=_limits(limit or []),
    )
    run(settings, place)


def _model_of(index: str | None) -> str:
    """The model that an index was built with."""
    if index is None:
        return "small"
    from fullclip.search.index import Index

    return Index.open(index).model


def _host(name: str) -> str:
    bare = name.removeprefix("*.")
    if not bare or any(letter in bare for letter in "/:*@ ") or name == "*":
        raise ValueError(f"--allow-images-from {name}: the name of a host, such as images.example.org or *.example.org")
    return name


def _own_name(name: str) -> str:
    if not name or any(letter in name for letter in "/:*@ "):
        raise ValueError(f"--allow-host {name}: one name in full, without a port, such as pictures.example.org")
    return name


def _limits(given: list[str]) -> "Limits":
    """ValueError for a limit that there is not, or a value that is no number."""
    from fullclip.core.config import override
    from fullclip.serve.settings import Limits

    found: Any = override(Limits(), given)
    return found  # type: ignore[no-any-return]
