"""Rows out of an index whose files are gone; never those of another folder."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from embedded import FILES, NUM, write_model, write_pictures
from fullclip.search.embed import embed
from fullclip.search.engines import Local
from fullclip.search.index import Index
from fullclip.search.index.building import add
from fullclip.search.index.removing import remove, remove_missing
from fullclip.search.index.table import as_text
from fullclip.search.jobs import Layout, ModelChoice
from indexed import drawn, write_index
from pairs import write_tar
from stores import s3_store


@pytest.fixture(scope="module")
def choice(tmp_path_factory) -> ModelChoice:
    return ModelChoice(name=write_model(tmp_path_factory.mktemp("model") / "tiny"))


def keys(index: str) -> set[str]:
    return {key for batch in Index.open(index)._nearest.table.columns(["key"]) for key in batch["key"]}


def test_pictures_whose_files_are_gone(choice, tmp_path):
    pictures, other, index = tmp_path / "pictures", tmp_path / "other", str(tmp_path / "index")
    paths = write_pictures(pictures)
    write_pictures(other / "c")
    add([str(pictures), str(other)], index, choice=choice, create=True)
    assert remove_missing(index, str(pictures)) == 0
    paths[0].unlink()
    shutil.rmtree(other)
    (tmp_path / "link").symlink_to(pictures)
    assert remove_missing(f"{index}/", f"{tmp_path}/link/") == 1
    assert keys(index) == {path.relative_to(pictures).as_posix() for path in paths[1:]} | {
        f"c/{'ab'[i % 2]}/{i:03d}.png" for i in range(NUM)
    }
    assert add([str(pictures)], index, choice=None).unchanged == NUM - 1


@pytest.mark.parametrize("left", ["nothing", "empty", "few"])
def test_a_disk_that_is_not_mounted_takes_nothing_out_unless_told(choice, tmp_path, left):
    pictures, index = tmp_path / "pictures", str(tmp_path / "index")
    paths = write_pictures(pictures)
    add([str(pictures)], index, choice=choice, create=True)
    num_gone = NUM if left != "few" else NUM // 2 + 1
    for path in paths[:num_gone]:
        path.unlink()
    if left == "nothing":
        shutil.rmtree(pictures)
    with pytest.raises(ValueError, match=rf"{num_gone} of its {NUM} pictures are gone, as if .* add --even-most"):
        remove_missing(index, str(pictures))
    assert len(keys(index)) == NUM
    assert remove_missing(index, str(pictures), even_most=True) == num_gone
    assert len(keys(index)) == NUM - num_gone


def test_a_folder_that_nothing_was_added_from(choice, tmp_path):
    write_pictures(tmp_path / "pictures")
    index, out = str(tmp_path / "index"), str(tmp_path / "out")
    embed([str(tmp_path / "pictures")], out, engine=Local(choice), choice=choice, layout=Layout())
    add([out], index, choice=None, create=True)  # embeddings stay, wherever their pictures are
    shutil.rmtree(tmp_path / "pictures")
    for folder in ("pictures", "out", "elsewhere"):
        with pytest.raises(ValueError, match="has no pictures that were added from"):
            remove_missing(index, str(tmp_path / folder), even_most=True)
    assert len(keys(index)) == NUM


def test_shards_that_are_gone_and_names_that_are_no_text(choice, tmp_path):
    shards, files, index = tmp_path / "shards", tmp_path / "files", str(tmp_path / "index")
    shards.mkdir()
    files.mkdir()
    for name in ("one", "two"):
        write_tar(shards / f"{name}.tar", [(f"{name}{i}.png", FILES[i]) for i in range(3)])
    for i, name in enumerate(("plain.png", "caf\udce9.png", "a\\b.png", "it's.png")):
        (files / name).write_bytes(FILES[i])
    add([str(shards), str(files)], index, choice=choice, create=True)
    assert remove_missing(index, str(files)) == 0
    (files / "caf\udce9.png").unlink()
    assert remove_missing(index, str(files)) == 1
    (shards / "one.tar").unlink()
    assert remove_missing(index, str(shards)) == 3
    assert keys(index) == {"plain.png", "a\\b.png", "it's.png", "two0", "two1", "two2"}


def test_a_locale_without_utf_8_gives_the_same_keys(choice, tmp_path):
    """There a name comes with a surrogate for each of its bytes."""
    path = tmp_path / "日本.png"
    path.write_bytes(FILES[0])
    add([str(path)], str(tmp_path / "index"), choice=choice, create=True)
    typed = os.fsencode(str(path)).decode("ascii", "surrogateescape")
    assert as_text(typed) == str(path)
    assert remove(str(tmp_path / "index"), keys=[typed.rpartition("/")[2]]) == 1


def test_keys_that_are_no_text_are_found_as_they_are_typed(choice, tmp_path):
    index = str(tmp_path / "index")
    (tmp_path / "caf\udce9.png").write_bytes(FILES[0])
    add([str(tmp_path / "caf\udce9.png")], index, choice=choice, create=True)
    opened = Index.open(index)
    assert opened.thumbnail("caf\udce9.png") is not None
    assert opened.vector("caf\udce9.png") is not None
    assert remove(index, keys=["caf\udce9.png"]) == 1


def test_a_folder_that_cannot_be_looked_into_takes_nothing_out(choice, tmp_path, monkeypatch):
    paths = write_pictures(tmp_path / "pictures")
    index = str(tmp_path / "index")
    add([str(tmp_path / "pictures")], index, choice=choice, create=True)
    stat = Path.stat

    def denied(path: Path, **words: bool) -> object:
        if path == paths[3]:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **words)

    monkeypatch.setattr(Path, "stat", denied)
    with pytest.raises(PermissionError):
        remove_missing(index, str(tmp_path / "pictures"))
    assert len(keys(index)) == NUM


def test_an_index_of_before_rows_knew_where_they_are_from(tmp_path):
    """It has no such column: nothing is said to be of a folder, and rows to come have it."""
    path, table = write_index(tmp_path, drawn(5))
    table._table.drop_columns(["_root"])
    with pytest.raises(ValueError, match="no pictures that were added from"):
        remove_missing(path, str(tmp_path))
    assert remove(path, keys=["k1"]) == 1


def test_an_index_without_that_column_gets_it(choice, tmp_path):
    index = str(tmp_path / "index")
    paths = write_pictures(tmp_path / "pictures")
    add([str(paths[0])], index, choice=choice, create=True)
    Index.open(index)._nearest.table._table.drop_columns(["_root"])
    add([str(tmp_path / "pictures")], index, choice=None)
    paths[1].unlink()
    assert remove_missing(index, str(tmp_path / "pictures")) == 1


def test_however_an_input_is_typed_its_keys_are_the_same(choice, tmp_path, monkeypatch):
    (tmp_path / "shards[1]").mkdir()
    write_tar(tmp_path / "shards[1]" / "one.tar", [(f"{i}.png", FILES[i]) for i in range(3)])
    (tmp_path / "shards[1]" / "a.png").write_bytes(FILES[4])
    monkeypatch.chdir(tmp_path)
    found = []
    for i, folder in enumerate(("shards[1]", str(tmp_path / "shards[1]"))):
        add([f"{folder}/one.tar", f"{folder}/a.png"], str(tmp_path / f"index{i}"), choice=choice, create=True)
        batches = Index.open(str(tmp_path / f"index{i}"))._nearest.table.columns(["key", "path"])
        found.append({key: path for one in batches for key, path in zip(one["key"], one["path"], strict=True)})
    assert found[0] == found[1] == {"0": "one.tar", "1": "one.tar", "2": "one.tar", "a.png": "a.png"}


def test_in_a_store(choice, tmp_path, monkeypatch):
    monkeypatch.setenv("FULLCLIP_CACHE", str(tmp_path / "cache"))
    import fsspec

    paths = write_pictures(tmp_path / "pictures")
    index = str(tmp_path / "index")
    with s3_store("bucket"):
        files = fsspec.filesystem("s3")
        for path in paths:
            files.put_file(str(path), f"bucket/p/{path.relative_to(tmp_path / 'pictures')}")
        add(["s3://bucket/p"], index, choice=choice, create=True)
        assert remove_missing(index, "s3://bucket/p") == 0
        files.rm("bucket/p/a/000.png")
        assert remove_missing(index, "s3://bucket/p/") == 1
        files.rm("bucket/p", recursive=True)
        with pytest.raises(ValueError, match=f"{NUM - 1} of its {NUM - 1} pictures are gone"):
            remove_missing(index, "s3://bucket/p")


def test_pictures_that_come_back_are_added_again(choice, tmp_path):
    pictures, index = tmp_path / "pictures", str(tmp_path / "index")
    paths = write_pictures(pictures)
    add([str(pictures)], index, choice=choice, create=True)
    moved = tmp_path / "moved.png"
    subprocess.run(["mv", paths[2], moved], check=True)
    assert remove_missing(index, str(pictures)) == 1
    subprocess.run(["mv", moved, paths[2]], check=True)
    found = add([str(pictures)], index, choice=None)
    assert (found.added, found.unchanged) == (1, NUM - 1)
