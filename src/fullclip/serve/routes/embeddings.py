"""POST /v1/embeddings, as OpenAI's, for pictures as well."""

import base64
from typing import Any

import numpy as np
from fastapi import APIRouter, Response

from fullclip.serve.errors import ApiError
from fullclip.serve.parts import Parts
from fullclip.serve.routes.strict import strict_router
from fullclip.serve.schemas import EmbeddingsAnswer, EmbeddingsRequest, ErrorAnswer, ImageItem


def router(parts: Parts) -> APIRouter:
    routes = strict_router()
    unknown: dict[int | str, dict[str, Any]] = {404: {"model": ErrorAnswer, "description": "No such model."}}

    @routes.post("/v1/embeddings", response_model=EmbeddingsAnswer, responses=unknown, tags=["model"])
    async def embeddings(asked: EmbeddingsRequest) -> Response:
        """Texts and pictures as points of one space: rows of length 1, in the order of `input`."""
        _check(asked, parts)
        items = [asked.input] if isinstance(asked.input, str) else asked.input
        parts.check_number(len(items))
        places = [place for place, item in enumerate(items) if isinstance(item, ImageItem)]
        sent = [item.image for item in items if isinstance(item, ImageItem)]
        texts = {
            place: item if isinstance(item, str) else item.text
            for place, item in enumerate(items)
            if not isinstance(item, ImageItem)
        }
        rows = np.empty((len(items), parts.model.encoder.embed), dtype=np.float32)
        num_tokens = 0
        if texts:
            words = list(texts.values())
            parts.check_texts(words)
            num_tokens = await parts.model.count(words)
            rows[list(texts)] = await parts.model.texts(words)
        if places:
            names = [f"input {place}" for place in places]
            rows[places] = await parts.model.images(await parts.pictures(sent, names), names)
        shown = [_base64(row) for row in rows] if asked.encoding_format == "base64" else rows.tolist()
        data = [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(shown)]
        usage = {"prompt_tokens": num_tokens, "total_tokens": num_tokens}
        return await parts.answer({"object": "list", "data": data, "model": parts.name, "usage": usage})

    return routes


def _check(asked: EmbeddingsRequest, parts: Parts) -> None:
    """ApiError for another model than ours, or another width than its own."""
    if asked.model != parts.name:
        raise ApiError(404, f"no model {asked.model[:80]!r} here; there is {parts.name!r}", code="model_not_found")
    width = parts.model.encoder.embed
    if asked.dimensions not in (None, width):
        raise ApiError(400, f"dimensions is {asked.dimensions}: this model has {width}", code="invalid_dimensions")


def _base64(row: np.ndarray) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()
