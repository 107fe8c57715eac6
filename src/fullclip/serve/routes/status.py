"""Whether the server lives and is ready, what it serves, its numbers, its page and its documentation."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse
from starlette.staticfiles import StaticFiles

from fullclip.serve.documentation import POLICY, page_of
from fullclip.serve.errors import ApiError
from fullclip.serve.metrics import CONTENT_TYPE
from fullclip.serve.parts import Parts
from fullclip.serve.schemas import Alive, ErrorAnswer, Models, Ready

PAGE = Path(str(files("fullclip").joinpath("assets/page")))


def router(parts: Parts) -> APIRouter:
    routes = APIRouter(responses={421: {"model": ErrorAnswer, "description": "Another host's name."}})
    locked: dict[int | str, dict[str, Any]] = {401: {"model": ErrorAnswer, "description": "No key of this server."}}

    unready: dict[int | str, dict[str, Any]] = {503: {"model": ErrorAnswer, "description": "Not now."}}

    async def indexed() -> int | None:
        fresh = parts.index
        return None if fresh is None else await parts.model.aside(lambda: len(fresh.get()), kind="short")

    @routes.get("/healthz", response_model=Alive, tags=["status"])
    async def alive() -> Response:
        """The process answers."""
        return Response('{"status":"alive"}', media_type="application/json")

    @routes.get(
        "/readyz",
        response_model=Ready,
        tags=["status"],
        responses=unready,
    )
    async def ready() -> Response:
        """The model is open, its thread works on something or waits for it, and the index can be read."""
        if parts.model.is_stuck():
            raise ApiError(503, "the model has not answered for long", code="not_ready", retry_after=5.0)
        return await parts.answer({"status": "ready", "model": parts.name, "index": await indexed()})

    @routes.get("/v1/models", response_model=Models, tags=["model"], responses={**locked, **unready})
    async def models() -> Response:
        """The one model of this server, as OpenAI's clients list them."""
        told = {"id": parts.name, "object": "model", "created": 0, "owned_by": "fullclip"}
        told |= {"dimensions": parts.model.encoder.embed, "index": await indexed()}
        return await parts.answer({"object": "list", "data": [told]})

    @routes.get("/metrics", response_class=PlainTextResponse, tags=["status"], responses=locked)
    async def metrics() -> Response:
        """Numbers for Prometheus."""
        return Response(await parts.model.aside(parts.metrics.text, kind="short"), media_type=CONTENT_TYPE)

    return routes


def add_pages(app: FastAPI) -> None:
    """The page at / with its files below /page, and the documentation at /docs; none of them needs a network."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(page_of(app.openapi()), headers={"Content-Security-Policy": POLICY})

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(PAGE / "index.html", media_type="text/html", headers={"Cache-Control": "no-cache"})

    app.mount("/page", StaticFiles(directory=PAGE))
