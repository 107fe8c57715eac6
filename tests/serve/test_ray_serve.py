"""The server below Ray Serve: the same app, its probe, and what is refused before Ray is started."""

import asyncio
import importlib.util
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from fullclip.serve.settings import Limits, Settings
from served import app_of

SCRIPT = Path(__file__).parents[2] / "runs/serve/ray_serve.py"
KEY = "a-key-of-twenty-signs"


@pytest.fixture(scope="module")
def script() -> Any:
    spec = importlib.util.spec_from_file_location("ray_serve", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def replica(script: Any, app: Any) -> Any:
    """A replica as Ray Serve makes it: the probe's class, called as the app is."""

    class Replica(script.Health):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)

    return Replica()


@pytest.mark.parametrize("settings", [{}, {"api_keys": (KEY,)}, {"hosts": ("localhost", "127.0.0.1")}])
def test_a_replica_that_is_ready_is_healthy(script, settings):
    app = app_of(**settings)

    async def ask() -> None:
        async with app.router.lifespan_context(app):
            await asyncio.wait_for(replica(script, app).check_health(), timeout=20)

    asyncio.run(ask())


@pytest.mark.parametrize("status", [503, 421])
def test_a_replica_that_is_not_ready_is_told_of(script, status):
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (scope["method"], scope["path"]) == ("GET", "/readyz")
        assert (await receive())["more_body"] is False
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    with pytest.raises(RuntimeError, match=str(status)):
        asyncio.run(replica(script, app).check_health())


class Served:
    """Ray Serve's names, which remember what they are told."""

    def deployment(self, **options: Any) -> Any:
        self.options = options
        return lambda made: self

    def ingress(self, build: Any) -> Any:
        self.build = build
        return lambda probe: probe

    def bind(self) -> "Served":
        return self


def test_replicas_build_the_app_themselves_and_have_time_to_finish(script, monkeypatch):
    import fullclip.serve.app

    served, settings = Served(), Settings(model="small", limits=Limits(drain_seconds=12.0))
    assert script.application(served, settings, replicas=3, cpus=2, gpus=0.5) is served
    assert served.options["num_replicas"] == 3
    assert served.options["ray_actor_options"] == {"num_cpus": 2, "num_gpus": 0.5}
    assert served.options["graceful_shutdown_timeout_s"] == 12
    monkeypatch.setattr(fullclip.serve.app, "create_app", lambda given: ("app", given))
    assert served.build() == ("app", settings)


def test_others_are_let_in_with_keys_alone(script, monkeypatch):
    monkeypatch.delenv("FULLCLIP_API_KEYS", raising=False)
    with pytest.raises(ValueError, match="no API keys"):
        script.main(["--host", "192.0.2.1"])


def test_no_replicas_are_refused(script, capsys):
    with pytest.raises(SystemExit):
        script.main(["--replicas", "0"])
    assert "at least 1" in capsys.readouterr().err
