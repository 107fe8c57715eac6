"""Partitions on Ray, on one machine and on two: the same bytes as from the pool, whatever happens to a worker or a machine."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

import building
from building import copied, files_of, rows_of, web_rows, write_queries, write_rows
from fullclip.data.building.balance import balance
from fullclip.data.building.engine import Pool
from fullclip.data.building.match import match
from fullclip.data.building.rows import partitions
from fullclip.data.building.stage import run_stage
from fullclip.data.drops import Drops

ray = pytest.importorskip("ray", reason="needs fullclip[ray]")

# Ray's own: of its files and sockets, and of what it will change
pytestmark = [
    pytest.mark.whole,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray"),
]

TESTS = Path(building.__file__).parent
PATH = {"PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])}
# the machines know each other by a word that they share
SHARED = {**PATH, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a-word-for-these-tests-alone", "RAY_worker_niceness": "0"}


@pytest.fixture
def table(tmp_path) -> str:
    return str(write_rows(tmp_path / "pairs.jsonl", web_rows(600)))


def run(table, out, engine, do=copied):
    return run_stage(str(out), stage="copy", settings={}, works=partitions([table], rows=50), do=do, engine=engine)


_ON_RAY = """
import sys
from contextlib import closing
from functools import partial
import building, ray
from building import copied_at_second_try
from fullclip.data.building.balance import balance
from fullclip.data.building.cluster import OnRay
from fullclip.data.building.match import match
from fullclip.data.building.rows import partitions
from fullclip.data.building.stage import run_stage
from fullclip.data.drops import Drops

if __name__ == "__main__":
    table, queries, folder, address = sys.argv[1:]
    with closing(OnRay(address or None)) as engine:
        works = partitions([table], rows=50)
        match(works, queries=queries, out=f"{folder}/matched", engine=engine, drops=Drops())
        balance(partitions([f"{folder}/matched"]), out=f"{folder}/balanced", cap=20, engine=engine)
        do = partial(copied_at_second_try, deadly=2, marks=folder)
        run_stage(f"{folder}/copied", stage="copy", settings={}, works=works, do=do, engine=engine)
        try:
            list(engine.map(building.failing, range(10)))
        except ValueError as error:
            print(error)
        try:
            list(engine.map(building.deadly, range(4)))
        except OSError as error:
            print(error)
        print(len({node["NodeID"] for node in ray.nodes() if node["Alive"]}), "machines")
"""


def on_the_pool(table, queries, folder) -> None:
    with closing(Pool(1)) as engine:
        match(partitions([table], rows=50), queries=queries, out=f"{folder}/matched", engine=engine, drops=Drops())
        balance(partitions([f"{folder}/matched"]), out=f"{folder}/balanced", cap=20, engine=engine)
        run(table, f"{folder}/copied", engine)


def on_ray(table, queries, folder, *, address="", within=(), environment=None) -> str:
    """The same in a process of its own, since Ray stays in one; what it printed."""
    script = folder / "on_ray.py"
    script.write_text(_ON_RAY, encoding="utf-8")
    words = [*within, sys.executable, str(script), table, queries, str(folder), address]
    done = subprocess.run(words, env={**os.environ, **PATH, **(environment or {})}, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def check_the_same(tmp_path, printed) -> None:
    for stage in ("matched", "balanced", "copied"):
        assert files_of(tmp_path / "there" / stage).keys() == files_of(tmp_path / "here" / stage).keys()
        for name, content in files_of(tmp_path / "there" / stage).items():
            if name != "report.json":  # which names its inputs
                assert content == files_of(tmp_path / "here" / stage)[name], name
    assert (tmp_path / "there/2").exists()  # a worker was killed
    assert "three is not wanted" in printed
    assert "a worker died 3 times at 3" in printed


def test_on_ray_the_files_are_the_pools_although_a_worker_is_killed(table, tmp_path):
    queries = write_queries(tmp_path / "queries.txt", building.WORDS[::3])
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    on_the_pool(table, queries, tmp_path / "here")
    printed = on_ray(table, queries, tmp_path / "there", environment={"RAY_USAGE_STATS_ENABLED": "0"})
    check_the_same(tmp_path, printed)


def test_nobody_answers_at_an_address(table, tmp_path):
    words = [sys.executable, "-m", "fullclip", "data", "balance", table, "--out", str(tmp_path / "out")]
    done = subprocess.run([*words, "--ray-address", "127.0.0.1:1"], env={**os.environ, **PATH}, capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()) == (2, ["fullclip: --ray-address is for --engine ray; add it"])


@contextmanager
def two_machines() -> Iterator[tuple[list[str], list[str]]]:
    """Two network namespaces with a wire between them; how a command is run in each."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need `ip` and root")
    names = [f"fullclip{os.getpid()}{side}" for side in "ab"]
    ends = [f"fc{os.getpid() % 100000}{side}" for side in "ab"]
    with ExitStack() as stack:
        for name in names:
            made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
            if made.returncode:
                pytest.skip(f"network namespaces cannot be made here: {made.stderr.strip()}")
            stack.callback(subprocess.run, ["ip", "netns", "del", name], check=True)
        wire = ["ip", "link", "add", ends[0], "netns", names[0], "type", "veth", "peer", "name", ends[1], "netns", names[1]]
        laid = subprocess.run(wire, capture_output=True, text=True)
        if laid.returncode:
            pytest.skip(f"no wire between network namespaces: {laid.stderr.strip()}")
        for number, (name, end) in enumerate(zip(names, ends, strict=True), 1):
            for words in (
                ["addr", "add", f"10.231.7.{number}/24", "dev", end],
                ["link", "set", end, "up"],
                ["link", "set", "lo", "up"],
            ):
                subprocess.run(["ip", "-n", name, *words], check=True)
        yield tuple(["ip", "netns", "exec", name] for name in names)  # type: ignore[misc]


@contextmanager
def node(within: list[str], *words: str, folder: Path) -> Iterator[None]:
    """A machine of a Ray cluster while it lasts, and nothing of it afterwards."""
    command = [*within, str(Path(sys.executable).parent / "ray"), "start", *words, "--num-cpus=1", "--block"]
    command += ["--object-store-memory=100000000", "--disable-usage-stats"]
    environment = {**os.environ, **SHARED}
    with open(folder / "node.log", "ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        unplug(within)
        process.wait()


def unplug(within: list[str]) -> None:
    """All processes of a machine end at once."""
    listed = subprocess.run(["ip", "netns", "pids", within[-1]], capture_output=True, text=True, check=True)
    for pid in map(int, listed.stdout.split()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_for_machines(within: list[str], number: int) -> None:
    code = f"import ray; ray.init(address='10.231.7.1:6399', log_to_driver=False); assert len(ray.nodes()) == {number}"
    deadline = time.monotonic() + 90
    while subprocess.run([*within, sys.executable, "-c", code], env={**os.environ, **SHARED}, capture_output=True).returncode:
        assert time.monotonic() < deadline, "the machines did not find each other"
        time.sleep(1)


def test_on_two_machines_the_files_are_the_pools(table, tmp_path):
    queries = write_queries(tmp_path / "queries.txt", building.WORDS[::3])
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    on_the_pool(table, queries, tmp_path / "here")
    with two_machines() as (first, second), ExitStack() as stack:
        head = ["--head", "--node-ip-address=10.231.7.1", "--port=6399", "--include-dashboard=false"]
        stack.enter_context(node(first, *head, folder=tmp_path))
        wait_for_machines(first, 1)
        stack.enter_context(node(second, "--address=10.231.7.1:6399", "--node-ip-address=10.231.7.2", folder=tmp_path))
        wait_for_machines(first, 2)
        printed = on_ray(table, queries, tmp_path / "there", address="10.231.7.1:6399", within=first, environment=SHARED)
    check_the_same(tmp_path, printed)
    assert "2 machines" in printed


_SLOWLY = """
import sys
from contextlib import closing
from functools import partial
from building import copied_slowly
from fullclip.data.building.cluster import OnRay
from fullclip.data.building.rows import partitions
from fullclip.data.building.stage import run_stage

if __name__ == "__main__":
    with closing(OnRay("10.231.7.1:6399")) as engine:
        do = partial(copied_slowly, seconds=0.5)
        run_stage(sys.argv[2], stage="copy", settings={}, works=partitions([sys.argv[1]], rows=50), do=do, engine=engine)
"""


@pytest.mark.faults
def test_a_machine_that_is_lost_on_the_way_loses_nothing(table, tmp_path):
    run(table, tmp_path / "here", Pool(1))
    script = tmp_path / "slowly.py"
    script.write_text(_SLOWLY, encoding="utf-8")
    with two_machines() as (first, second), ExitStack() as stack:
        head = ["--head", "--node-ip-address=10.231.7.1", "--port=6399", "--include-dashboard=false"]
        stack.enter_context(node(first, *head, folder=tmp_path))
        wait_for_machines(first, 1)
        address = ["--address=10.231.7.1:6399", "--node-ip-address=10.231.7.2"]
        stack.enter_context(node(second, *address, folder=tmp_path))
        wait_for_machines(first, 2)
        words = [*first, sys.executable, str(script), table, str(tmp_path / "there")]
        process = subprocess.Popen(words, env={**os.environ, **SHARED}, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while len(list((tmp_path / "there").glob("done/*.json"))) < 3 and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        unplug(second)
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said[-3000:]
    assert rows_of(tmp_path / "there") == rows_of(tmp_path / "here")
    assert files_of(tmp_path / "there") == files_of(tmp_path / "here")
