"""A web server of the loopback, good and hostile: a table of paths to what is sent, and a count of what was asked."""

import asyncio
import io
import ssl
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

import numpy as np
from PIL import Image

Send = Callable[["Asked", asyncio.StreamWriter], Awaitable[bool]]  # whether the connection ends


class Asked:
    """A request: its path, its headers, and how often the path was asked for, this time included."""

    def __init__(self, path: str, headers: dict[str, str], times: int) -> None:
        self.path, self.headers, self.times = path, headers, times


class Server:
    """Sends `pages[path]`, else `pages["*"]`, else 404. asked: how often each path was; times: when; most: requests at a time.
    ports: of which the first that is free is taken.
    """

    def __init__(
        self,
        pages: dict[str, Send],
        *,
        host: str = "127.0.0.1",
        ports: Iterable[int] = (0,),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.pages, self.asked, self.most, self.times = pages, Counter[str](), 0, list[float]()
        self.headers: dict[str, dict[str, str]] = {}
        self._host, self._ports, self._tls, self._busy = host, ports, tls, 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> "Server":
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _start(self) -> asyncio.Server:
        for port in self._ports:
            try:
                return await asyncio.start_server(self._serve, self._host, port, limit=1 << 20, ssl=self._tls)
            except OSError:
                continue  # somebody else has it
        raise OSError("no port is free")

    async def _stop(self) -> None:
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def url(self, path: str, *, host: str | None = None) -> str:
        return f"http://{host or self._host}:{self.port}{path}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the server stops
        finally:
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = head[0].split(" ")[1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        self.asked[path] += 1
        self.times.append(asyncio.get_running_loop().time())
        self.headers[path] = headers
        send = self.pages.get(path) or self.pages.get("*") or status(404)
        self._busy += 1
        self.most = max(self.most, self._busy)
        try:
            is_over = await send(Asked(path, headers, self.asked[path]), writer)
            await writer.drain()
        finally:
            self._busy -= 1
        return not is_over


def body(content: bytes, *, seconds: float = 0.0, **headers: str) -> Send:
    """200 with a body; `X_Robots_Tag=` is the header X-Robots-Tag."""

    async def send(asked: Asked, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(seconds)
        writer.write(_head(200, {"Content-Length": str(len(content)), **headers}) + content)
        return False

    return send


def status(code: int, **headers: str) -> Send:
    async def send(asked: Asked, writer: asyncio.StreamWriter) -> bool:
        writer.write(_head(code, {"Content-Length": "0", **headers}))
        return False

    return send


def redirect(to: str, code: int = 302) -> Send:
    return status(code, Location=to)


def first(times: int, send: Send, then: Send) -> Send:
    """One answer for so many times, another one after."""

    async def choose(asked: Asked, writer: asyncio.StreamWriter) -> bool:
        return await (send if asked.times <= times else then)(asked, writer)

    return choose


def raw(*pieces: bytes, every: float = 0.0, endless: bool = False) -> Send:
    """Pieces as they are, then the connection ends; endless: the last one again and again."""

    async def send(asked: Asked, writer: asyncio.StreamWriter) -> bool:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        while endless:
            await asyncio.sleep(every)
            writer.write(pieces[-1])
            await writer.drain()
        return True

    return send


def _head(code: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {code} Said", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def picture(seed: int = 0, *, size: tuple[int, int] = (80, 64), kind: str = "JPEG", **options: object) -> bytes:
    """An encoded picture of noise, another one for each seed."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 8 + 1, size[0] // 8 + 1, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize(size).save(file, kind, **options)
    return file.getvalue()
