"""Models by name: the table of the known ones, with licence and source, and their download through huggingface_hub.

A name is one of BUNDLED ("small"), which ships with the package, one of PRETRAINED ("openai/ViT-B-32"),
"hf-hub:owner/repository", or a local path.
"""

import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from fullclip.core.config import nearest
from fullclip.core.storage import atomic_file, cache_folder, sha256
from fullclip.models import hugging_face, openclip
from fullclip.models.checkpoint import CheckpointError, Provenance
from fullclip.models.weights import CONFIG_NAME, TOKENIZER_NAME, WEIGHTS_NAME

HUB_PREFIX = "hf-hub:"
BUNDLED = ("small",)
_SHA256_LETTERS = 64
_ARCHIVES = "https://openaipublic.azureedge.net/clip/models"


@dataclass(frozen=True, kw_only=True)
class Archive:
    """One of openai/CLIP's own weight files, whose SHA-256 is part of its address (openai/CLIP, clip/clip.py)."""

    file: str
    sha256: str

    @property
    def url(self) -> str:
        return f"{_ARCHIVES}/{self.sha256}/{self.file}"


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A known checkpoint: its repository on the hub, what it may be used for, what it was trained on."""

    repository: str
    licence: str
    training_data: str
    preset: str
    archive: Archive | None = None


def _openai(preset: str, repository: str, file: str, digest: str) -> Pretrained:
    return Pretrained(
        repository=f"timm/{repository}.openai",
        licence="MIT",
        training_data="WebImageText, 400 million pairs (not published)",
        preset=preset,
        archive=Archive(file=file, sha256=digest),
    )


def _laion(preset: str, repository: str, data: str) -> Pretrained:
    return Pretrained(repository=f"laion/{repository}", licence="MIT", training_data=data, preset=preset)


# The hub's copies of OpenAI's weights are in OpenCLIP's form; the archives are the originals.
PRETRAINED: dict[str, Pretrained] = {
    "openai/RN50": _openai(
        "RN50", "resnet50_clip", "RN50.pt", "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"
    ),
    "openai/RN101": _openai(
        "RN101", "resnet101_clip", "RN101.pt", "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599"
    ),
    "openai/RN50x4": _openai(
        "RN50x4", "resnet50x4_clip", "RN50x4.pt", "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd"
    ),
    "openai/RN50x16": _openai(
        "RN50x16", "resnet50x16_clip", "RN50x16.pt", "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa"
    ),
    "openai/RN50x64": _openai(
        "RN50x64", "resnet50x64_clip", "RN50x64.pt", "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c"
    ),
    "openai/ViT-B-32": _openai(
        "ViT-B-32",
        "vit_base_patch32_clip_224",
        "ViT-B-32.pt",
        "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    ),
    "openai/ViT-B-16": _openai(
        "ViT-B-16",
        "vit_base_patch16_clip_224",
        "ViT-B-16.pt",
        "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
    ),
    "openai/ViT-L-14": _openai(
        "ViT-L-14",
        "vit_large_patch14_clip_224",
        "ViT-L-14.pt",
        "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
    ),
    "openai/ViT-L-14-336": _openai(
        "ViT-L-14-336",
        "vit_large_patch14_clip_336",
        "ViT-L-14-336px.pt",
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
    ),
    "laion/ViT-B-32-laion2b": _laion("ViT-B-32", "CLIP-ViT-B-32-laion2B-s34B-b79K", "LAION-2B (English)"),
    "laion/ViT-B-16-laion2b": _laion("ViT-B-16", "CLIP-ViT-B-16-laion2B-s34B-b88K", "LAION-2B (English)"),
    "laion/ViT-L-14-laion2b": _laion("ViT-L-14", "CLIP-ViT-L-14-laion2B-s32B-b82K", "LAION-2B (English)"),
    "laion/ViT-B-32-datacomp": _laion("ViT-B-32", "CLIP-ViT-B-32-DataComp.XL-s13B-b90K", "DataComp-1B"),
    "laion/ViT-B-16-datacomp": _laion("ViT-B-16", "CLIP-ViT-B-16-DataComp.XL-s13B-b90K", "DataComp-1B"),
    "laion/ViT-L-14-datacomp": _laion("ViT-L-14", "CLIP-ViT-L-14-DataComp.XL-s13B-b90K", "DataComp-1B"),
}


def locate(name: str, *, archives: Path | None = None) -> tuple[Path, Provenance]:
    """A local path for a name or a path, downloading where need be, and what is known of where the weights come from.

    `archives` is where OpenAI's own files are kept, by default the cache folder. CheckpointError says which file was
    wanted, and how to go on without a network.
    """
    if name in BUNDLED:
        return Path(str(package_files("fullclip").joinpath("assets", name))), Provenance()
    if name in PRETRAINED:
        known = PRETRAINED[name]
        path, digest = _fetch_known(name, known, archives or cache_folder())
        return path, Provenance(source=name, licence=known.licence, training_data=known.training_data, sha256=digest)
    if name.startswith(HUB_PREFIX):
        path, digest = _fetch_repository(name.removeprefix(HUB_PREFIX))
        return path, Provenance(source=name, sha256=digest)
    if not name or (not Path(name).exists() and not name.startswith((".", "/", "~"))):
        raise CheckpointError(f"no model, file or folder named {name!r}{nearest(name, [*BUNDLED, *PRETRAINED])}")
    return Path(name).expanduser(), Provenance()


def _fetch_known(name: str, known: Pretrained, archives: Path) -> tuple[Path, str]:
    """OpenAI's nine come from the archive where the hub cannot be reached; either way the bytes are checked."""
    if known.archive is None:
        return _fetch_repository(known.repository)
    path = archives / known.archive.file
    if path.is_file():
        return path, _checked(path, known.archive.sha256, said="expected")
    try:
        return _fetch_repository(known.repository)
    except CheckpointError as error:
        try:
            _fetch_archive(known.archive, path)
        except OSError as second:  # URLError is one
            raise CheckpointError(
                f"{name}: {error}; nor could {known.archive.url} be fetched ({_reason(second)}): put that file at {path},"
                " or give its path in place of the name"
            ) from None
    return path, known.archive.sha256


def _fetch_archive(archive: Archive, path: Path) -> None:
    with urllib.request.urlopen(archive.url, timeout=30) as response, atomic_file(path) as file:
        while block := response.read(1 << 20):
            file.write(block)
    _checked(path, archive.sha256, said="expected")


def _checked(path: Path, expected: str | None, *, said: str) -> str:
    """A file's SHA-256; CheckpointError where another is known."""
    found = sha256(path)
    if expected not in (None, found):
        raise CheckpointError(f"{path}: its SHA-256 is {found}, {said} {expected}: remove the file and fetch it again")
    return found


def _fetch_repository(repository: str) -> tuple[Path, str]:
    """A repository's config, weights and tokenizer into the hub's cache; the weights are checked against the hub's hash."""
    from huggingface_hub import HfApi

    wanted = "its config and weights"
    try:
        info = HfApi().model_info(repository, files_metadata=True)
        files = {file.rfilename: file for file in info.siblings or []}
        wanted = _weights_among(files, repository)
        folder = _download(repository, [wanted, *_small_files_among(files)], revision=info.sha)
        remote = files[wanted].lfs
        return folder, _checked(folder / wanted, remote and remote.sha256, said="the hub says")
    except CheckpointError:
        raise
    except Exception as error:  # huggingface_hub lets the errors of its HTTP library through, which it has changed twice
        cached = _cached(repository)
        if cached:
            return cached
        raise CheckpointError(
            f"could not fetch {wanted} of https://huggingface.co/{repository} ({_reason(error)}); without a network, give"
            " the path of a folder or weight file in place of the name, or set HF_ENDPOINT to a mirror"
        ) from None


_SMALL_FILES = (
    CONFIG_NAME,
    TOKENIZER_NAME,
    openclip.CONFIG_NAME,
    hugging_face.CONFIG_NAME,
    hugging_face.PREPROCESSOR_NAME,
    hugging_face.PROCESSOR_NAME,
)


def _small_files_among(files: Iterable[str]) -> list[str]:
    return [name for name in _SMALL_FILES if name in files]


def _weights_among(files: Iterable[str], repository: str) -> str:
    """The weight file that goes with the config which our readers prefer."""
    if CONFIG_NAME in files:
        names: tuple[str, ...] = (WEIGHTS_NAME,)
    elif openclip.CONFIG_NAME in files:
        names = openclip.WEIGHT_NAMES
    else:
        names = hugging_face.WEIGHT_NAMES
    for name in names:
        if name in files:
            return name
    raise CheckpointError(f"https://huggingface.co/{repository} has no weights of a CLIP (looked for {', '.join(names)})")


def _download(repository: str, names: list[str], *, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    paths = [Path(hf_hub_download(repository, name, revision=revision)) for name in names]
    return paths[0].parent


def _cached(repository: str) -> tuple[Path, str] | None:
    """What an earlier download left in the hub's cache, where the hub cannot be asked."""
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return None
    for cached in repositories:
        if cached.repo_id == repository and cached.repo_type == "model":
            newest = max(cached.revisions, key=lambda revision: revision.last_modified)
            names = [file.file_name for file in newest.files]
            try:
                weights = newest.snapshot_path / _weights_among(names, repository)
            except CheckpointError:  # an earlier download was interrupted
                return None
            stored = weights.resolve().name  # the cache names large files by their hash
            expected = stored if len(stored) == _SHA256_LETTERS else None
            return newest.snapshot_path, _checked(weights, expected, said="the hub says")
    return None


def _reason(error: Any) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:160]}"
