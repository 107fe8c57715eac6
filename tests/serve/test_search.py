"""/v1/search over a real index, against asking the index itself."""

import base64
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import fullclip
from embedded import FILES, write_model
from fullclip.search.index import Index
from fullclip.search.index.building import add
from fullclip.search.query import combined
from fullclip.serve import parts
from fullclip.serve.app import create_app
from fullclip.serve.settings import Settings
from served import asking, choice_of, error_of, sent, write_index


class World:
    """A model, an index that was built with it, and a server of both."""

    def __init__(self, folder: Path) -> None:
        self.model = write_model(folder / "tiny")
        self.folder = write_index(folder, self.model)
        self.encoder, self.index = fullclip.load(self.model), Index.open(self.folder)
        self.app = create_app(Settings(model=self.model, index=self.folder))
        self.client: Any = None

    def ask(self, **body: object) -> list[dict[str, Any]]:
        answer = self.client.post("/v1/search", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["hits"]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    found = World(tmp_path_factory.mktemp("searched"))
    with asking(found.app) as client:
        found.client = client
        yield found


def test_hits_are_the_indexs_own(world):
    [keys] = [[hit.key for hit in world.index.search(world.encoder.encode_texts(["a"]), top=3)[0]]]
    for body, wish in (
        ({"text": "picture aa"}, {"texts": ["picture aa"]}),
        ({"text": ["picture aa", "another"], "minus": "word"}, {"texts": ["picture aa", "another"], "minus": ["word"]}),
        ({"image": sent(FILES[3])}, {"images": [FILES[3]]}),
        ({"like": keys[0]}, {"like": keys[:1]}),
        (
            {"text": "picture", "image": [sent(FILES[1]), sent(FILES[2])], "like": keys, "minus": ["word", "aa"]},
            {"texts": ["picture"], "images": FILES[1:3], "like": keys, "minus": ["word", "aa"]},
        ),
    ):
        hits = world.ask(**body, top=4)
        [expected] = world.index.search(combined(world.encoder, world.index, **wish)[None], top=4)
        assert [hit["key"] for hit in hits] == [hit.key for hit in expected]
        np.testing.assert_allclose([hit["score"] for hit in hits], [hit.score for hit in expected], atol=1e-5)
        assert [hit["meta"] for hit in hits] == [dict(hit.meta) for hit in expected]


def test_thumbnails_are_pictures(world):
    for hit in world.ask(text="a", top=2):
        kind, _, data = hit["thumbnail"].partition(",")
        assert kind == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert max(image.size) <= 224


def test_thumbnails_are_looked_up_at_once(world, monkeypatch):
    """One by one, those of a thousand hits keep a thread for a minute."""
    asked, looked_up = Index.thumbnails, []
    monkeypatch.setattr(Index, "thumbnails", lambda self, keys: looked_up.append(keys) or asked(self, keys))
    several = world.index.search(world.encoder.encode_texts(["a"]), top=5, fold=False)
    monkeypatch.setattr(Index, "search", lambda *_, **__: several)
    hits = world.ask(text="a")
    assert looked_up == [[hit["key"] for hit in hits]]
    assert len(hits) == 5
    assert all(hit["thumbnail"] for hit in hits)


def test_a_condition_is_kept(world):
    hits = world.ask(text="a", where="path LIKE '%a/000%'")
    assert [hit["meta"]["path"].rpartition("/")[2] for hit in hits] == ["000.png"]
    assert world.ask(text="a", where="width > 5000") == []
    assert len(world.ask(text="a", top=1000)) == len(world.index.search(world.encoder.encode_texts(["a"]), top=1000)[0])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid_value"),
        ({"minus": "a"}, 400, "invalid_value"),
        ({"text": []}, 400, "invalid_value"),
        ({"text": " "}, 400, "invalid_value"),
        ({"text": "a", "minus": "a"}, 400, "invalid_value"),
        ({"text": "a", "top": 0}, 400, "invalid_value"),
        ({"text": "a", "top": 10**6}, 400, "invalid_value"),
        ({"text": "a", "where": "no condition at all"}, 400, "invalid_value"),
        ({"text": "a", "where": "nowhere = 1"}, 400, "invalid_value"),
        ({"text": "a", "where": "1 ="}, 400, "invalid_value"),
        ({"text": "a", "where": "1 / 0 > 1"}, 400, "invalid_value"),
        ({"text": "a", "where": "cast(width as decimal(76, 76)) > 0"}, 400, "invalid_value"),
        ({"text": "a", "where": "1" + "+1" * 990 + " > 0"}, 400, "invalid_value"),
        ({"text": "a", "where": "length(repeat('x', 100)) > 1"}, 400, "invalid_value"),
        ({"text": "word " * 60}, 400, "context_length_exceeded"),
        ({"like": "no such key"}, 404, "no_such_key"),
        ({"like": "' OR 1 = 1 --"}, 404, "no_such_key"),
        ({"like": ["a"] * 33}, 400, "too_many_items"),
        ({"image": "no picture"}, 400, "bad_image"),
    ],
)
def test_what_cannot_be_searched(world, body, status, code):
    answer = world.client.post("/v1/search", json=body)
    assert error_of(answer) == (status, code)
    for own in (world.folder, str(Path(world.folder).parent), str(Path.cwd())):
        assert own not in answer.text


def test_paths_of_this_machine_stay_here(world):
    for answer in (
        world.client.post("/v1/search", json={"text": "a", "top": 1000}),
        world.client.get("/v1/models"),
        world.client.get("/readyz"),
        world.client.get("/metrics"),
    ):
        assert answer.status_code == 200
        assert str(Path(world.folder).parent) not in answer.text
    assert world.client.get("/readyz").json() == {"status": "ready", "model": "tiny", "index": 10}


def test_what_another_process_adds_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "_REFRESH_SECONDS", 0.0)
    world = World(tmp_path)
    with asking(world.app) as world.client:
        new = tmp_path / "new" / "green.png"
        new.parent.mkdir()
        Image.new("RGB", (40, 36), (0, 200, 0)).save(new)
        wanted = sent(new.read_bytes())
        assert not any(hit["key"].endswith("green.png") for hit in world.ask(image=wanted, top=100))
        add([str(new.parent)], world.folder, choice=choice_of(world.model))
        [best] = world.ask(image=wanted, top=1)
        assert best["key"].endswith("green.png")
        assert best["score"] == pytest.approx(1, abs=1e-3)


def test_an_index_of_another_model_is_refused_at_the_start(world, tmp_path):
    with pytest.raises(ValueError, match="no index"):
        create_app(Settings(model=world.model, index=str(tmp_path)))
    with pytest.raises(ValueError, match="built with the model"):
        create_app(Settings(model="small", index=world.folder))


def test_an_index_that_goes_away_is_503(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "_REFRESH_SECONDS", 0.0)
    world = World(tmp_path)
    with asking(world.app) as client:
        shutil.rmtree(world.folder)
        answer = client.post("/v1/search", json={"text": "a"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "index_unavailable")
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
        assert world.folder not in answer.text
