"""An S3 store on this machine: moto's server, which speaks the real interface."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen

import fsspec
import pytest


@contextmanager
def s3_store(bucket: str) -> Iterator[Any]:
    """A server with one bucket; `s3://` paths go there while it lasts."""
    pytest.importorskip("s3fs", reason="needs fullclip[s3]")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    # what an earlier server of this process was given is still there
    urlopen(Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patched.setenv(name, "test")
        patched.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir(bucket)
        try:
            yield server
        finally:
            server.stop()
            type(fsspec.filesystem("s3")).clear_instance_cache()
