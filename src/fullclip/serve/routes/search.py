"""POST /v1/search: texts, pictures and keys in, the pictures of the index that are most like them out."""

import base64
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import APIRouter, Response

from fullclip.core.types import Hit
from fullclip.inference import Encoder
from fullclip.serve.conditions import check_condition
from fullclip.serve.errors import ApiError, refused
from fullclip.serve.parts import FreshIndex, Parts, finite, listed
from fullclip.serve.routes.strict import strict_router
from fullclip.serve.schemas import ErrorAnswer, SearchAnswer, SearchRequest

if TYPE_CHECKING:
    from fullclip.search.index import Index

MOST_LIKE = 32  # keys of a request


def router(parts: Parts) -> APIRouter:
    routes = strict_router()
    missing: dict[int | str, dict[str, Any]] = {404: {"model": ErrorAnswer, "description": "No index, or no such key."}}

    @routes.post("/v1/search", response_model=SearchAnswer, responses=missing, tags=["search"])
    async def search(asked: SearchRequest) -> Response:
        """The pictures of the index that are most like what is wanted, the best first, with copies folded."""
        fresh = parts.index
        if fresh is None:
            raise ApiError(404, "this server has no index: start it with --index DIR", code="no_index")
        texts, minus, like = listed(asked.text), listed(asked.minus), listed(asked.like)
        sent = listed(asked.image)
        if not texts and not sent and not like:
            raise ApiError(400, "give at least one of text, image and like", code="invalid_value")
        parts.check_number(len(texts) + len(minus) + len(like) + len(sent))
        if len(like) > MOST_LIKE:
            raise ApiError(400, f"{len(like)} keys under like: at most {MOST_LIKE}", code="too_many_items")
        parts.check_texts([*texts, *minus, *like])
        if asked.where is not None:
            check_condition(asked.where)
        if texts or minus:
            await parts.model.count([*texts, *minus])
        names = [f"image {place}" for place in range(len(sent))]
        pictures = await parts.pictures(sent, names)
        wish = {"texts": texts, "images": pictures, "like": like, "minus": minus}
        encoder = parts.model.seen_from_threads(names)
        with refused():
            hits = await parts.model.aside(partial(_found, fresh, encoder, wish, asked))
        return await parts.answer({"hits": hits})

    return routes


def _found(fresh: FreshIndex, encoder: Encoder, wish: dict[str, Any], asked: SearchRequest) -> list[dict[str, Any]]:
    """The hits, in a thread; ApiError for a key that is not there and an index that cannot be read now."""
    from fullclip.search.query import UnknownKeyError, combined  # its packages are needed where there is an index

    try:
        index = fresh.get()
        try:
            vector = combined(encoder, index, **wish)
        except UnknownKeyError as error:
            raise ApiError(404, f"no picture {error.key[:200]!r} in the index", code="no_such_key") from None
        [hits] = _searched(index, vector, asked)
        thumbnails = index.thumbnails([hit.key for hit in hits])
        return [_shown(hit, thumbnails.get(hit.key)) for hit in hits]
    except (OSError, RuntimeError):  # LanceDB's words for files that are not there
        raise fresh.unavailable() from None


def _searched(index: "Index", vector: np.ndarray, asked: SearchRequest) -> list[list[Hit]]:
    """The index's answer; ApiError where it has one without the condition alone, which divides by zero, say, or ends LanceDB's
    planner.
    """
    try:
        return index.search(vector[None], top=asked.top, where=asked.where)
    except ValueError:
        raise
    except Exception:  # a panic of LanceDB's is of no narrower kind
        if asked.where is None:
            raise
        index.search(vector[None], top=1)
        raise ApiError(400, "where: it cannot be worked out for these pictures", code="invalid_value") from None


def _shown(hit: Hit, thumbnail: bytes | None) -> dict[str, Any]:
    url = None if thumbnail is None else f"data:image/jpeg;base64,{base64.b64encode(thumbnail).decode()}"
    return {"key": finite(hit.key), "score": float(hit.score), "meta": finite(dict(hit.meta)), "thumbnail": url}
