"""Pictures of every kind of input into an index, and out of it: what it says of each, and that nothing is double or lost."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fullclip
from embedded import CAPTIONS, FILES, NUM, write_inputs, write_model, write_pictures
from fullclip.search.embed import embed
from fullclip.search.engines import Local
from fullclip.search.index import Index, building, derived
from fullclip.search.index.building import add
from fullclip.search.index.removing import remove
from fullclip.search.index.writing import held
from fullclip.search.jobs import Layout, ModelChoice
from pairs import write_tar
from stores import s3_store


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def choice(model) -> ModelChoice:
    return ModelChoice(name=model)


def everything(index: str) -> dict[str, dict]:
    """What an index says of each key, with its vector."""
    opened = Index.open(index)
    hits = opened.search(np.ones((1, opened.dim), np.float32), top=1000, fold=False)[0]
    assert len({hit.key for hit in hits}) == len(hits) == len(opened)
    return {hit.key: {**hit.meta, "vector": opened.vector(hit.key)} for hit in hits}


def test_a_folder_of_pictures(model, choice, tmp_path):
    paths = write_pictures(tmp_path / "pictures")
    paths[3].with_suffix(".txt").unlink()
    found = add([str(tmp_path / "pictures")], str(tmp_path / "index"), choice=choice, create=True)
    assert (found.added, found.replaced, found.unchanged, found.rows, dict(found.skipped)) == (NUM, 0, 0, NUM, {})
    index, told = Index.open(str(tmp_path / "index")), everything(str(tmp_path / "index"))
    names = [path.relative_to(tmp_path / "pictures").as_posix() for path in paths]
    assert sorted(told) == sorted(names)
    vectors = fullclip.load(model).encode_images(paths)
    assert (index.model, index.fingerprint, index.dim) == (model, fullclip.load(model).fingerprint, vectors.shape[1])
    for name, path, vector in zip(names, paths, vectors, strict=True):
        np.testing.assert_allclose(told[name]["vector"], vector, atol=1e-3)
        assert (told[name]["path"], told[name]["width"], told[name]["height"]) == (name, 40, 36)
        assert told[name]["bytes"] == path.stat().st_size
        assert told[name]["date"].startswith("20")
    assert told[names[0]]["captions"] == list(CAPTIONS[int(paths[0].stem)])
    assert "captions" not in told[names[3]]
    assert str(tmp_path) not in json.dumps([{**one, "vector": None} for one in told.values()])


def test_every_kind_of_input_gives_the_same_vectors_and_captions(choice, tmp_path):
    given = write_inputs(tmp_path / "inputs")
    found = {}
    for name, pattern in given.items():
        add([pattern], str(tmp_path / name), choice=choice, create=True)
        told = everything(str(tmp_path / name))
        number = {key: "".join(letter for letter in Path(key).stem if letter.isdigit()) for key in told}
        found[name] = {number[key]: one for key, one in told.items()}
        assert len(found[name]) == NUM
    found["bytes"] = {f"{i * 2 if i < 5 else i * 2 - 9:03d}": found["bytes"][str(i)] for i in range(NUM)}  # keys are rows there
    for name, told in found.items():
        assert sorted(told) == [f"{i:03d}" for i in range(NUM)], name
        for key, one in told.items():
            np.testing.assert_allclose(one["vector"], found["folder"][key]["vector"], atol=1e-3)
            assert one["captions"] == list(CAPTIONS[int(key)]), name
            assert (one["width"], one["height"]) == (40, 36)


def test_again_and_what_has_changed(choice, tmp_path):
    folder, index = tmp_path / "pictures", str(tmp_path / "index")
    paths = write_pictures(folder)
    add([str(folder)], index, choice=choice, create=True)
    before = everything(index)
    again = add([str(folder)], index, choice=None)
    assert (again.added, again.replaced, again.unchanged) == (0, 0, NUM)
    paths[0].write_bytes(FILES[9][:-30] + FILES[3])  # torn: it stays as it was
    Image.new("RGB", (30, 50), "red").save(paths[1])
    paths[2].with_suffix(".txt").write_text("another caption")
    Image.new("RGB", (64, 64), "blue").save(folder / "new.png")
    found = add([str(folder)], index, choice=None)
    assert (found.added, found.replaced, found.unchanged, found.rows) == (1, 2, NUM - 3, NUM + 1)
    assert found.skipped == {"unreadable image": 1}
    after, names = everything(index), [path.relative_to(folder).as_posix() for path in paths]
    assert (after[names[1]]["width"], after[names[1]]["height"]) == (30, 50)
    assert not np.allclose(after[names[1]]["vector"], before[names[1]]["vector"], atol=1e-2)
    assert after[names[2]]["captions"] == ["another caption"]
    np.testing.assert_allclose(after[names[0]]["vector"], before[names[0]]["vector"], atol=1e-6)


def test_the_fields_of_shards_and_tables_are_columns_to_ask_for(choice, tmp_path):
    shard = []
    for i in range(6):
        own = {"caption": f"number {i}", "Licence": ["CC0", "CC-BY"][i % 2], "score": i / 2, "width": 9999, "tags": ["a", i]}
        own |= {"flag": True} if i < 2 else {}
        own |= {"score": "no number"} if i == 5 else {}
        shard += [(f"{i:03d}.png", FILES[i]), (f"{i:03d}.json", json.dumps(own).encode())]
    write_tar(tmp_path / "shard.tar", shard)
    index = str(tmp_path / "index")
    add([str(tmp_path / "shard.tar")], index, choice=choice, create=True)
    opened, query = Index.open(index), np.ones((1, 64), np.float32)[:, : Index.open(index).dim]

    def ask(where: str) -> list[str]:
        return sorted(hit.key for hit in opened.search(query, where=where, fold=False)[0])

    assert ask("licence = 'CC0' AND score >= 1") == ["002", "004"]
    assert ask("flag") == ["000", "001"]
    assert ask("caption LIKE '%3'") == ["003"]
    assert ask("width = 40") == [f"{i:03d}" for i in range(6)]  # the picture's, not what its shard says
    told = everything(index)
    assert (told["005"]["score"], told["001"]["tags"], told["001"]["Licence"]) == ("no number", ["a", 1], "CC-BY")
    assert {"licence": "string", "score": "double", "flag": "bool"}.items() <= opened.stats().fields.items()
    assert not {"tags", "vector", "number", "mark"} & set(opened.stats().fields)


def test_hostile_metadata_is_kept_as_far_as_it_can_be(choice, tmp_path):
    own = [
        '{"score": NaN, "note": "\\ud800 alone", "big": 1' + "0" * 400 + "}",
        '{"note": "' + "long " * 2000 + '", "sel; DROP": 3, "": 1, "key": "not mine", "told": 5}',
        '{"score": 1.5, "note": ["a", {"b": null}]}',
    ]
    write_tar(tmp_path / "a.tar", [file for i in range(3) for file in ((f"{i}.png", FILES[i]), (f"{i}.json", own[i].encode()))])
    index = str(tmp_path / "index")
    assert add([str(tmp_path / "a.tar")], index, choice=choice, create=True).added == 3
    assert add([str(tmp_path / "a.tar")], index, choice=None).unchanged == 3
    told = everything(index)
    assert sorted(told) == ["0", "1", "2"]
    json.dumps([{**one, "vector": None} for one in told.values()], allow_nan=False)
    assert told["2"]["note"] == ["a", {"b": None}]
    found = Index.open(index).search(np.ones((1, 32)), where="sel_drop = 3 AND note LIKE 'long%'")
    assert [hit.key for hit in found[0]] == ["1"]


def test_thumbnails_are_small_upright_and_on_white(choice, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    turned = Image.new("RGB", (600, 300), "blue")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(folder / "turned.jpg", exif=exif)
    Image.new("RGBA", (50, 40), (0, 0, 0, 0)).save(folder / "clear.png")
    Image.new("L", (3000, 1), 7).save(folder / "line.png")
    add([str(folder)], str(tmp_path / "index"), choice=choice, create=True)
    index, told = Index.open(str(tmp_path / "index")), everything(str(tmp_path / "index"))
    sizes = {}
    for key in told:
        with Image.open(io.BytesIO(index.thumbnail(key) or b"")) as thumbnail:
            assert (thumbnail.format, thumbnail.mode) == ("JPEG", "RGB")
            sizes[key] = thumbnail.size
            if key == "clear.png":
                assert min(thumbnail.getpixel((20, 20))) > 250
    assert sizes == {"turned.jpg": (112, 224), "clear.png": (50, 40), "line.png": (224, 1)}
    assert (told["turned.jpg"]["width"], told["turned.jpg"]["height"]) == (300, 600)


@pytest.mark.parametrize("file_format", ["parquet", "npy"])
def test_embeddings_that_were_written_are_taken_as_they_are(model, choice, tmp_path, file_format, monkeypatch):
    paths, out, index = write_pictures(tmp_path / "pictures"), str(tmp_path / "out"), str(tmp_path / "index")
    layout = Layout(what="both", format=file_format)
    embed([str(tmp_path / "pictures")], out, engine=Local(choice), choice=choice, layout=layout)
    monkeypatch.setattr(ModelChoice, "load", lambda self: pytest.fail("a model was opened"))
    found = add([out], index, choice=None, create=True)
    assert (found.added, Index.open(index).model) == (NUM, model)
    told = everything(index)
    assert sorted(told) == [path.relative_to(tmp_path / "pictures").as_posix() for path in paths]
    for path, vector in zip(paths, fullclip.load(model).encode_images(paths), strict=True):
        one = told[path.relative_to(tmp_path / "pictures").as_posix()]
        np.testing.assert_allclose(one["vector"], vector, atol=1e-3)
        assert one["captions"] == list(CAPTIONS[int(path.stem)])
        assert one["width"] == 40
    assert add([out], index, choice=None).unchanged == NUM
    with pytest.raises(ValueError, match="leave out --model"):
        add([out], index, choice=ModelChoice(name="small"))


def test_vectors_without_a_direction_are_left_out(choice, tmp_path):
    out, index = tmp_path / "out", str(tmp_path / "index")
    write_pictures(tmp_path / "pictures")
    embed([str(tmp_path / "pictures")], str(out), engine=Local(choice), choice=choice, layout=Layout(format="npy"))
    (path,) = (out / "images").glob("*.npy")
    vectors = np.load(path)
    vectors[1], vectors[2, 5], vectors[3] = 0, np.nan, 7 * vectors[3]
    np.save(path, vectors)
    found = add([str(out)], index, choice=None, create=True)
    assert (found.added, found.skipped) == (NUM - 2, {"zero vector": 1, "NaN in a vector": 1})
    lengths = [np.linalg.norm(one["vector"]) for one in everything(index).values()]
    np.testing.assert_allclose(lengths, 1, atol=1e-5)


def test_another_model_is_refused_with_what_to_type(choice, model, tmp_path):
    write_pictures(tmp_path / "pictures", 3)
    index = str(tmp_path / "index")
    add([str(tmp_path / "pictures")], index, choice=choice, create=True)
    with pytest.raises(ValueError, match=rf"small makes 384: give --model {model}, or another --index"):
        add([str(tmp_path / "pictures")], index, choice=ModelChoice(name="small"), create=True)
    mark = Path(index, "index.json")
    mark.write_text(mark.read_text().replace(Index.open(index).fingerprint, "of other weights"))
    with pytest.raises(ValueError, match=rf"built with the model {model}, which has changed"):
        add([str(tmp_path / "pictures")], index, choice=None)
    with pytest.raises(ValueError, match="nothing to index"):
        add([], index, choice=None)
    assert len(Index.open(index)) == 3


def test_a_model_that_was_named_from_one_folder_is_found_from_another(model, tmp_path, monkeypatch):
    write_pictures(tmp_path / "pictures", 3)
    index = str(tmp_path / "index")
    monkeypatch.chdir(Path(model).parent)
    add([str(tmp_path / "pictures")], index, choice=ModelChoice(name="tiny"), create=True)
    monkeypatch.chdir(tmp_path)
    assert Index.open(index).model == model
    write_pictures(tmp_path / "pictures", 4)
    assert add([str(tmp_path / "pictures")], index, choice=None).added == 1


def test_removing(choice, tmp_path):
    write_pictures(tmp_path / "pictures")
    index = str(tmp_path / "index")
    add([str(tmp_path / "pictures")], index, choice=choice, create=True)
    assert remove(index, keys=["a/000.png", "not there", "it's"]) == 1
    for two in ("key LIKE 'b/%'; DROP TABLE rows", "1 = 1 -- ;"):
        with pytest.raises(ValueError, match="one condition, without a semicolon; join several with AND"):
            remove(index, where=two)
    assert remove(index, where="key = 'a;b'") == 0
    assert remove(index, where="key LIKE 'b/%'") == 5
    assert sorted(everything(index)) == ["a/002.png", "a/004.png", "a/006.png", "a/008.png"]
    with pytest.raises(ValueError, match="No field named nam"):
        remove(index, where="nam = 'x'")
    with pytest.raises(ValueError, match="name the keys"):
        remove(index)
    assert add([str(tmp_path / "pictures")], index, choice=None).added == 6
    assert len(everything(index)) == NUM


def test_numbers_are_never_given_twice(choice, tmp_path):
    """Or a segment would show the row that had the number before."""
    write_pictures(tmp_path / "pictures")
    index = str(tmp_path / "index")
    add([str(tmp_path / "pictures")], index, choice=choice, create=True)
    remove(index, where="width > 0")
    add([str(tmp_path / "pictures")], index, choice=None)
    assert Index.open(index)._nearest.table.numbers()[0].tolist() == list(range(NUM, 2 * NUM))


@pytest.mark.parametrize("damage", [None, "", "{", '{"next": "many"}', "[]"])
def test_nor_where_the_file_that_counts_them_is_lost(choice, tmp_path, monkeypatch, damage):
    """Rows that are no more have a segment still, which must not show those to come in their place."""
    monkeypatch.setattr(derived, "SWITCH", 5)
    paths, index = write_pictures(tmp_path / "pictures"), str(tmp_path / "index")
    add([str(tmp_path / "pictures")], index, choice=choice, create=True)
    (hit,) = Index.open(index).search(np.ones((1, Index.open(index).dim)), where="key = 'b/009.png'")[0]
    remove(index, keys=[hit.key])
    if damage is None:
        Path(index, "numbers.json").unlink()
    else:
        Path(index, "numbers.json").write_text(damage)
    Image.new("RGB", (64, 64), "blue").save(tmp_path / "new.png")
    assert add([str(tmp_path / "new.png"), str(paths[-1])], index, choice=None).added == 2
    assert Index.open(index)._nearest.table.numbers()[0].tolist() == [*range(NUM - 1), NUM, NUM + 1]
    assert len(everything(index)) == NUM + 1


def test_two_pictures_with_one_key_are_named(choice, tmp_path):
    (tmp_path / "shards").mkdir()
    for name in ("one", "two"):
        write_tar(tmp_path / "shards" / f"{name}.tar", [(f"{i}.png", FILES[i]) for i in range(3)])
    found = add([str(tmp_path / "shards")], str(tmp_path / "index"), choice=choice, create=True)
    assert (found.rows, found.skipped) == (3, {"key of another picture": 3})


def test_a_picture_of_another_folder_takes_no_ones_place(choice, tmp_path):
    camera, index = tmp_path / "camera", str(tmp_path / "index")
    for folder, height in (("2023", 40), ("2024", 50)):
        (camera / folder).mkdir(parents=True)
        Image.new("RGB", (64, height), "red").save(camera / folder / "IMG_0001.png")
    add([str(camera / "2023")], index, choice=choice, create=True)
    found = add([str(camera / "2024")], index, choice=None)
    assert (found.rows, found.replaced, found.skipped) == (1, 0, {"key of another picture": 1})
    assert everything(index)["IMG_0001.png"]["height"] == 40
    Image.new("RGB", (32, 60), "green").save(camera / "2023" / "IMG_0001.png")
    assert add([str(camera / "2023")], index, choice=None).replaced == 1
    assert everything(index)["IMG_0001.png"]["height"] == 60
    assert add([str(camera)], index, choice=None).added == 2


def test_two_writers_are_refused_and_readers_are_not(choice, tmp_path):
    write_pictures(tmp_path / "pictures", 3)
    index = str(tmp_path / "index")
    add([str(tmp_path / "pictures")], index, choice=choice, create=True)
    with held(index):
        assert len(Index.open(index)) == 3
        for write in (lambda: add([str(tmp_path / "pictures")], index, choice=None), lambda: remove(index, keys=["x"])):
            with pytest.raises(ValueError, match="another process is writing into"):
                write()


def test_an_index_in_a_store_is_that_of_a_disk(choice, tmp_path, monkeypatch):
    monkeypatch.setenv("FULLCLIP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(derived, "SWITCH", 5)
    write_pictures(tmp_path / "pictures")
    pictures, here, there = str(tmp_path / "pictures"), str(tmp_path / "index"), "s3://bucket/some/index"
    add([pictures], here, choice=choice, create=True)
    with s3_store("bucket"):
        with pytest.raises(ValueError, match="no index; make one with"):
            Index.open(there)
        assert add([pictures], there, choice=choice, create=True).added == NUM
        assert add([pictures], there, choice=None).unchanged == NUM
        assert remove(there, keys=["a/000.png"]) == 1
        expected, found = everything(here), everything(there)
        assert sorted(found) == sorted(set(expected) - {"a/000.png"})
        for key, one in found.items():
            np.testing.assert_allclose(one["vector"], expected[key]["vector"], atol=1e-6)
        assert Index.open(there).stats().arranged > 0
        assert list((tmp_path / "cache/search").iterdir())
        with held(there), pytest.raises(ValueError, match="another process is writing into s3://bucket/some/index"):
            remove(there, keys=["a/002.png"])
        assert remove(there, keys=["a/002.png"]) == 1


def test_places_that_are_no_index(choice, tmp_path):
    write_pictures(tmp_path / "pictures", 3)
    pictures = str(tmp_path / "pictures")
    with pytest.raises(ValueError, match="holds other files"):
        add([pictures], pictures, choice=choice, create=True)
    with pytest.raises(ValueError, match="no index; make one with"):
        add([pictures], str(tmp_path / "none"), choice=None)
    assert not (tmp_path / "none").exists()
    with pytest.raises(ValueError, match="is a file"):
        add([pictures], f"{pictures}/a/000.png", choice=choice, create=True)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "a.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match="nothing could be read; 1 unreadable image"):
        add([str(tmp_path / "torn")], str(tmp_path / "index"), choice=choice, create=True)


def test_writes_of_some_rows_are_as_one(choice, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "ROWS_A_WRITE", 3)
    write_pictures(tmp_path / "pictures", 20)
    add([str(tmp_path / "pictures")], str(tmp_path / "index"), choice=choice, create=True)
    assert len(everything(str(tmp_path / "index"))) == 20
    names = {path.name for path in (tmp_path / "index").iterdir()}
    assert sorted(names - {".lock"}) == ["index.json", "numbers.json", "rows.lance"]
    assert json.loads((tmp_path / "index/numbers.json").read_text()) == {"next": 20}
