"""Embedding on Ray: the same files as in this process, whatever happens to a worker."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest

from embedded import contents, read_back, write_model, write_pictures
from fullclip.search import cluster, units
from fullclip.search.embed import embed
from fullclip.search.engines import Local
from fullclip.search.jobs import Job, Layout, ModelChoice

ray = pytest.importorskip("ray", reason="needs fullclip[ray]")

# Ray's own: of its files and sockets, and of what it will change
pytestmark = [
    pytest.mark.whole,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
]


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    """Two CPUs on this machine; nothing else that runs here is joined."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patched.setenv("RAY_worker_niceness", "0")  # or other work of this machine would come first
        patched.delenv("RAY_ADDRESS", raising=False)
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield
        ray.shutdown()


@pytest.fixture(scope="module")
def choice(tmp_path_factory) -> ModelChoice:
    return ModelChoice(name=write_model(tmp_path_factory.mktemp("model") / "tiny"), precision="float32", device="cpu")


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(units, "UNIT_SIZE", 4)
    monkeypatch.setattr(cluster, "CPUS_PER_WORKER", 1)


def test_the_same_files_although_a_worker_is_killed(choice, tmp_path):
    paths = write_pictures(tmp_path / "pictures", 40)
    paths[5].write_bytes(b"no picture")
    layout = Layout(what="both")
    given = [str(tmp_path / "pictures")]
    embed(given, str(tmp_path / "here"), engine=Local(choice), choice=choice, layout=layout)
    engine, killed = cluster.OnRay(choice), list[int]()

    class Killing(cluster.OnRay):
        def __init__(self):
            self.__dict__ = engine.__dict__

        def do(self, works, job, *, on_rows):
            for record in engine.do(works, job, on_rows=on_rows):
                if not killed:
                    assert len(engine._workers) == 2
                    killed.append(ray.get(engine._workers[0].__ray_call__.remote(lambda worker: os.getpid())))
                    os.kill(killed[0], signal.SIGKILL)
                yield record

    told = embed(given, str(tmp_path / "there"), engine=Killing(), choice=choice, layout=layout)
    assert (told.parts, told.images, told.skipped) == (10, 39, {"unreadable image": 1})
    assert killed
    here, there = tmp_path / "here", tmp_path / "there"
    assert contents(here).keys() == contents(there).keys()
    assert contents(here / "parts") == contents(there / "parts")
    for side in ("images", "texts"):
        names, vectors = read_back(here, side)
        assert read_back(there, side)[0] == names
        # processes with other numbers of threads round otherwise
        np.testing.assert_allclose(read_back(there, side)[1], vectors, atol=1e-6)

    lost = units.Work(number=0, unit=units.Unit(kind="shard", path=str(tmp_path / "lost.tar")))
    with pytest.raises(FileNotFoundError, match=r"lost\.tar"):
        list(engine.do([lost], Job(layout=layout, out=str(tmp_path / "out")), on_rows=lambda number: None))
    engine.close()
    assert ray.is_initialized()  # it was here before


def test_a_worker_with_another_model_does_nothing(choice, tmp_path):
    write_pictures(tmp_path / "pictures", 1)
    worker = cluster.Worker(replace(choice, device=None), expected="another", num_threads=1)
    [work] = units.find_work([str(tmp_path / "pictures")], what="images")
    with pytest.raises(ValueError, match="add --precision float32"):
        worker.do(work, Job(layout=Layout(), out=str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()
