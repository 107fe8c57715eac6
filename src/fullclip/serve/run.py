"""Settings -> a server that runs until it is told to stop: sockets, workers, signals. uvicorn speaks HTTP."""

import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import torch
import uvicorn
from fastapi import FastAPI

from fullclip.core.say import say
from fullclip.serve.app import create_app
from fullclip.serve.metrics import FOLDER
from fullclip.serve.protocol import PatientProtocol
from fullclip.serve.settings import Limits, Settings, is_loopback
from fullclip.serve.workers import supervise

_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 15
_STOP_SECONDS = 5.0  # what a worker may take to end after its last request


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a server listens, and with how many processes. port 0: any that is free."""

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1

    def check(self, *, has_keys: bool, is_open: bool) -> None:
        """ValueError where others would be let in though nobody said so."""
        if not is_loopback(self.host) and not has_keys and not is_open:
            raise ValueError(
                f"--host {self.host} lets other machines in, and there are no API keys: set $FULLCLIP_API_KEYS, give"
                " --api-keys-file FILE, or --no-api-keys where something else keeps the door"
            )


def serve(settings: Settings, place: Place) -> None:
    """Run until SIGTERM or Ctrl-C, which lets requests that are in work be finished, and no longer than `drain_seconds`.

    ValueError for a model or an index that cannot be opened; OSError where nothing can listen there.
    """
    with listen(place) as listener:
        app = create_app(settings)  # of several workers as well: what cannot be opened is told once, and downloaded once
        shown = f"fullclip serves {settings.model} at {address_of(listener, place.host)}"
        if place.workers == 1:
            say(f"{shown} (Ctrl-C stops it)")
            told = _run(app, settings, listener)
        else:
            del app
            with _shared_metrics():
                say(f"{shown} with {place.workers} workers (Ctrl-C stops it)")
                seconds = settings.limits.drain_seconds + _STOP_SECONDS
                told = supervise(_work, settings, place.workers, listener, number=place.workers, drain_seconds=seconds)
    signal.signal(told, signal.SIG_DFL if told == signal.SIGTERM else signal.default_int_handler)
    signal.raise_signal(told)


def _work(settings: Settings, workers: int, listener: socket.socket) -> None:
    """One of several workers, with its share of the cores."""
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    _run(create_app(settings), settings, listener)


def _run(app: FastAPI, settings: Settings, listener: socket.socket) -> int:
    """Serve, and tell by which signal it was ended."""
    _log_to_stderr()
    server = _Server(_config(app, settings.limits))
    server.run(sockets=[listener])
    return server.told


class _Server(uvicorn.Server):
    """Remembers the signal: uvicorn raises it again within the loop's last step, where SIGINT may be lost."""

    told: int = signal.SIGTERM

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.told = sig
        super().handle_exit(sig, frame)


def _config(app: FastAPI, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=round(max(1.0, limits.drain_seconds)),
        backlog=_BACKLOG,
    )


def listen(place: Place) -> socket.socket:
    """A socket that takes connections, which wait until a worker is there; OSError with the address where it cannot be."""
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise OSError(f"--host {place.host}: {error.strerror or error}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.set_inheritable(True)
    except OSError as error:
        listener.close()
        raise OSError(f"nothing can listen at {place.host}, port {place.port}: {error.strerror}; give another --port") from None
    return listener


def address_of(listener: socket.socket, host: str) -> str:
    """The URL to type into a browser on this machine."""
    port = listener.getsockname()[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{shown}:{port}"


@contextmanager
def _shared_metrics() -> Iterator[None]:
    """A folder in which workers add up their numbers."""
    folder = tempfile.mkdtemp(prefix="fullclip-metrics-")
    os.environ[FOLDER] = folder
    try:
        yield
    finally:
        del os.environ[FOLDER]
        shutil.rmtree(folder, ignore_errors=True)


def _log_to_stderr() -> None:
    """A line for each request, on stderr."""
    log = logging.getLogger("fullclip.serve")
    if not log.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
