"""Bodies are parsed as JSON is defined: no NaN, no infinity, no depth that would end the parser."""

import json
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from fullclip.serve.schemas import ErrorAnswer

_COMMON = {400: "The body is not what the route takes.", 401: "No key of this server.", 408: "The body came too slowly.",
           413: "The body is too large.", 415: "The body is no plain JSON.", 421: "Another host's name.",
           429: "Too much waits; Retry-After says when to come again.", 503: "The model or the index does not answer.",
           504: "It took too long."}  # fmt: skip


class _StrictRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        try:
            return json.loads(body, parse_constant=_no_number)
        except RecursionError:
            raise json.JSONDecodeError("it is too deep", "", 0) from None
        except UnicodeDecodeError:
            raise json.JSONDecodeError("it is not UTF-8", "", 0) from None
        except json.JSONDecodeError:
            raise
        except ValueError:  # a number of thousands of digits
            raise json.JSONDecodeError("a number is too long", "", 0) from None


class _StrictRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(_StrictRequest(request.scope, request.receive))

        return strict


def strict_router() -> APIRouter:
    """A router whose routes parse so, with the errors that all of them may give."""
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorAnswer, "description": why} for status, why in _COMMON.items()
    }
    return APIRouter(route_class=_StrictRoute, responses=responses)


def _no_number(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is no number of JSON", "", 0)
