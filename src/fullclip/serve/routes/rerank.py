"""POST /v1/rerank: a caption and pictures in, those that fit it best out."""

from functools import partial

from fastapi import APIRouter, Response

from fullclip.core.types import Hit
from fullclip.inference import Encoder
from fullclip.search.rerank import Reranker
from fullclip.serve.errors import refused
from fullclip.serve.parts import Parts, listed
from fullclip.serve.routes.strict import strict_router
from fullclip.serve.schemas import RerankAnswer, RerankRequest


def router(parts: Parts) -> APIRouter:
    routes = strict_router()

    @routes.post("/v1/rerank", response_model=RerankAnswer, tags=["search"])
    async def rerank(asked: RerankRequest) -> Response:
        """The pictures that fit the caption best, the best first, by their CLIPScores."""
        captions = listed(asked.caption)
        parts.check_number(len(captions))
        parts.check_texts(captions)
        await parts.model.count(captions)
        names = [f"image {place}" for place in range(len(asked.images))]
        pictures = await parts.pictures(asked.images, names)
        encoder = parts.model.seen_from_threads(names)
        with refused():
            hits = await parts.model.aside(partial(_ranked, encoder, captions, pictures, asked.top, asked.diversity))
        return await parts.answer({"hits": [{"index": hit.meta["position"], "score": hit.score} for hit in hits]})

    return routes


def _ranked(encoder: Encoder, captions: list[str], pictures: list[bytes], top: int, diversity: float) -> list[Hit]:
    ranking = Reranker(encoder, captions, top=top, diversity=diversity)
    ranking.add(pictures)
    return ranking.best()
