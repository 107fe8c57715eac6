"""Apps of a tiny model, asked in this process or over the loopback; an index of ten pictures."""

import base64
import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from embedded import write_pictures
from fullclip.inference import Encoder
from fullclip.search.index.building import add
from fullclip.search.jobs import ModelChoice
from fullclip.serve.app import build_app
from fullclip.serve.run import PatientProtocol
from fullclip.serve.settings import Limits, Settings
from tiny import tiny_encoder

NAME = "tiny"


def app_of(*, encoder: Encoder | None = None, **settings: Any) -> FastAPI:
    return build_app(encoder or tiny_encoder(), None, Settings(model=NAME, **settings))


@contextmanager
def asking(app: FastAPI) -> Iterator[TestClient]:
    """A client of an app in this process; what the app does not catch comes out."""
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def picture(seed: int, *, size: tuple[int, int] = (40, 36), kind: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def sent(data: bytes) -> str:
    """A picture as a request has it."""
    return base64.b64encode(data).decode()


def vectors_of(answer: Any) -> np.ndarray:
    return np.array([row["embedding"] for row in answer.json()["data"]], dtype=np.float32)


def error_of(answer: Any) -> tuple[int, str]:
    """The status and the code, of an answer whose error has all its parts, in one line."""
    told = answer.json()["error"]
    assert set(told) == {"message", "type", "code"}
    assert "\n" not in told["message"]
    assert len(told["message"]) <= 401
    return answer.status_code, told["code"]


class Live:
    """A server on the loopback, in a thread."""

    def __init__(self, app: FastAPI) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(app, http=PatientProtocol, ws="none", log_level="critical", lifespan="on")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True)

    def __enter__(self) -> "Live":
        self._thread.start()
        until = time.monotonic() + 30
        while not self._server.started:
            assert time.monotonic() < until
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()
        self._listener.close()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


def head_of(route: str, length: int, *, more: str = "") -> bytes:
    """The head of a POST of JSON."""
    lines = [f"POST {route} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", f"Content-Length: {length}"]
    return ("\r\n".join(lines) + more + "\r\n\r\n").encode()


def told_to(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    pieces = []
    while piece := connection.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def choice_of(model: str) -> ModelChoice:
    return ModelChoice(name=model, precision=None, device=None, batch_size=None, decoding="exact")


def write_index(folder: Path, model: str) -> str:
    """folder/index of the ten pictures that are written to folder/pictures."""
    write_pictures(folder / "pictures")
    add([str(folder / "pictures")], str(folder / "index"), choice=choice_of(model), create=True)
    return str(folder / "index")


def few(**changes: Any) -> Limits:
    """The limits with some of them changed."""
    return replace(Limits(), **changes)
