"""How many requests a second a server answers, and how long each takes: one client after another, and 32 at a time.

    python bench/serve.py [--model small] [--seconds 10] [--clients 1 8 32]

Requests of one text and of one picture (64 x 64, PNG), each another one, through /v1/embeddings on the loopback; the clients
share the machine with the server, and keep their connections. Prints a table in Markdown.
"""

import argparse
import asyncio
import base64
import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import numpy as np
from PIL import Image

SERVER = "import typer; from fullclip.cli.serve import serve; typer.run(serve)"


def text_body(model: str, number: int) -> bytes:
    return json.dumps({"model": model, "input": f"a photo of number {number}", "encoding_format": "base64"}).encode()


def image_body(model: str, number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((64, 64)).save(file, "PNG")
    item = {"image": base64.b64encode(file.getvalue()).decode()}
    return json.dumps({"model": model, "input": [item], "encoding_format": "base64"}).encode()


@contextmanager
def server(model: str) -> Iterator[int]:
    """The port of `fullclip serve` in a process of its own."""
    command = [sys.executable, "-c", SERVER, "--port", "0", "--model", model]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        port = next(int(found[1]) for line in process.stderr if (found := re.search(r"at http://\S+:(\d+)", line)))
        drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)  # noqa: S607
        yield port
    finally:
        process.terminate()
        process.wait(60)
    drain.wait(10)


async def client(port: int, bodies: Iterator[bytes], until: float, seconds: list[float]) -> None:
    """Requests one after the other; how long each took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        body = next(bodies)
        head = (
            f"POST /v1/embeddings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        )
        began = time.perf_counter()
        writer.write(head.encode() + b"\r\n\r\n" + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(re.search(rb"content-length: (\d+)", answer, re.IGNORECASE)[1]))
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        seconds.append(time.perf_counter() - began)
    writer.close()
    await writer.wait_closed()


def measured(port: int, bodies: Iterator[bytes], *, clients: int, seconds: float) -> tuple[float, float, float]:
    """Requests a second, and the median and the 99th percentile of their milliseconds."""
    took: list[float] = []

    async def together() -> float:
        began = time.perf_counter()
        await asyncio.gather(*(client(port, bodies, began + seconds, took) for _ in range(clients)))
        return time.perf_counter() - began

    whole = asyncio.run(together())
    return len(took) / whole, 1000 * float(np.percentile(took, 50)), 1000 * float(np.percentile(took, 99))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32])
    chosen = parser.parse_args()
    kinds: dict[str, Callable[[str, int], bytes]] = {"a text": text_body, "a picture": image_body}
    print(f"{os.cpu_count()} cores, model {chosen.model}\n")
    print("| request | clients | requests/s | times one client | p50 ms | p99 ms |\n|---|--:|--:|--:|--:|--:|")
    with server(chosen.model) as port:
        for name, body_of in kinds.items():
            numbers = count()
            bodies = (body_of(chosen.model, number) for number in numbers)
            measured(port, bodies, clients=4, seconds=2.0)  # the first ones wait for memory and caches
            first = 0.0
            for clients in chosen.clients:
                rate, median, slowest = measured(port, bodies, clients=clients, seconds=chosen.seconds)
                first = first or rate
                print(f"| {name} | {clients} | {rate:.0f} | {rate / first:.1f} | {median:.0f} | {slowest:.0f} |", flush=True)


if __name__ == "__main__":
    main()
