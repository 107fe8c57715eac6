"""Requests as they come: bodies are counted before they are parsed, slow ones are given up, and so are those of clients that
have gone. ASGI alone.
"""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fullclip.serve.errors import ApiError
from fullclip.serve.metrics import Metrics
from fullclip.serve.settings import Limits

_MOST_VALUES = 250_000  # commas and brackets: each is an object in memory, and parsing them holds up all others
_LINGER_SECONDS, _LINGER_BYTES = 2.0, 64 << 20  # how long a body that is too large is read on, so that its sender hears why


class ClientGone(Exception):  # noqa: N818 - nothing to be told to anybody
    """Nobody waits for the answer any more."""


class Bodies:
    """Lets a request through with its whole body, within the limits, and ends it when its time is over. posts: the routes
    that take a body; that of another is not read.
    """

    def __init__(self, app: ASGIApp, *, posts: Sequence[str], limits: Limits, metrics: Metrics) -> None:
        self._app, self._posts, self._limits, self._metrics = app, frozenset(posts), limits, metrics
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held = Held(self)
        HELD.set(held)
        started = _Started(send)
        try:
            takes = scope["method"] == "POST" and scope["path"] in self._posts
            body = await self._read(Headers(scope=scope), receive, held) if takes else b""
            await self._answer(scope, body, receive, started)
        except ApiError as error:
            if error.headers.get("Connection") == "close" and error.status in (413, 415, 429):
                await _linger(receive)
            if not started.is_so:
                await error.response()(scope, receive, send)
        finally:
            held.give_back()

    async def _read(self, headers: Headers, receive: Receive, held: "Held") -> bytes:
        """The body of a POST."""
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise ApiError(415, "the body is application/json", code="not_json", close=True)
        if headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise ApiError(415, "the body is not compressed", code="compressed", close=True)
        length = headers.get("content-length", "")
        if length.isascii() and length.isdigit() and (len(length) > 19 or int(length) > self._limits.body_bytes):
            raise self._too_large()
        pieces, size = [], 0

        async def read() -> None:
            nonlocal size
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                piece = message.get("body", b"")
                size += len(piece)
                if size > self._limits.body_bytes:
                    raise self._too_large()
                held.take(len(piece))  # what is only announced takes no room, or a few clients would keep all others out
                pieces.append(piece)
                if not message.get("more_body", False):
                    return

        try:
            await asyncio.wait_for(read(), self._limits.body_seconds)
        except asyncio.TimeoutError:
            seconds = f"{self._limits.body_seconds:g} s"
            raise ApiError(408, f"the body did not arrive in {seconds}", code="slow_body", close=True) from None
        body = b"".join(pieces)
        if sum(map(body.count, (b",", b"[", b"{"))) > _MOST_VALUES:
            raise ApiError(413, f"a body of over {_MOST_VALUES:,} commas and brackets", code="body_too_large")
        return body

    async def _answer(self, scope: Scope, body: bytes, receive: Receive, started: "_Started") -> None:
        """The app's answer; 504 where it takes too long."""
        given = False
        over = asyncio.Event()

        async def once() -> Message:
            nonlocal given
            if given:
                await over.wait()
                return {"type": "http.disconnect"}
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        answer = asyncio.ensure_future(self._app(scope, once, started))
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait({answer, gone}, timeout=self._limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done() and gone.done():
                raise ClientGone
            if not answer.done():
                raise ApiError(504, f"no answer within {self._limits.seconds:g} s", code="timeout", close=True)
            answer.result()
        finally:
            over.set()
            answer.cancel()
            gone.cancel()
            await asyncio.gather(answer, gone, return_exceptions=True)

    def _too_large(self) -> ApiError:
        return ApiError(413, f"a body of over {self._limits.body_bytes:,} bytes", code="body_too_large", close=True)

    def hold(self, more: int) -> None:
        """Count bytes that are in work; ApiError where there would be too many."""
        if more > 0 and self._held + more > self._limits.held_bytes:
            raise ApiError(429, "too many bodies are in work", code="busy", retry_after=1.0, close=True)
        self._held += more
        self._metrics.held(self._held)


class Held:
    """What one request holds of the bytes that all may."""

    def __init__(self, bodies: Bodies) -> None:
        self._bodies, self.size = bodies, 0

    def take(self, more: int) -> None:
        """ApiError where there is no room for so many; what was held is given back at once, or all that arrive with it, each of
        which holds a part, would be refused with it.
        """
        try:
            self._bodies.hold(more)
        except ApiError:
            self.give_back()
            raise
        self.size += more

    def give_back(self) -> None:
        self._bodies.hold(-self.size)
        self.size = 0


HELD: ContextVar[Held] = ContextVar("held")  # of the request that is in work


class _Started:
    """`send`, and whether an answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send, self.is_so = send, False

    async def __call__(self, message: Message) -> None:
        self.is_so = True
        await self._send(message)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _linger(receive: Receive) -> None:
    """Read on for a while: a connection that is closed with bytes unread loses the answer on its way."""

    async def read() -> None:
        size = 0
        while size < _LINGER_BYTES:
            message = await receive()
            size += len(message.get("body", b""))
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return

    try:
        await asyncio.wait_for(read(), _LINGER_SECONDS)
    except asyncio.TimeoutError:
        return
