"""What the routes share: the model, the index, where pictures come from, the limits."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import Response

from fullclip.serve.bodies import HELD
from fullclip.serve.errors import ApiError
from fullclip.serve.images import check, decode, is_url
from fullclip.serve.metrics import Metrics
from fullclip.serve.model import SharedModel
from fullclip.serve.settings import Limits
from fullclip.serve.urls import UrlImages

if TYPE_CHECKING:
    from fullclip.search.index import Index

_REFRESH_SECONDS = 5.0
_MOST_SEMICOLONS = 200  # no model reads as many, but "&amp;amp;amp;..." is one sign, for which each is looked at anew
_GONE = (OSError, ValueError, RuntimeError)  # what LanceDB says of files that are not there differs


class FreshIndex:
    """An index that is looked at again every five seconds, since other processes add to it."""

    def __init__(self, index: "Index") -> None:
        self._index, self._looked_at = index, time.monotonic()

    def get(self) -> "Index":
        """In a thread: it may read from disk. ApiError where the disk does not give it."""
        if time.monotonic() - self._looked_at > _REFRESH_SECONDS:
            try:
                self._index.refresh()
            except _GONE:
                raise self.unavailable() from None
            self._looked_at = time.monotonic()
        return self._index

    @staticmethod
    def unavailable() -> ApiError:
        return ApiError(503, "the index cannot be read now", code="index_unavailable", retry_after=5.0)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """name: what the model is called, which is no path. index: None where there is none."""

    name: str
    model: SharedModel
    index: FreshIndex | None
    urls: UrlImages
    limits: Limits
    metrics: Metrics

    async def pictures(self, sent: Sequence[str], names: Sequence[str]) -> list[bytes]:
        """Files' bytes, whose headers have been looked at; ApiError for the first that is no picture."""
        self.check_number(len(sent))
        return list(await asyncio.gather(*map(self._picture, sent, names)))

    async def _picture(self, sent: str, name: str) -> bytes:
        pixels = self.limits.pixels
        if is_url(sent):
            data = await self.urls(sent)
            held = HELD.get()
            held.take(len(data))
            if held.size > 2 * self.limits.body_bytes:
                raise ApiError(413, f"pictures of over {self.limits.body_bytes:,} bytes", code="body_too_large")
            await self.model.aside(partial(check, data, name, max_pixels=pixels), kind="decode")
            return data
        return await self.model.aside(partial(_decoded, sent, name, pixels), kind="decode")

    def check_number(self, items: int) -> None:
        if items > self.limits.items:
            raise ApiError(400, f"{items} items: at most {self.limits.items} in a request", code="too_many_items")

    def check_texts(self, texts: Sequence[str]) -> None:
        """ApiError where a text has more characters than any model reads."""
        for place, text in enumerate(texts):
            if len(text) > self.limits.text_characters:
                most = f"at most {self.limits.text_characters:,}"
                raise ApiError(400, f"text {place} has {len(text):,} characters: {most}", code="text_too_long")
            if text.count(";") > _MOST_SEMICOLONS:
                raise ApiError(400, f"text {place} has over {_MOST_SEMICOLONS} semicolons", code="text_too_long")

    async def answer(self, told: Any) -> Response:
        """JSON; what is long is written in a thread."""
        return Response(await self.model.aside(partial(_dumped, told), kind="short"), media_type="application/json")


def _decoded(sent: str, name: str, pixels: int) -> bytes:
    data = decode(sent, name)
    check(data, name, max_pixels=pixels)
    return data


def _dumped(told: Any) -> bytes:
    return json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain).encode()


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def finite(value: Any) -> Any:
    """JSON has no NaN and no infinity; in metadata they are null. Texts are such as can be sent."""
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, dict):
        return {finite(str(name)): finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    if isinstance(value, np.ndarray):
        return finite(value.tolist())
    if isinstance(value, Path):
        return finite(str(value))
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def listed(value: str | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else value
