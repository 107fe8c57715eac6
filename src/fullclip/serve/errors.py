"""What goes wrong, as OpenAI's clients understand it: {"error": {"message", "type", "code"}}, without paths of this machine."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from fullclip.serve.gather import Busy

_LONGEST = 400
_PATH = re.compile(r"(?<![\w.:/<])(?:[A-Za-z]:\\|/)[^\s'\",;:(){}\[\]<>]*[/\\][^\s'\",;:(){}\[\]<>]*")
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
    504: "timeout_error",
}
_KINDS = ("str", "ImageItem", "TextItem")  # of a part that may be one of several
_CODES = {404: "no_such_route", 405: "method_not_allowed"}


class ApiError(Exception):
    """An answer that is no result. retry_after: seconds after which to come again. close: the rest of the body is not read."""

    def __init__(self, status: int, message: str, *, code: str, retry_after: float | None = None, close: bool = False) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.headers: dict[str, str] = {}
        if retry_after is not None:
            self.headers["Retry-After"] = str(max(1, round(retry_after)))
        if status == 401:
            self.headers["WWW-Authenticate"] = "Bearer"
        if close:
            self.headers["Connection"] = "close"

    def response(self) -> Response:
        return error_response(self.status, self.message, code=self.code, headers=self.headers)


def error_response(status: int, message: str, *, code: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer; the message is one line, without paths."""
    told = {"error": {"message": scrubbed(message), "type": _TYPES.get(status, "invalid_request_error"), "code": code}}
    return Response(json.dumps(told), status, headers=headers, media_type="application/json")


def scrubbed(message: str) -> str:
    """One line of at most 400 characters, with `…` where a path of this machine stood."""
    line = " ".join(message.encode("utf-8", "replace").decode().split())
    for own in {str(Path.home()), str(Path.cwd())} - {"/"}:
        line = line.replace(own, "…")
    line = _PATH.sub("…", line)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


@contextmanager
def refused(code: str = "invalid_value") -> Iterator[None]:
    """What the package itself refuses, labels that stand there twice or a filter that is none, as an answer of 400."""
    try:
        yield
    except ValueError as error:
        raise ApiError(400, str(error), code=code) from None


async def on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, "invalid_request")
    message = str(error.detail)
    if error.status_code in _CODES:
        message = f"{message}; /docs has all routes"
    return error_response(error.status_code, message, code=code, headers=error.headers)


async def on_invalid(request: Request, error: Exception) -> Response:
    """A body that is not what the route takes: which part of it, and why."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        why = str(found[0].get("ctx", {}).get("error", ""))
        return error_response(400, f"the body is no JSON: {why or 'it ends too early'}", code="bad_json")
    deepest = max(found, key=lambda one: len(one["loc"]))
    return error_response(400, _sentence(deepest), code="invalid_value")


def _sentence(one: Mapping[str, Any]) -> str:
    place = ".".join(str(part)[:40] for part in one["loc"] if part not in ("body", *_KINDS) and "[" not in str(part))
    why = str(one["msg"]).removeprefix("Value error, ")
    return f"{place}: {why}" if place else why


async def on_busy(request: Request, error: Exception) -> Response:
    assert isinstance(error, Busy)
    return ApiError(429, str(error), code="busy", retry_after=error.seconds).response()
