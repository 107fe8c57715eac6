"""Who is let in, and what every answer says to browsers. What was asked is counted and logged, without what it held. ASGI
alone.
"""

import logging
import time
import traceback
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fullclip.serve.bodies import ClientGone
from fullclip.serve.errors import ApiError
from fullclip.serve.keys import Keys
from fullclip.serve.metrics import Metrics

log = logging.getLogger("fullclip.serve")

LOCKED = ("/v1/", "/metrics")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY")
_CLIENT_GONE = 499
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Gate:
    """Lets in requests for one of `hosts` (none: for any) with a key, which the page and the probes need not have; answers 500
    in one line where the app fails. routes: the paths that are counted by their own names.
    """

    def __init__(self, app: ASGIApp, *, keys: Keys, hosts: Sequence[str], routes: Sequence[str], metrics: Metrics) -> None:
        self._app, self._keys, self._metrics = app, keys, metrics
        self._hosts, self._routes = {host.lower() for host in hosts}, frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, answer = time.monotonic(), _Answer(send)
        try:
            self._check(scope)
            is_head = scope["method"] == "HEAD"  # the body of its answer is left out where it is sent
            await self._app({**scope, "method": "GET"} if is_head else scope, receive, answer)
        except ApiError as error:
            await error.response()(scope, receive, answer)
        except ClientGone:
            if not answer.is_whole:
                answer.status = _CLIENT_GONE
        except Exception as error:  # a bug; what it says may hold what a client sent, so only its place is logged
            frames = "".join(traceback.format_tb(error.__traceback__))
            log.error("%s in %s\n%s", type(error).__name__, self._route(scope), frames)
            if answer.is_started:
                raise
            failed = ApiError(500, "the server failed; its log says where", code="internal_error")
            await failed.response()(scope, receive, answer)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            seconds, route = time.monotonic() - began, self._route(scope)
            self._metrics.request(method, route, answer.status, seconds)
            client = (scope.get("client") or ("-",))[0]
            log.info("%s %s %s %d %.0f ms", client, method, route, answer.status, 1000 * seconds)

    def _route(self, scope: Scope) -> str:
        """The route's own path: a path that somebody made up is no label."""
        path: str = scope["path"]
        return path if path in self._routes else "/page" if path.startswith("/page/") else "other"

    def _check(self, scope: Scope) -> None:
        """ApiError for who is not let in."""
        headers = Headers(scope=scope)
        if self._hosts and _name(headers.get("host", "")) not in self._hosts:
            raise ApiError(421, "this server is not asked by that name; --allow-host NAME lets it be", code="wrong_host")
        is_locked = bool(self._keys) and scope["path"].startswith(LOCKED)
        if is_locked and not self._keys.allow(headers.get("authorization", "").encode("latin-1")):
            raise ApiError(401, "give a key of this server as `Authorization: Bearer KEY`", code="invalid_api_key")


class _Answer:
    """`send` with the headers that every answer has; remembers the status."""

    def __init__(self, send: Send) -> None:
        self._send, self.status, self.is_started, self.is_whole = send, 500, False, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.is_started = message["status"], True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)
        self.is_whole = message["type"] == "http.response.body" and not message.get("more_body", False)


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    name, colon, port = host.strip().lower().rpartition(":")
    return name if colon and port.isdigit() else host.strip().lower()
