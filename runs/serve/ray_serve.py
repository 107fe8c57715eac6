"""`fullclip serve` on many machines: the same app, of which Ray Serve runs replicas and spreads requests over them. Those that
fail or are not ready are started anew. Ends with Ctrl-C or SIGTERM, after the requests that are in work.

    pip install 'fullclip[serve,search]' 'ray[serve]'
    python runs/serve/ray_serve.py --model small --replicas 2                  # on this machine, at http://127.0.0.1:8000
    FULLCLIP_API_KEYS=... python runs/serve/ray_serve.py --ray-address auto --host 0.0.0.0 --replicas 8 --index /shared/index

Every machine needs fullclip, and the model and the index at the same path or in the same store; `ray start` joins them. Each
replica gathers the requests that reach it into batches of its own. /metrics tells of one replica, Ray's own metrics of all.
"""

import argparse
import asyncio
import os
import signal
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fullclip.core.cluster import connect
from fullclip.core.extras import require
from fullclip.serve.keys import read_keys
from fullclip.serve.run import Place
from fullclip.serve.settings import Settings, names_of

if TYPE_CHECKING:
    from fastapi import FastAPI

NAME = "fullclip"
IN_WORK = 512  # of a replica at a time; the app itself says 429 where too much waits for its model
WAITING = 1024
HEALTH_SECONDS = 10.0
# Ray Serve kills its own proxy on a busy machine, where it takes longer to start than the five seconds that it is given
PATIENCE = ("RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S", "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S")


class Health:
    """The probe of a replica: the app's own /readyz, asked without a socket."""

    async def check_health(self) -> None:
        """RuntimeError where the replica is not ready, upon which Ray Serve starts another."""
        statuses, asked = list[int](), iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> dict[str, Any]:
            for message in asked:
                return message
            return await asyncio.Future[dict[str, Any]]()  # who asks stays until there is an answer

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await self(_readiness(), receive, send)  # type: ignore[operator]
        if statuses != [200]:
            raise RuntimeError(f"/readyz answers {statuses}")


def _readiness() -> dict[str, Any]:
    """GET /readyz as ASGI has it."""
    path = {"path": "/readyz", "raw_path": b"/readyz", "root_path": "", "query_string": b""}
    return {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http"} | {
        **path,
        "headers": [(b"host", b"localhost")],
        "client": None,
        "server": None,
        "state": {},
    }


def builder_of(settings: Settings) -> "Callable[[], FastAPI]":
    """What a replica makes its app with, on its own machine."""

    def build() -> "FastAPI":
        from fullclip.serve.app import create_app

        return create_app(settings)

    return build


def application(serve: Any, settings: Settings, *, replicas: int, cpus: float, gpus: float) -> Any:
    """What `serve.run` takes."""
    deployment = serve.deployment(
        name=NAME,
        num_replicas=replicas,
        ray_actor_options={"num_cpus": cpus, "num_gpus": gpus},
        max_ongoing_requests=IN_WORK,
        max_queued_requests=WAITING,
        health_check_period_s=HEALTH_SECONDS,
        health_check_timeout_s=3 * HEALTH_SECONDS,
        graceful_shutdown_wait_loop_s=1.0,
        graceful_shutdown_timeout_s=settings.limits.drain_seconds,
    )
    return deployment(serve.ingress(builder_of(settings))(Health)).bind()


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="small", help="a name from `fullclip models list`, a folder or a file")
    parser.add_argument("--index", help="a folder that `fullclip search build` wrote")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--cpus", type=float, default=1, help="cores of each replica")
    parser.add_argument("--gpus", type=float, default=0, help="GPUs of each replica; 0.5 puts two on one")
    parser.add_argument("--host", default="127.0.0.1", help="other than the loopback's only with API keys")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--api-keys-file", type=Path, help="beside $FULLCLIP_API_KEYS")
    parser.add_argument("--ray-address", help="a cluster that runs; default: one on this machine")
    chosen = parser.parse_args(arguments)
    if chosen.replicas < 1:
        parser.error("--replicas is at least 1")
    return chosen


def main(arguments: Sequence[str] | None = None) -> None:
    chosen = parsed(arguments)
    keys = read_keys(os.environ, chosen.api_keys_file)
    Place(host=chosen.host, port=chosen.port).check(has_keys=bool(keys), is_open=False)
    hosts = names_of(chosen.host, api_keys=keys)
    settings = Settings(model=chosen.model, index=chosen.index, api_keys=keys, hosts=hosts)
    for name in PATIENCE:
        os.environ.setdefault(name, "60")
    ray = require("ray", extra="ray")
    from ray import serve

    connect(ray, chosen.ray_address)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        serve.start(http_options={"host": chosen.host, "port": chosen.port})
        made = application(serve, settings, replicas=chosen.replicas, cpus=chosen.cpus, gpus=chosen.gpus)
        serve.run(made, name=NAME, route_prefix="/")
        print(
            f"fullclip serves {chosen.model} at http://{chosen.host}:{chosen.port} with {chosen.replicas} replicas", flush=True
        )
        signal.pause()
    except KeyboardInterrupt:
        print("fullclip finishes what it has taken", flush=True)
    finally:
        serve.delete(NAME)  # replicas end when they have answered; what else the cluster serves goes on
        ray.shutdown()


if __name__ == "__main__":
    main()
