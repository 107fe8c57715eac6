"""Checkpoints on disk and on a remote store: whole or not there at all."""

import json
import threading
import uuid
from pathlib import Path

import pytest

from fullclip.train.checkpoints.folder import CheckpointFolder, Place, damage, is_checkpoint, read_progress

ALONE = Place(rank=0, size=1)


def writes(text: str):
    return lambda path: path.write_text(text)


def fails(path: Path) -> None:
    path.write_text("half")
    raise OSError(5, "the disk fell out", str(path))


@pytest.fixture(params=["local", "remote"])
def folder(request, tmp_path) -> CheckpointFolder:
    """The remote one is fsspec's own store in memory."""
    return CheckpointFolder(str(tmp_path / "checkpoints") if request.param == "local" else f"memory://{uuid.uuid4()}/run")


def test_what_is_written_is_found_with_its_hashes(folder):
    path = folder.write(3, {"a.bin": writes("A"), "b.bin": writes("B")}, {"step": 3}, place=ALONE)
    assert folder.all() == [path] == [folder.at(3)]
    assert is_checkpoint(path)
    assert damage(path) is None
    assert read_progress(path)["step"] == 3
    assert set(read_progress(path)["files"]) == {"a.bin", "b.bin"}


def test_only_what_was_promised_lies_in_it(tmp_path):
    folder = CheckpointFolder(str(tmp_path))
    path = Path(folder.write(3, {"a.bin": writes("A")}, {}, place=ALONE))
    assert sorted(p.name for p in path.iterdir()) == ["a.bin", "progress.json"]
    assert [p.name for p in tmp_path.iterdir()] == ["00000003"]


def test_a_failure_leaves_the_one_before_it(folder):
    good = folder.write(1, {"a.bin": writes("A")}, {}, place=ALONE)
    with pytest.raises(OSError, match="the disk fell out"):
        folder.write(2, {"a.bin": fails}, {}, place=ALONE)
    assert folder.all() == [good]
    folder.remove_unfinished()
    assert folder.all() == [good]


@pytest.mark.faults
def test_unfinished_ones_are_not_seen_and_are_removed(tmp_path):
    folder = CheckpointFolder(str(tmp_path))
    good = folder.write(1, {"a.bin": writes("A")}, {}, place=ALONE)
    for name in (".00000002.partial", "00000003"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.bin").write_text("A")
    (tmp_path / "notes").mkdir()
    assert folder.all() == [good]
    folder.remove_unfinished()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000001", "notes"]


@pytest.mark.faults
@pytest.mark.parametrize("harm", ["cut", "changed", "missing", "no json", "no progress"])
def test_damage_is_named(tmp_path, harm):
    folder = CheckpointFolder(str(tmp_path))
    path = Path(folder.write(1, {"a.bin": writes("AAAA")}, {}, place=ALONE))
    if harm == "missing":
        (path / "a.bin").unlink()
    elif harm == "no progress":
        (path / "progress.json").unlink()
    else:
        target = path / ("progress.json" if harm == "no json" else "a.bin")
        target.write_text({"cut": "AA", "changed": "AAAB", "no json": "{"}[harm])
    assert damage(str(path))


def test_the_newest_and_milestones_stay(folder):
    for step in range(2, 14, 2):
        folder.write(step, {"a.bin": writes(str(step))}, {}, place=ALONE)
        folder.prune(keep=2, milestone_every=4)
    assert [int(path.rpartition("/")[2]) for path in folder.all()] == [4, 8, 10, 12]


def test_a_step_may_be_written_again(folder):
    folder.write(5, {"a.bin": writes("old"), "gone.bin": writes("x")}, {}, place=ALONE)
    path = folder.write(5, {"a.bin": writes("new")}, {}, place=ALONE)
    assert damage(path) is None
    assert set(read_progress(path)["files"]) == {"a.bin"}


def test_the_leader_waits_for_everyone(tmp_path):
    folder = CheckpointFolder(str(tmp_path))
    others = [
        threading.Timer(
            0.2 * rank, folder.write, (7, {f"part-{rank}.bin": writes(str(rank))}, {}), {"place": Place(rank=rank, size=3)}
        )
        for rank in (1, 2)
    ]
    for other in others:
        other.start()
    path = folder.write(7, {"part-0.bin": writes("0")}, {"step": 7}, place=Place(rank=0, size=3))
    assert set(json.loads((Path(path) / "progress.json").read_text())["files"]) == {f"part-{rank}.bin" for rank in range(3)}
    assert damage(path) is None
