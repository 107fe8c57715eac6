"""A server that knows colours alone, in the shape of the routes that the page asks: what a picture shows is its mean colour, so
that right answers are known without a model. Each route can be told to answer something else (`Colours.instead`).
"""

import base64
import io
import json
import mimetypes
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image

RGB = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (40, 70, 210), "yellow": (230, 210, 40), "white": (250, 250, 250)}
INDEXED = {"k-red": "red", "k-green": "green", "k-blue": "blue", "k-yellow": "yellow"}
POLICY = "default-src 'self'; img-src 'self' data: blob:"


def square(colour: str, *, size: tuple[int, int] = (64, 48), kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, RGB[colour]).save(file, kind)
    return file.getvalue()


def data_url(picture: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"


def opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2], validate=True)))


def colour_of(url: str) -> np.ndarray:
    return np.asarray(opened(url).convert("RGB"), dtype=np.float64).reshape(-1, 3).mean(axis=0)


def likeness(colour: np.ndarray, words: str) -> float:
    """1 for a colour that is named among the words, less the further the nearest of them is; of other words, 0."""
    named = [np.linalg.norm(colour - RGB[word]) for word in words.replace(",", " ").split() if word in RGB]
    return 1 - min(named) / 255 if named else 0.0


class Colours:
    """The server at `url`. indexed: what can be searched, colours by key. instead: route -> (status, headers, body), sent once
    for each in the list. asked: the bodies that came, by route; refused: how many had no key though one is `wanted`.
    """

    def __init__(self, indexed: dict[str, str] | None) -> None:
        self.indexed, self.wanted = indexed, ""
        self.instead: dict[str, list[tuple[int, dict[str, str], bytes]]] = {}
        self.asked: dict[str, list[Any]] = {}
        self.captions: dict[str, str] = {}
        self.got = Counter[str]()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> "Colours":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, route: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.setdefault(route, []).append(body)
        if route == "/v1/search" and self.indexed is None:
            return 404, {"error": {"message": "no index", "type": "not_found_error", "code": "no_index"}}
        return 200, {"/v1/classify": self.classify, "/v1/search": self.search, "/v1/rerank": self.rerank}[route](body)

    def classify(self, body: dict[str, Any]) -> dict[str, Any]:
        colour = colour_of(body["image"])
        scores = np.array([likeness(colour, label) for label in body["labels"]])
        shares = np.exp(8 * scores) / np.exp(8 * scores).sum()
        probabilities = dict(zip(body["labels"], shares.tolist(), strict=True))
        none = bool(scores.max() < 0.5) if body["reject"] else None
        best = max(probabilities, key=probabilities.__getitem__)
        return {"model": "colours", "results": [{"label": best, "probabilities": probabilities, "none_of_these": none}]}

    def search(self, body: dict[str, Any]) -> dict[str, Any]:
        assert self.indexed is not None
        words = " ".join([body.get("text", ""), *(self.indexed[key] for key in body.get("like", []))])
        hits = []
        for key, name in self.indexed.items():
            colour = np.array(RGB[name], dtype=np.float64)
            score = likeness(colour, words) - 2 * max((likeness(colour, word) for word in body.get("minus", [])), default=0)
            if "image" in body:
                score += 1 - np.linalg.norm(colour - colour_of(body["image"])) / 255
            meta = {"path": f"a/{key}.png", "caption": self.captions.get(key, f"a {name} square"), "duplicates": []}
            hits.append({"key": key, "score": score, "meta": meta, "thumbnail": data_url(square(name))})
        return {"hits": sorted(hits, key=lambda hit: -hit["score"])[: body["top"]]}

    def rerank(self, body: dict[str, Any]) -> dict[str, Any]:
        scores = [likeness(colour_of(url), body["caption"]) for url in body["images"]]
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        return {"hits": [{"index": i, "score": scores[i]} for i in order[: body["top"]]]}


def _handler(colours: Colours) -> type[BaseHTTPRequestHandler]:
    page = files("fullclip") / "assets/page"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            colours.got[self.path] += 1
            if self.path == "/v1/models":
                size = None if colours.indexed is None else len(colours.indexed)
                return self.send_json(200, {"object": "list", "data": [{"id": "colours", "object": "model", "index": size}]})
            name = "index.html" if self.path == "/" else self.path.removeprefix("/page/")
            file = page / name
            if "/" in name or not file.is_file():
                return self.send_json(404, {"error": {"message": "no such page", "type": "not_found", "code": None}})
            return self.send(200, {"Content-Type": mimetypes.guess_type(name)[0] or ""}, file.read_bytes())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if colours.instead.get(self.path):
                return self.send(*colours.instead[self.path].pop(0))
            if colours.wanted and self.headers["Authorization"] != f"Bearer {colours.wanted}":
                return self.send_json(401, {"error": {"message": "a key is needed", "type": "authentication", "code": None}})
            return self.send_json(*colours.answer(self.path, body))

        def send_json(self, status: int, told: dict[str, Any]) -> None:
            self.send(status, {"Content-Type": "application/json"}, json.dumps(told).encode())

        def send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Tests say what went wrong."""

    return Handler
