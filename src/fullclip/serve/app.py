"""Parts -> the app: routes, limits, gates. `create_app` opens the parts; whoever runs ASGI apps can run it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from fullclip import __version__
from fullclip.inference import Encoder, load
from fullclip.serve.bodies import Bodies
from fullclip.serve.errors import ApiError, on_api_error, on_busy, on_http_error, on_invalid
from fullclip.serve.gate import LOCKED, Gate
from fullclip.serve.gather import Busy
from fullclip.serve.keys import Keys
from fullclip.serve.metrics import Metrics
from fullclip.serve.model import SharedModel
from fullclip.serve.parts import FreshIndex, Parts
from fullclip.serve.routes import classify, embeddings, rerank, search, status
from fullclip.serve.settings import Settings
from fullclip.serve.urls import UrlImages, rules_of

if TYPE_CHECKING:
    from fullclip.search.index import Index

_DESCRIPTION = (
    "Pictures and words in one space: embeddings as OpenAI's clients ask for them, labels for pictures, search, reranking. "
    'An error is {"error": {"message", "type", "code"}}.'
)


def create_app(settings: Settings) -> FastAPI:
    """Opens the model and the index; ValueError where one cannot be, or they do not belong together."""
    encoder = load(settings.model, settings.precision, settings.device)  # type: ignore[arg-type]
    return build_app(encoder, open_index(settings.index, encoder), settings)


def open_index(folder: str | None, encoder: Encoder) -> "Index | None":
    """The index in a folder; ValueError where there is none, or it is of another model."""
    if folder is None:
        return None
    from fullclip.search.index import Index
    from fullclip.search.query import check_model

    index = Index.open(folder)
    check_model(encoder, index)
    return index


def build_app(encoder: Encoder, index: "Index | None", settings: Settings, *, urls: UrlImages | None = None) -> FastAPI:
    """The app of parts that are open. urls: who fetches pictures, by default from `settings.images_from`."""
    metrics, limits = Metrics(), settings.limits
    parts = Parts(
        name=model_name(settings.model),
        model=SharedModel(encoder, limits=limits, metrics=metrics),
        index=None if index is None else FreshIndex(index),
        urls=urls or UrlImages(settings.images_from, rules=rules_of(max_bytes=limits.body_bytes)),
        limits=limits,
        metrics=metrics,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(parts.model.running())
            await stack.enter_async_context(parts.urls.running())
            yield

    app = FastAPI(
        title="fullclip",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        exception_handlers={
            ApiError: on_api_error,
            Busy: on_busy,
            HTTPException: on_http_error,
            RequestValidationError: on_invalid,
        },
    )
    for group in (embeddings, classify, search, rerank, status):
        app.include_router(group.router(parts))
    status.add_pages(app)
    _describe(app, has_keys=bool(settings.api_keys))
    ways = app.openapi()["paths"]
    app.add_middleware(Bodies, posts=[path for path, told in ways.items() if "post" in told], limits=limits, metrics=metrics)
    paths = ["/", "/docs", "/openapi.json", *ways]
    app.add_middleware(Gate, keys=Keys(settings.api_keys), hosts=settings.hosts, routes=paths, metrics=metrics)
    return app


def model_name(model: str) -> str:
    """What clients call the model: its name, or the last part of a path."""
    return Path(model).name if Path(model).exists() or model.startswith(("/", "./", "../", "~")) else model


def _describe(app: FastAPI, *, has_keys: bool) -> None:
    """The OpenAPI description without FastAPI's own shape of errors, which nobody gets; with keys, where they are asked for."""
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            api = plain()
            for path, methods in api["paths"].items():
                for told in methods.values():
                    told["responses"].pop("422", None)
                    if has_keys:
                        told["security"] = [{"key": []}] if path.startswith(LOCKED) else []
            for name in ("HTTPValidationError", "ValidationError"):
                api["components"]["schemas"].pop(name, None)
            if has_keys:
                api["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]
