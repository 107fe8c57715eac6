"""A little real web on this machine's loopback: documentation and clip art, and what goes wrong on the web in their midst.

python runs/web/little_web.py [--port 8901] [--docs FOLDER ...] [--svg FOLDER --png FOLDER] [--drawings N]

Each folder of HTML pages is a host of its own (127.0.0.1, 127.0.0.2, ...); the clip art has galleries with titles as alt
texts, made from the metadata of the drawings. Of every `EACH` drawings one is linked through a host of troubles: see TROUBLES.
"""

import argparse
import asyncio
import html
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from aiohttp import web

DOCS = (Path("/usr/share/gimp/2.0/help/en"), Path("/usr/share/doc/debian-handbook/html/en-US"))
SVG, PNG = Path("/usr/share/openclipart/svg"), Path("/usr/share/openclipart/png")
EACH, A_PAGE = 12, 40
LICENCE = "https://creativecommons.org/publicdomain/zero/1.0/"
_TITLE, _DESCRIPTION = (f".//{{http://purl.org/dc/elements/1.1/}}{name}" for name in ("title", "description"))


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A picture, what it is called, and what is said of it."""

    picture: Path
    title: str
    description: str = ""


def drawings(svg: Path, png: Path, limit: int | None) -> list[Drawing]:
    """The drawings of the clip-art packages that have a title and a picture, in the order of their paths."""
    found = list[Drawing]()
    for path in sorted(svg.rglob("*.svg*")):
        picture = (png / path.relative_to(svg)).with_name(path.name.split(".svg")[0] + ".png")
        if limit is not None and len(found) == limit:
            break
        if not picture.is_file():
            continue
        try:
            tree = ET.fromstring(path.read_bytes())  # noqa: S314  # a package's own files
        except ET.ParseError:
            continue
        title, description = (" ".join((tree.findtext(name) or "").split()) for name in (_TITLE, _DESCRIPTION))
        if title:
            found.append(Drawing(picture=picture, title=title, description=description))
    return found


Handler = Callable[[web.Request, Drawing], Awaitable[web.StreamResponse]]


async def _missing(request: web.Request, drawing: Drawing) -> web.StreamResponse:
    return web.Response(status=404, text="not here")


async def _moved(request: web.Request, drawing: Drawing) -> web.StreamResponse:
    raise web.HTTPFound(str(request.rel_url).replace("/moved/", "/as-text/"))


async def _loop(request: web.Request, drawing: Drawing) -> web.StreamResponse:
    raise web.HTTPFound(str(request.rel_url))


async def _as_text(request: web.Request, drawing: Drawing) -> web.StreamResponse:
    return web.Response(body=drawing.picture.read_bytes(), content_type="text/plain")


async def _page_as_picture(request: web.Request, drawing: Drawing) -> web.StreamResponse:
    return web.Response(text="<html><body>Please log in.</body></html>", content_type="image/png")


async def _torn(request: web.Request, drawing: Drawing) -> web.StreamResponse:
    data = drawing.picture.read_bytes()
    return web.Response(body=data[: len(data) // 2], content_type="image/png")


async def _trickle(request: web.Request, drawing: Drawing) -> web.StreamResponse:
    """A byte a second, for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        while True:
            await response.write(b"\x89")
            await asyncio.sleep(1)
    except ConnectionError:
        return response


async def _endless(request: web.Request, drawing: Drawing) -> web.StreamResponse:
    """A body without an end."""
    response = web.StreamResponse()
    await response.prepare(request)
    try:
        while True:
            await response.write(drawing.picture.read_bytes()[:4096].ljust(1 << 16, b"\0"))
    except ConnectionError:
        return response


async def _opted_out(request: web.Request, drawing: Drawing) -> web.StreamResponse:
    return web.Response(body=drawing.picture.read_bytes(), content_type="image/png", headers={"X-Robots-Tag": "noai"})


async def _forbidden(request: web.Request, drawing: Drawing) -> web.StreamResponse:
    return web.Response(body=drawing.picture.read_bytes(), content_type="image/png")


async def _busy(request: web.Request, drawing: Drawing) -> web.StreamResponse:
    """Busy at first; the second time it answers."""
    asked: Counter[str] = request.app[ASKED]
    if asked[request.path] == 1:
        return web.Response(status=503, headers={"Retry-After": "0"})
    return web.Response(body=drawing.picture.read_bytes(), content_type="image/png")


# by the first part of the path; those of `FINE` end with the picture
TROUBLES: Mapping[str, Handler] = {
    "missing": _missing,
    "moved": _moved,
    "loop": _loop,
    "as-text": _as_text,
    "page": _page_as_picture,
    "torn": _torn,
    "trickle": _trickle,
    "endless": _endless,
    "opted-out": _opted_out,
    "forbidden": _forbidden,
    "busy": _busy,
}
FINE = ("moved", "as-text", "busy")
ASKED: web.AppKey[Counter[str]] = web.AppKey("asked", Counter)


class Site:
    """All hosts. `asked` counts the requests by host and path."""

    def __init__(self, docs: Sequence[Path], drawings: Sequence[Drawing], *, port: int) -> None:
        self.docs, self.drawings, self.port = list(docs), list(drawings), port
        self.asked: Counter[str] = Counter()

    @property
    def hosts(self) -> list[str]:
        """Of the folders of pages, of the galleries, of the troubles."""
        return [f"127.0.0.{number}" for number in range(1, len(self.docs) + 3)]

    def pages(self) -> Iterator[str]:
        """The URLs of all pages."""
        for host, folder in zip(self.hosts, self.docs, strict=False):
            yield from (f"{self._at(host)}/{path.relative_to(folder)}" for path in sorted(folder.rglob("*.html")))
        for number in range(-(-len(self.drawings) // A_PAGE)):
            yield f"{self._at(self.hosts[-2])}/gallery/{number}.html"

    def trouble(self, number: int) -> str | None:
        """What happens to the drawing of this number."""
        return list(TROUBLES)[number // EACH % len(TROUBLES)] if number % EACH == EACH - 1 else None

    def gallery(self, number: int) -> str:
        """A page of drawings with their titles and descriptions."""
        cards = []
        for place in range(number * A_PAGE, min((number + 1) * A_PAGE, len(self.drawings))):
            drawing, trouble = self.drawings[place], self.trouble(place)
            source = f"/picture/{place}.png" if trouble is None else f"{self._at(self.hosts[-1])}/{trouble}/{place}.png"
            caption = f"<figcaption>{html.escape(drawing.description)}</figcaption>" if drawing.description else ""
            cards.append(f'<figure><img src="{source}" alt="{html.escape(drawing.title)}">{caption}</figure>')
        head = f'<title>Clip art, page {number}</title><link rel="license" href="{LICENCE}">'
        return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(cards)}</body></html>'

    def _at(self, host: str) -> str:
        return f"http://{host}:{self.port}"

    @contextmanager
    def served(self) -> Iterator[None]:
        """All hosts answer while this lasts."""
        loop, ready = asyncio.new_event_loop(), threading.Event()
        stopping = asyncio.Event()

        async def serve() -> None:
            runners = [await self._start(host, app) for host, app in zip(self.hosts, self._apps(), strict=True)]
            ready.set()
            await stopping.wait()
            for runner in runners:
                await runner.cleanup()

        thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
        thread.start()
        if not ready.wait(20):
            raise OSError(f"the site could not be served on port {self.port}")
        try:
            yield
        finally:
            loop.call_soon_threadsafe(stopping.set)
            thread.join(20)
            loop.close()

    async def _start(self, host: str, app: web.Application) -> web.AppRunner:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, host, self.port).start()
        return runner

    def _apps(self) -> Iterator[web.Application]:
        for folder in self.docs:
            app = self._app()
            app.router.add_static("/", folder)
            yield app
        art, troubles = self._app(), self._app()
        art.router.add_get("/gallery/{number}.html", self._gallery)
        art.router.add_get("/picture/{number}.png", self._picture)
        troubles.router.add_get("/robots.txt", self._robots)
        troubles.router.add_get("/{trouble}/{number}.png", self._trouble)
        yield from (art, troubles)

    def _app(self) -> web.Application:
        @web.middleware
        async def count(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]):
            self.asked[f"{request.host.split(':')[0]}{request.path}"] += 1
            request.app[ASKED][request.path] += 1
            return await handler(request)

        app = web.Application(middlewares=[count])
        app[ASKED] = Counter()
        return app

    async def _gallery(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text=self.gallery(int(request.match_info["number"])), content_type="text/html")

    async def _picture(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(self.drawings[int(request.match_info["number"])].picture)

    async def _robots(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="User-agent: *\nDisallow: /forbidden/\n")

    async def _trouble(self, request: web.Request) -> web.StreamResponse:
        drawing = self.drawings[int(request.match_info["number"])]
        return await TROUBLES[request.match_info["trouble"]](request, drawing)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8901)
    parser.add_argument("--docs", type=Path, nargs="*", default=list(DOCS))
    parser.add_argument("--svg", type=Path, default=SVG)
    parser.add_argument("--png", type=Path, default=PNG)
    parser.add_argument("--drawings", type=int, help="how many, at most")


def site_of(given: argparse.Namespace) -> Site:
    missing = [str(folder) for folder in (*given.docs, given.svg, given.png) if not folder.is_dir()]
    if missing:
        raise SystemExit(
            f"{missing[0]} is not there: apt-get install gimp-help-en debian-handbook openclipart-png openclipart-svg"
        )
    return Site(given.docs, drawings(given.svg, given.png, given.drawings), port=given.port)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    site = site_of(parser.parse_args())
    with site.served():
        print(f"{len(list(site.pages())):,} pages, {len(site.drawings):,} drawings: {next(iter(site.pages()))}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
