"""A web server on this machine that gives the answers it is told to."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol


class Answers(Protocol):
    """`url` is where to listen; `answer` gives (status, headers, body) for a method and a path."""

    url: str

    def answer(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]: ...


@contextlib.contextmanager
def serving(content: Answers) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, sent, body = content.answer(self.command, self.path)
            self.send_response(status)
            for name, value in (sent | {"Content-Length": str(len(body)), "Connection": "close"}).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", int(content.url.rpartition(":")[2])), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
