"""Checkpoints out and in again in every format and precision; what is foreign, broken or hostile is refused, not run."""

import io
import json
import os
import pickle
import random
import re
import shutil
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import peers
from fullclip.models.checkpoint import Checkpoint, CheckpointError, Provenance
from fullclip.models.clip import build, initialize
from fullclip.models.config import ClipConfig, ResNetConfig, TextConfig, VitConfig
from fullclip.models.keymaps import from_openai, to_openai
from fullclip.models.weights import read_checkpoint, to_module
from fullclip.models.writing import write_checkpoint
from fullclip.preprocess.image import PreprocessConfig, eval_transform
from fullclip.preprocess.tokenizer import Tokenizer
from tiny import NARROW
from vocabularies import write_vocabulary

TEXT = TextConfig(context_length=16, vocab_size=99, width=64, layers=2, heads=1, mlp_width=256, end_id=98)
VIT = ClipConfig(
    embed=48, vision=VitConfig(image_size=32, patch_size=8, width=128, layers=2, heads=2, mlp_width=512), text=TEXT
)
RESNET = ClipConfig(embed=48, vision=ResNetConfig(image_size=64, blocks=(1, 2, 1, 1), width=8, heads=4), text=TEXT)
GELU = replace(VIT, vision=replace(VIT.vision, activation="gelu"), text=replace(TEXT, activation="gelu"))
BIASED = replace(VIT, logit_bias=-10.0)
LITE = ClipConfig(embed=48, vision=NARROW, text=replace(TEXT, activation="gelu"))


@cache
def checkpoint(config: ClipConfig = VIT, *, dtype: torch.dtype = torch.float32) -> Checkpoint:
    model = build(config)
    initialize(model, torch.Generator().manual_seed(0))
    state = peers.perturbed(model, seed=1).state_dict()
    return Checkpoint(
        config=config,
        state={name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()},
        preprocess=PreprocessConfig(size=config.vision.image_size),
        provenance=Provenance(source="a test", licence="MIT", training_data="none", sha256="00", note="random"),
    )


def assert_same(found: Checkpoint, expected: Checkpoint) -> None:
    """Shapes, precisions and every bit of the weights."""
    assert found.config == expected.config
    assert found.state.keys() == expected.state.keys()
    for name, tensor in expected.state.items():
        assert found.state[name].dtype == tensor.dtype, name
        assert torch.equal(found.state[name], tensor), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(
    ("form", "config"),
    [
        ("fullclip", VIT),
        ("fullclip", RESNET),
        ("fullclip", BIASED),
        ("fullclip", LITE),
        ("openclip", VIT),
        ("openclip", GELU),
        ("openclip", RESNET),
        ("openclip", BIASED),
        ("hf", VIT),
        ("hf", GELU),
    ],
)
def test_round_trip(tmp_path, form, config, dtype):
    written = checkpoint(config, dtype=dtype)
    write_checkpoint(written, tmp_path / "model", tokenizer=None, form=form)
    read = read_checkpoint(tmp_path / "model")
    assert_same(read, written)
    assert replace(read.preprocess, rgb_first=False) == written.preprocess
    if form == "fullclip":
        assert read == replace(written, state=read.state)
    images = peers.pictures(2, config.vision.image_size)
    assert torch.equal(to_module(read).encode_image(images), to_module(written).encode_image(images))


@pytest.mark.parametrize("preprocess", [
    PreprocessConfig(size=32, mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3)),
    PreprocessConfig(size=32, interpolation="bilinear", resize="squash"),
])  # fmt: skip
@pytest.mark.parametrize("form", ["fullclip", "openclip", "hf"])
def test_preprocessing_is_kept(tmp_path, form, preprocess):
    write_checkpoint(replace(checkpoint(), preprocess=preprocess), tmp_path / "m", tokenizer=None, form=form)
    found = read_checkpoint(tmp_path / "m").preprocess
    assert found == replace(preprocess, rgb_first=form == "hf")


@pytest.mark.parametrize("config", [RESNET, BIASED], ids=["resnet", "bias"])
def test_hugging_face_has_no_word_for_it(tmp_path, config):
    with pytest.raises(CheckpointError, match=r"transformers' CLIPModel has .*--format openclip"):
        write_checkpoint(checkpoint(config), tmp_path / "m", tokenizer=None, form="hf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["openclip", "hf"])
def test_an_efficientnet_goes_into_our_own_folders_only(tmp_path, form):
    """Also with a vocabulary of its own, for which OpenCLIP's folders have no place either."""
    own = Tokenizer.from_file(write_vocabulary(tmp_path / "own.json", merges=20), context_length=12)
    for tokenizer in (None, own):
        with pytest.raises(CheckpointError, match=r"has no .*efficientnet.*; write --format fullclip instead"):
            write_checkpoint(checkpoint(LITE), tmp_path / "m", tokenizer=tokenizer, form=form)
    assert [path.name for path in tmp_path.iterdir()] == ["own.json"]


def test_openclip_has_no_word_for_it(tmp_path):
    mixed = replace(VIT, text=replace(TEXT, activation="gelu"))
    with pytest.raises(CheckpointError, match="one activation for both"):
        write_checkpoint(checkpoint(mixed), tmp_path / "m", tokenizer=None, form="openclip")


@pytest.mark.parametrize("config", [VIT, RESNET, BIASED], ids=["vit", "resnet", "bias"])
def test_names_in_an_openclip_folder(tmp_path, config):
    """Those of its class `CLIP`, which are openai/CLIP's; with a bias those of its `CustomTextCLIP`, and the config says so."""
    write_checkpoint(checkpoint(config), tmp_path / "m", tokenizer=None, form="openclip")
    names = set(load_file(tmp_path / "m/open_clip_model.safetensors"))
    model = json.loads((tmp_path / "m/open_clip_config.json").read_text())["model_cfg"]
    if config is BIASED:
        assert model["custom_text"] is True
        assert {"text.positional_embedding", "text.transformer.resblocks.0.attn.in_proj_weight", "logit_bias"} <= names
    else:
        assert "custom_text" not in model
        assert names == set(peers.openai_model("resnet" if config is RESNET else "vit").state_dict())


def test_who_may_read_the_folder_may_read_the_weights(tmp_path):
    before = os.umask(0o027)
    try:
        write_checkpoint(checkpoint(), tmp_path / "model", tokenizer=None)
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "model").iterdir()} == {0o640}


def test_an_older_folder_is_replaced_whole(tmp_path):
    write_checkpoint(checkpoint(RESNET), tmp_path / "m", tokenizer=Tokenizer.clip())
    write_checkpoint(checkpoint(VIT), tmp_path / "m", tokenizer=None)
    assert_same(read_checkpoint(tmp_path / "m"), checkpoint(VIT))
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
    assert not (tmp_path / "m/tokenizer.json").exists()


def archived(model: torch.nn.Module, kind: str, path: Path) -> dict[str, torch.Tensor]:
    """An archive as OpenAI published them, traced and with three sizes as tensors, at `path`; its weights by our names."""
    expected = {name: tensor.clone() for name, tensor in from_openai(model.state_dict()).items()}
    side, length, size = peers.OPENAI_SHAPES[kind]["image_resolution"], model.context_length, model.vocab_size
    del model.context_length, model.vocab_size
    model.visual.__dict__.pop("input_resolution")
    for name, value in (("input_resolution", side), ("context_length", length), ("vocab_size", size)):
        model.register_buffer(name, torch.tensor(value))
    images, tokens = peers.pictures(2, side), peers.texts(2, context_length=length, vocab_size=size)
    methods = {"encode_image": (images,), "encode_text": (tokens,), "forward": (images, tokens)}
    torch.jit.save(torch.jit.trace_module(model, methods, check_trace=False), str(path))
    return expected


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_openai_archive(tmp_path, monkeypatch, kind, half):
    model = peers.openai_model(kind)
    if half:
        peers.openai_module("model").convert_weights(model)
    expected = archived(model, kind, tmp_path / "archive.pt")

    def refuse(*_, **__):
        raise AssertionError("the archive's code was loaded")

    monkeypatch.setattr(torch.jit, "load", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    found = read_checkpoint(tmp_path / "archive.pt")
    assert_same(found, replace(found, config={"vit": VIT, "resnet": RESNET}[kind], state=expected))
    assert {tensor.dtype for tensor in expected.values() if tensor.ndim == 4} == {torch.half if half else torch.float}
    assert found.preprocess == PreprocessConfig(size=found.config.vision.image_size)


@pytest.mark.parametrize("config", [VIT, RESNET], ids=["vit", "resnet"])
def test_state_dict_of_openai(tmp_path, config):
    torch.save(to_openai(checkpoint(config).state), tmp_path / "weights.pt")
    assert_same(read_checkpoint(tmp_path / "weights.pt"), checkpoint(config))


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("custom", [False, True])
def test_training_checkpoint_of_openclip(tmp_path, prefix, custom):
    state = checkpoint(GELU).state if custom else to_openai(checkpoint(GELU).state)
    wrapped = {f"{prefix}{name}": tensor for name, tensor in state.items()}
    torch.save({"epoch": 3, "name": "run", "state_dict": wrapped, "optimizer": {"state": {}}}, tmp_path / "epoch_3.pt")
    with pytest.raises(CheckpointError, match=r"epoch_3.pt: .*GELU or QuickGELU.*--activation gelu"):
        read_checkpoint(tmp_path / "epoch_3.pt")
    assert_same(read_checkpoint(tmp_path / "epoch_3.pt", activation="gelu"), checkpoint(GELU))


def test_a_lone_file_of_openclip_does_not_say_its_activation(tmp_path):
    save_file(to_openai(checkpoint(GELU).state), tmp_path / "open_clip_model.safetensors")
    with pytest.raises(CheckpointError, match="do not say whether they were trained with GELU or QuickGELU"):
        read_checkpoint(tmp_path / "open_clip_model.safetensors")
    for activation, config in (("gelu", GELU), ("quick_gelu", VIT)):
        assert read_checkpoint(tmp_path / "open_clip_model.safetensors", activation=activation).config == config


def test_a_file_with_its_config_beside_it(tmp_path):
    for form, name in (
        ("fullclip", "model.safetensors"),
        ("openclip", "open_clip_model.safetensors"),
        ("hf", "model.safetensors"),
    ):
        write_checkpoint(checkpoint(GELU), tmp_path / form, tokenizer=None, form=form)
        assert_same(read_checkpoint(tmp_path / form / name), checkpoint(GELU))


# Folders of other projects


def changed(path: Path, change) -> None:
    """Rewrite a JSON file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "name", ["open_clip_pytorch_model.bin", "open_clip_pytorch_model.safetensors", "pytorch_model.bin", "model.pth"]
)
def test_weight_files_of_openclip(tmp_path, name):
    write_checkpoint(checkpoint(GELU), tmp_path / "m", tokenizer=None, form="openclip")
    path = tmp_path / "m/open_clip_model.safetensors"
    if name.endswith("safetensors"):
        path.rename(path.with_name(name))
    else:
        torch.save(load_file(path), path.with_name(name))
        path.unlink()
    assert_same(read_checkpoint(tmp_path / "m"), checkpoint(GELU))


UNKNOWN_OF_OPENCLIP = {
    "timm tower": lambda c: c["vision_cfg"].update(timm_model_name="vit_base"),
    "pooling": lambda c: c["vision_cfg"].update(pool_type="avg"),
    "text model": lambda c: c["text_cfg"].update(hf_model_name="roberta-base"),
    "text pooling": lambda c: c["text_cfg"].update(pool_type="last"),
    "class token": lambda c: c["text_cfg"].update(embed_cls=True),
    "coca": lambda c: c.update(multimodal_cfg={"width": 64}),
    "layer scale": lambda c: c["vision_cfg"].update(ls_init_value=0.1),
    "no embedding": lambda c: c.pop("embed_dim"),
    "no patches": lambda c: c["vision_cfg"].pop("patch_size"),
    "not square": lambda c: c["vision_cfg"].update(image_size=[32, 64]),
    "something new": lambda c: c.update(brand_new=1),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN_OF_OPENCLIP)
def test_architectures_that_only_openclip_has(tmp_path, name):
    write_checkpoint(checkpoint(), tmp_path / "m", tokenizer=None, form="openclip")
    changed(tmp_path / "m/open_clip_config.json", lambda content: UNKNOWN_OF_OPENCLIP[name](content["model_cfg"]))
    with pytest.raises(CheckpointError, match=re.escape(str(tmp_path / "m"))) as found:
        read_checkpoint(tmp_path / "m")
    assert "\n" not in str(found.value)


UNKNOWN_OF_TRANSFORMERS = {
    "another model": lambda c: c.update(model_type="siglip"),
    "activation": lambda c: c["text_config"].update(hidden_act="relu"),
    "norm": lambda c: c["vision_config"].update(layer_norm_eps=1e-6),
    "channels": lambda c: c["vision_config"].update(num_channels=1),
}


@pytest.mark.parametrize("name", UNKNOWN_OF_TRANSFORMERS)
def test_models_that_only_transformers_has(tmp_path, name):
    write_checkpoint(checkpoint(), tmp_path / "m", tokenizer=None, form="hf")
    changed(tmp_path / "m/config.json", UNKNOWN_OF_TRANSFORMERS[name])
    with pytest.raises(CheckpointError, match=re.escape(str(tmp_path / "m"))):
        read_checkpoint(tmp_path / "m")


def test_hugging_face_folder_of_2021(tmp_path):
    """It says that the end is id 2 and means the largest; it may have its weights in a pickle, and its sizes as numbers."""
    write_checkpoint(checkpoint(), tmp_path / "m", tokenizer=None, form="hf")
    weights = tmp_path / "m/model.safetensors"
    positions = {f"{tower}_model.embeddings.position_ids": torch.arange(5)[None] for tower in ("text", "vision")}
    torch.save(load_file(weights) | positions, tmp_path / "m/pytorch_model.bin")
    weights.unlink()
    changed(tmp_path / "m/config.json", lambda c: c["text_config"].update(eos_token_id=2, bos_token_id=0, pad_token_id=1))
    changed(tmp_path / "m/preprocessor_config.json", lambda c: c.update(size=32, crop_size=32))
    assert_same(read_checkpoint(tmp_path / "m"), checkpoint())


@pytest.mark.parity
@pytest.mark.parametrize("config", [VIT, GELU], ids=["quick_gelu", "gelu"])
def test_transformers_opens_our_folder(tmp_path, config):
    transformers = pytest.importorskip("transformers")
    written = checkpoint(config)
    write_checkpoint(written, tmp_path / "m", tokenizer=Tokenizer.clip(context_length=16), form="hf")
    theirs, report = transformers.CLIPModel.from_pretrained(tmp_path / "m", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    ours = to_module(written)
    images, tokens = peers.pictures(4, 32), peers.texts(4, context_length=16, vocab_size=99)
    found = theirs.eval()(pixel_values=images, input_ids=tokens)
    features = ours(images, tokens)
    assert torch.allclose(found.image_embeds, features.image, atol=1e-6)
    assert torch.allclose(found.text_embeds, features.text, atol=1e-6)
    assert torch.allclose(found.logits_per_image, features.scale * features.image @ features.text.T, atol=1e-4)


@pytest.mark.parity
def test_transformers_reads_our_tokenizer_and_preprocessing(tmp_path):
    transformers = pytest.importorskip("transformers")
    tokenizer, preprocess = Tokenizer.clip(), PreprocessConfig(size=32, mean=(0.5, 0.4, 0.3), rgb_first=True)
    write_checkpoint(replace(checkpoint(), preprocess=preprocess), tmp_path / "m", tokenizer=tokenizer, form="hf")
    theirs = transformers.CLIPProcessor.from_pretrained(tmp_path / "m")

    texts = ["a photo of a dog", "It's 42 cats, isn't it?", "schöne Grüße", "", "狗 😀", "A  Diagram"]
    for text, row in zip(texts, tokenizer(texts).tolist(), strict=True):
        assert theirs.tokenizer(text)["input_ids"] == row[: row.index(tokenizer.end_id) + 1]
    padded = theirs.tokenizer(texts, padding="max_length", truncation=True)["input_ids"]
    assert all(len(row) == 77 and row[-1] == tokenizer.end_id for row in padded)

    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 40, 3)).astype(np.uint8))
    pixels = np.asarray(theirs.image_processor(image)["pixel_values"][0])
    expected = eval_transform(preprocess)(image).numpy()
    # Where torchvision is installed theirs resizes tensors, which rounds elsewhere: by one level of 255 at most.
    assert np.abs(pixels - expected).max() < 1.01 / 255 / min(preprocess.std)


# Weights that do not fit


def test_weights_that_do_not_fit_are_listed():
    whole = checkpoint()
    state = dict(whole.state)
    state["visual.prjo"] = state.pop("visual.proj")
    state["text.text_projection"] = state["text.text_projection"][:, :7]
    with pytest.raises(CheckpointError) as found:
        to_module(replace(whole, state=state))
    message = str(found.value)
    assert message.startswith("a test: ")
    for part in (
        "visual.proj is missing",
        "visual.prjo is left over; did you mean 'visual.proj'?",
        "is [64, 7], the config says [64, 48]",
    ):
        assert part in message


def test_many_wrong_weights_are_counted():
    with pytest.raises(CheckpointError, match=r"\(and \d+ more\)"):
        to_module(replace(checkpoint(), state={}))


def test_a_missing_counter_of_batch_norm_is_zero():
    whole = checkpoint(RESNET)
    state = {name: tensor for name, tensor in whole.state.items() if not name.endswith("num_batches_tracked")}
    assert len(state) < len(whole.state)
    images = peers.pictures(2, 64)
    assert torch.equal(to_module(replace(whole, state=state)).encode_image(images), to_module(whole).encode_image(images))


def test_a_model_is_ready_for_evaluation_and_for_training():
    model = to_module(checkpoint(dtype=torch.bfloat16))
    assert not model.training
    assert all(parameter.requires_grad and parameter.dtype == torch.float32 for parameter in model.parameters())


# Files that are broken or mean harm


def refused(path: Path, match: str | None = None) -> None:
    with pytest.raises(CheckpointError, match=match) as found:
        read_checkpoint(path, activation="gelu")
    assert str(path) in str(found.value)
    assert "\n" not in str(found.value)
    assert "TypeCheckError" not in str(found.value)  # which only tests would have raised


class Harm:
    def __init__(self, sentinel: Path) -> None:
        self.sentinel = sentinel

    def __reduce__(self):
        return (os.system, (f"touch {self.sentinel}",))


@pytest.mark.parametrize("name", ["model.pt", "open_clip_pytorch_model.bin", "weights.pth"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_calls_the_shell(tmp_path, name, zipped):
    sentinel = tmp_path / "was_run"
    torch.save({"weight": torch.ones(3), "harm": Harm(sentinel)}, tmp_path / name, _use_new_zipfile_serialization=zipped)
    refused(tmp_path / name, "refused, its pickle holds more than tensors")
    assert not sentinel.exists()
    torch.load(tmp_path / name, weights_only=False)
    assert sentinel.exists()  # so that the file would indeed have done it


# The opcodes of a TorchScript pickle, put together by hand.


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def plain(value: object) -> bytes:
    return pickle.dumps(value, protocol=2)[2:-1]


def storage(numel: object, *, kind: str = "FloatStorage", key: str = "0") -> bytes:
    return b"(" + plain("storage") + named("torch", kind) + plain(key) + plain("cpu") + plain(numel) + b"tQ"


def tensor(stored: bytes, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    layout = plain(offset) + plain(size) + plain(stride) + plain(False) + named("collections", "OrderedDict") + b")R"
    return named("torch._utils", "_rebuild_tensor_v2") + b"(" + stored + layout + b"tR"


def module(attributes: dict[str, bytes]) -> bytes:
    pairs = b"".join(plain(name) + value for name, value in attributes.items())
    return named("__torch__.clip", "Module") + b")\x81}(" + pairs + b"ub"


def torchscript(path: Path, root: bytes, *, stored: bytes = bytes(24), compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + root + b".")
        archive.writestr("archive/constants.pkl", b"\x80\x02).")
        archive.writestr("archive/data/0", stored)
    return path


GOOD = tensor(storage(6), (2, 3), (3, 1))


def test_an_archive_made_by_hand_is_read(tmp_path):
    """Its only weight is found, as the complaint about the others shows: what is refused below is refused for its harm."""
    stored = torch.arange(6.0).numpy().tobytes()
    refused(torchscript(tmp_path / "a.pt", module({"logit_scale": GOOD}), stored=stored), "no weights of a CLIP: 'visual")
    from fullclip.models.pickles import read_pickled

    found, _ = read_pickled(tmp_path / "a.pt")
    assert found["logit_scale"].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("where", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("subprocess", "Popen"),
        ("torch", "load"),
        ("torch.jit._pickle", "restore_type_tag"),
        ("collections", "OrderedDict.fromkeys"),
        ("fullclip.models.pickles", "Path"),
        ("torch._utils", "_rebuild_parameter"),
    ],
)
@pytest.mark.parametrize("as_attribute", [True, False])
def test_an_archive_that_calls_something(tmp_path, where, name, as_attribute):
    sentinel = tmp_path / "was_run"
    argument = f"open({str(sentinel)!r}, 'w')" if name == "eval" else f"touch {sentinel}"
    call = named(where, name) + b"(" + plain(argument) + b"tR"
    root = module({"logit_scale": GOOD, "harm": call}) if as_attribute else call
    refused(torchscript(tmp_path / "a.pt", root), f"refused: its pickle asks for {re.escape(where)}.{name}")
    assert not sentinel.exists()


BAD_TENSORS = {
    "storage shorter than announced": tensor(storage(7), (2, 3), (3, 1)),
    "storage longer than announced": tensor(storage(5), (2, 2), (2, 1)),
    "storage of another type": tensor(storage(6, kind="DoubleStorage"), (2, 3), (3, 1)),
    "storage that is not there": tensor(storage(6, key="1"), (2, 3), (3, 1)),
    "storage outside of the archive": tensor(storage(6, key="../../../etc/passwd"), (2, 3), (3, 1)),
    "storage of no number": tensor(storage("6"), (2, 3), (3, 1)),
    "negative storage": tensor(storage(-6), (2, 3), (3, 1)),
    "size past the end": tensor(storage(6), (3, 3), (3, 1)),
    "stride past the end": tensor(storage(6), (2, 3), (1000, 1)),
    "offset past the end": tensor(storage(6), (2, 3), (3, 1), offset=1),
    "negative offset": tensor(storage(6), (2, 3), (3, 1), offset=-1),
    "negative size": tensor(storage(6), (-2, 3), (3, 1)),
    "negative stride": tensor(storage(6), (2, 3), (-3, 1)),
    "one number repeated to fill the memory": tensor(storage(6), (1 << 40,), (0,)),
    "overflowing size": tensor(storage(6), (1 << 62, 1 << 62), (0, 0)),
    "no tensor": named("torch._utils", "_rebuild_tensor_v2") + b"(" + plain("x") + b"tR",
}


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_an_archive_with_an_impossible_tensor(tmp_path, name):
    refused(torchscript(tmp_path / "a.pt", module({"logit_scale": BAD_TENSORS[name]})), "(?!.*no weights of a CLIP)")


def test_an_archive_that_repeats_a_number(tmp_path):
    """By a stride of 0 a few bytes would fill any memory."""
    repeated = module({"logit_scale": tensor(storage(6), (7,), (0,))})
    refused(torchscript(tmp_path / "a.pt", repeated), r"refused: a tensor of shape \[7\] in a storage of 6")


def test_an_archive_that_repeats_a_storage(tmp_path):
    """A thousand tensors of one storage would fill the memory more slowly."""
    repeated = module({f"w{i}": tensor(storage(10_000), (10_000,), (1,)) for i in range(100)})
    refused(torchscript(tmp_path / "a.pt", repeated, stored=bytes(40_000)), "its tensors are together larger than the archive")


def test_an_archive_with_compressed_storages(tmp_path):
    """A few bytes would unpack to any size."""
    refused(torchscript(tmp_path / "a.pt", module({"w": GOOD}), compression=zipfile.ZIP_DEFLATED), "storage 0")


def test_an_archive_whose_pickle_unpacks_without_end(tmp_path):
    bomb = plain("x" * (65 << 20))
    refused(torchscript(tmp_path / "a.pt", bomb, compression=zipfile.ZIP_DEFLATED), "refused: a pickle of 68,")


def test_an_archive_whose_modules_hold_themselves(tmp_path):
    itself = named("__torch__", "M") + b")\x81q\xc8}(" + plain("logit_scale") + GOOD + plain("child") + b"h\xc8ub"
    refused(torchscript(tmp_path / "a.pt", itself), "no weights of a CLIP: 'visual")


def test_an_archive_of_very_deep_modules(tmp_path):
    depth, opening = 20_000, named("__torch__", "M") + b")\x81}(" + plain("child")
    refused(torchscript(tmp_path / "a.pt", opening * depth + GOOD + b"ub" * depth))


NO_CHECKPOINTS = {
    "no module": (b")", "without a module"),
    "no weights": (module({"training": plain(True)}), "without weights"),
    "attributes that are no dictionary": (
        named("__torch__", "M") + b")\x81" + plain([1]) + b"b",
        "attributes are no dictionary",
    ),
    "torn pickle": (b"(((", "cannot be read|refused"),
    "no pickle": (b"\xff\xfe", "cannot be read|refused"),
}


@pytest.mark.parametrize("name", NO_CHECKPOINTS)
def test_an_archive_that_is_none(tmp_path, name):
    root, message = NO_CHECKPOINTS[name]
    refused(torchscript(tmp_path / "a.pt", root), message)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4)])
@pytest.mark.parametrize(
    "name", ["visual.conv1.weight", "visual.positional_embedding", "text_projection", "token_embedding.weight"]
)
def test_known_names_of_strange_shapes(tmp_path, name, shape):
    torch.save(to_openai(checkpoint().state) | {name: torch.ones(shape)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a.pt"):
        to_module(read_checkpoint(tmp_path / "a.pt"))


def test_widths_that_openai_never_had(tmp_path):
    """Without a config the heads are 64 wide; a narrower tower cannot be split so."""
    narrow = replace(VIT, text=replace(TEXT, width=32, mlp_width=128))
    torch.save(to_openai(checkpoint(narrow).state), tmp_path / "a.pt")
    refused(tmp_path / "a.pt", "32")


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".safetensors"])
def test_broken_files(tmp_path, suffix):
    path, source, chance = tmp_path / f"a{suffix}", tmp_path / "source", random.Random(0)
    if suffix == ".safetensors":
        save_file({"a": torch.ones(20)}, source)
    else:
        torch.save({"a": torch.ones(20)}, source)
    whole = source.read_bytes()
    files = [b"", b"x", b"PK\x03\x04", b"\x80\x02", bytes(100), chance.randbytes(1000), b'{"model": 1}']
    files += [whole[:length] for length in (7, 8, 30, len(whole) // 2, len(whole) - 1)]
    for content in files:
        path.write_bytes(content)
        refused(path)


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": 1}, {"state_dict": {}}, {"state_dict": {"a": "b"}}, torch.ones(3)])
def test_pickles_without_weights(tmp_path, content):
    torch.save(content, tmp_path / "a.pt")
    refused(tmp_path / "a.pt", "holds no weights")


def test_other_zip_files(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(tmp_path / "a.pt", "cannot be read|refused")


def test_damaged_archives_are_refused_or_read(tmp_path):
    """Random bytes overwritten: either one CheckpointError, or a file that still makes sense. Nothing else."""
    good, chance = io.BytesIO(torchscript(tmp_path / "a.pt", module({"w": GOOD})).read_bytes()).getvalue(), random.Random(1)
    for _ in range(150):
        damaged = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        (tmp_path / "a.pt").write_bytes(damaged)
        refused(tmp_path / "a.pt")


def settings(change):
    """A change of the settings in our own folder."""
    return lambda folder: changed(folder / "fullclip.json", change)


FOLDERS = {
    "no file": (shutil.rmtree, "no such file or folder"),
    "no config": (lambda folder: (folder / "fullclip.json").unlink(), "none of fullclip.json, open_clip_config.json"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors: the weights are missing"),
    "no json": (lambda folder: (folder / "fullclip.json").write_text("{"), "fullclip.json: not JSON"),
    "no text": (lambda folder: (folder / "fullclip.json").write_bytes(b"\xff\xfe\x00"), "fullclip.json: not JSON"),
    "a list": (lambda folder: (folder / "fullclip.json").write_text("[]"), "expected an object, got a list"),
    "no model": (settings(lambda content: content.pop("model")), "model: this setting is missing"),
    "unknown setting": (settings(lambda content: content["model"].update(embedd=1)), "model.embedd: no such setting"),
    "wrong type": (settings(lambda content: content["model"].update(embed="x")), "model.embed"),
    "wrong tower": (settings(lambda content: content["model"]["vision"].update(kind="mlp")), "model.vision"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_broken_folders(tmp_path, name):
    write_checkpoint(checkpoint(), tmp_path / "m", tokenizer=None)
    change, message = FOLDERS[name]
    change(tmp_path / "m")
    refused(tmp_path / "m", message)


def test_an_activation_that_the_config_contradicts_is_refused(tmp_path):
    write_checkpoint(checkpoint(), tmp_path / "m", tokenizer=None)
    found = read_checkpoint(tmp_path / "m").config.text.activation
    other = "gelu" if found == "quick_gelu" else "quick_gelu"
    with pytest.raises(CheckpointError, match=f"its config says {found}, not {other}"):
        read_checkpoint(tmp_path / "m", activation=other)


@pytest.mark.parametrize("change", [{"version": 99}, {"surprise": 1}])
def test_a_folder_of_another_time_is_refused(tmp_path, change):
    write_checkpoint(checkpoint(), tmp_path / "m", tokenizer=None)
    path = tmp_path / "m/fullclip.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    refused(tmp_path / "m", "version 99|surprise: no such setting")


def test_an_archive_that_asks_for_a_memo_of_gigabytes(tmp_path):
    refused(torchscript(tmp_path / "a.pt", b"K\x01r\xf0\xff\xff\x7f"), "numbers an object")
