"""Models by name, from a server on this machine that speaks as much of the hub's language as a download needs."""

import hashlib
import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

import fullclip
import peers
from fullclip.models import hub
from fullclip.models.checkpoint import Checkpoint, CheckpointError
from fullclip.models.clip import build, initialize
from fullclip.models.config import PRESETS
from fullclip.models.hub import PRETRAINED, Archive, Pretrained, locate
from fullclip.models.keymaps import to_openai
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.tokenizer import Tokenizer
from loopback import serving

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server has: files by repository, whole addresses beside them, and hashes that it announces wrongly."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    addresses: dict[str, bytes] = field(default_factory=dict)
    announced: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def sha256(self, name: str, content: bytes) -> str:
        return self.announced.get(name, hashlib.sha256(content).hexdigest())

    def answer(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        self.asked.append(f"{method} {path}")
        path = path.partition("?")[0]
        if path in self.addresses:
            return 200, {}, self.addresses[path]
        for repository, files in self.repositories.items():
            if path == f"/api/models/{repository}" or path.startswith(f"/api/models/{repository}/revision/"):
                listed = [self.listed(name, content) for name, content in files.items()]
                return 200, {}, json.dumps({"id": repository, "sha": COMMIT, "siblings": listed}).encode()
            name = path.removeprefix(f"/{repository}/resolve/").partition("/")[2]
            if path.startswith(f"/{repository}/resolve/") and name in files:
                digest = self.sha256(name, files[name])
                sent = {"X-Repo-Commit": COMMIT, "ETag": f'"{digest}"'}
                if name.endswith(".safetensors"):
                    sent |= {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(files[name]))}
                return 200, sent, files[name]
        return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"

    def listed(self, name: str, content: bytes) -> dict[str, object]:
        entry: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": "0" * 40}
        if name.endswith(".safetensors"):
            entry["lfs"] = {"sha256": self.sha256(name, content), "size": len(content), "pointerSize": 134}
        return entry


def free_port() -> int:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return int(server.server_address[1])


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def tiny() -> Checkpoint:
    model = build(PRESETS["tiny"])
    initialize(model, torch.Generator().manual_seed(0))
    return Checkpoint(config=PRESETS["tiny"], state=model.state_dict(), preprocess=PreprocessConfig(size=32))


@pytest.fixture
def content(tmp_path, monkeypatch) -> Hub:
    """A hub whose server is not yet started, in place of huggingface.co, and empty caches."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _cache_manager

    found = Hub(url=f"http://127.0.0.1:{free_port()}")
    for module in (constants, _cache_manager):
        monkeypatch.setattr(module, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", found.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", found.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(hub, "_ARCHIVES", f"{found.url}/archives")
    monkeypatch.setenv("FULLCLIP_CACHE", str(tmp_path / "cache"))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    return found


def publish(content: Hub, tiny: Checkpoint, folder: Path, repository: str, form: str = "fullclip") -> None:
    write_checkpoint(tiny, folder, tokenizer=Tokenizer.clip(context_length=32), form=form)
    content.repositories[repository] = files_of(folder)


@pytest.mark.parametrize("form", ["fullclip", "openclip", "hf"])
def test_a_repository_of_the_hub(content, tiny, tmp_path, form):
    publish(content, tiny, tmp_path / "m", "me/tiny", form)
    content.repositories["me/tiny"] |= {"README.md": b"not wanted", "training/optimizer.safetensors": b"not wanted"}
    with serving(content):
        encoder = fullclip.load("hf-hub:me/tiny", device="cpu")
    local = fullclip.load(tmp_path / "m", device="cpu")
    assert (encoder.encode_texts(["a dog"]) == local.encode_texts(["a dog"])).all()
    weights = next(data for name, data in files_of(tmp_path / "m").items() if name.endswith(".safetensors"))
    assert (encoder.provenance.source, encoder.provenance.sha256) == ("hf-hub:me/tiny", hashlib.sha256(weights).hexdigest())
    assert not [path for path in content.asked if "README" in path or "training" in path]


def test_a_known_name(content, tiny, tmp_path, monkeypatch):
    publish(content, tiny, tmp_path / "m", "me/tiny")
    known = Pretrained(repository="me/tiny", licence="MIT", training_data="nothing", preset="tiny")
    monkeypatch.setitem(PRETRAINED, "me/Tiny-1", known)
    with serving(content):
        encoder = fullclip.load("me/Tiny-1", device="cpu")
    found = encoder.provenance
    assert (found.source, found.licence, found.training_data) == ("me/Tiny-1", "MIT", "nothing")
    assert found.sha256 == hashlib.sha256((tmp_path / "m/model.safetensors").read_bytes()).hexdigest()
    assert encoder.model.state_dict().keys() == tiny.state.keys()


def test_the_second_time_needs_no_server(content, tiny, tmp_path):
    publish(content, tiny, tmp_path / "m", "me/tiny")
    with serving(content):
        first = locate("hf-hub:me/tiny")
        assert locate("hf-hub:me/tiny") == first
        fetched = [asked for asked in content.asked if asked.startswith("GET") and asked.endswith("/model.safetensors")]
        assert len(fetched) == 1
    assert locate("hf-hub:me/tiny") == first


def test_offline_mode(content, tiny, tmp_path, monkeypatch):
    from huggingface_hub import constants

    publish(content, tiny, tmp_path / "m", "me/tiny")
    with serving(content):
        first = locate("hf-hub:me/tiny")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert locate("hf-hub:me/tiny") == first
    with pytest.raises(CheckpointError, match="me/other"):
        locate("hf-hub:me/other")


def test_nothing_cached_and_no_server(content):
    with pytest.raises(CheckpointError) as found:
        locate("hf-hub:me/tiny")
    message = str(found.value)
    for part in ("https://huggingface.co/me/tiny", "give the path of a folder or weight file", "HF_ENDPOINT"):
        assert part in message
    assert "\n" not in message


def test_no_such_repository(content):
    with serving(content), pytest.raises(CheckpointError, match=r"me/nothing .*404"):
        locate("hf-hub:me/nothing")


def test_a_repository_without_weights(content):
    content.repositories["me/empty"] = {"config.json": b"{}", "README.md": b""}
    with serving(content), pytest.raises(CheckpointError, match=r"me/empty has no weights of a CLIP \(looked for model.safe"):
        locate("hf-hub:me/empty")


def test_a_wrong_hash_is_refused(content, tiny, tmp_path):
    """Also later, when the damaged file lies in the cache and nobody can be asked."""
    publish(content, tiny, tmp_path / "m", "me/tiny")
    content.announced["model.safetensors"] = "ab" * 32
    with (
        serving(content),
        pytest.raises(CheckpointError, match=f"model.safetensors: its SHA-256 is .*, the hub says {'ab' * 32}"),
    ):
        locate("hf-hub:me/tiny")
    with pytest.raises(CheckpointError, match="SHA-256"):
        locate("hf-hub:me/tiny")


# OpenAI's own archives


def archived(content: Hub, tmp_path: Path, monkeypatch, *, name: str = "openai/Tiny", digest: str | None = None) -> bytes:
    """A known name whose weights are only at the archive's address."""
    torch.save(to_openai(peers.openai_model("vit").state_dict()), tmp_path / "published.pt")
    data = (tmp_path / "published.pt").read_bytes()
    archive = Archive(file="Tiny.pt", sha256=digest or hashlib.sha256(data).hexdigest())
    known = Pretrained(repository="me/none", licence="MIT", training_data="nothing", preset="tiny", archive=archive)
    monkeypatch.setitem(PRETRAINED, name, known)
    content.addresses[f"/archives/{archive.sha256}/Tiny.pt"] = data
    return data


def test_the_archive_where_the_hub_has_nothing(content, tmp_path, monkeypatch):
    data = archived(content, tmp_path, monkeypatch)
    with serving(content):
        path, provenance = locate("openai/Tiny")
    assert path == tmp_path / "cache/Tiny.pt"
    assert path.read_bytes() == data
    assert provenance.sha256 == hashlib.sha256(data).hexdigest()
    assert locate("openai/Tiny") == (path, provenance)  # from the cache, the server being gone
    assert locate("openai/Tiny", archives=tmp_path / "cache")[0] == path


def test_an_archive_of_another_hash(content, tmp_path, monkeypatch):
    archived(content, tmp_path, monkeypatch, digest="cd" * 32)
    with serving(content), pytest.raises(CheckpointError, match=f"Tiny.pt: its SHA-256 is .*, expected {'cd' * 32}"):
        locate("openai/Tiny")
    with pytest.raises(CheckpointError):
        locate("openai/Tiny")


def test_a_damaged_archive_in_the_cache(content, tmp_path, monkeypatch):
    data = archived(content, tmp_path, monkeypatch)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/Tiny.pt").write_bytes(data[:-1])
    with pytest.raises(CheckpointError, match="remove the file and fetch it again"):
        locate("openai/Tiny")


def test_neither_hub_nor_archive(content, tmp_path, monkeypatch):
    archived(content, tmp_path, monkeypatch)
    with pytest.raises(CheckpointError) as found:
        locate("openai/Tiny")
    message = str(found.value)
    for part in ("openai/Tiny: ", "me/none", f"{content.url}/archives/", f"put that file at {tmp_path / 'cache/Tiny.pt'}"):
        assert part in message
    assert "\n" not in message


# Names


def test_every_known_name_says_what_it_is():
    for name, known in PRETRAINED.items():
        assert known.licence, name
        assert known.training_data, name
        assert known.preset in PRESETS, name
        assert re.fullmatch(r"[\w-]+/[\w.-]+", known.repository), name
        assert name.split("/")[1].startswith(known.preset), name
    archives = {known.archive for name, known in PRETRAINED.items() if name.startswith("openai/")}
    assert len(archives) == 9
    for archive in archives:
        assert archive is not None
        assert re.fullmatch(r"[0-9a-f]{64}", archive.sha256)


def test_archives_are_openais():
    """The names, files and hashes of openai/CLIP's clip.py, read as text: importing it needs torchvision."""
    import importlib.util

    package = importlib.util.find_spec("clip")
    if package is None or not package.submodule_search_locations:
        pytest.skip("openai/CLIP's code is not installed: pip install --no-deps clip-anytorch")
    source = (Path(package.submodule_search_locations[0]) / "clip.py").read_text()
    theirs = dict(re.findall(r'"([^"\n]+)": "(https://[^"\n]+\.pt)"', source))
    from fullclip.compat import clip as compat

    assert {name: PRETRAINED[compat._NAMES[name]].archive.url for name in compat.available_models()} == theirs


@pytest.mark.parametrize(("name", "hint"), [("openai/ViT-B-23", "openai/ViT-B-32"), ("openai/vit-l-14", "openai/ViT-L-14")])
def test_an_unknown_name_suggests_the_nearest(name, hint):
    with pytest.raises(CheckpointError, match=f"no model, file or folder named '{name}'; did you mean '{hint}'"):
        locate(name)


def test_a_path_is_taken_as_it_is(tmp_path):
    assert locate(str(tmp_path))[0] == tmp_path
    assert locate("./nothing.pt")[0] == Path("nothing.pt")
    assert locate("~/nothing.pt")[0] == Path.home() / "nothing.pt"
