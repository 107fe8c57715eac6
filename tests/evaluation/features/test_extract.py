"""Features of a split: kept, gone on with, the same from any number of processes, and never another model's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import processes
from fullclip.core.distributed import World
from fullclip.evaluation.features import backbone as backbones
from fullclip.evaluation.features.backbone import Backbone, ClipBackbone, FunctionBackbone
from fullclip.evaluation.features.cache import CHUNK, FeatureCache
from fullclip.evaluation.features.extract import _owners, _portions, extract
from fullclip.evaluation.features.words import weights_of
from fullclip.evaluation.tasks.task import Example, Skipped
from fullclip.inference import Encoder
from fullclip.models.clip import cast_matrices
from fullclip.models.config import PRESETS
from fullclip.models.flops import image_flops
from fullclip.preprocess.image import PreprocessConfig
from fullclip.preprocess.tokenizer import Tokenizer
from fullclip.zeroshot.classifier import ZeroShotClassifier
from tasks import (
    Listed,
    as_extracted,
    bad_label_work,
    examples,
    extract_work,
    long_split,
    mean_backbone,
    own_cache_work,
    pixels,
    words_work,
)
from tiny import tiny_encoder

ALONE = World.single()


def same(first, second) -> bool:
    told = all(getattr(first, name) == getattr(second, name) for name in ("keys", "labels", "texts", "meta"))
    return told and np.array_equal(first.features, second.features)


def test_rows_belong_to_their_examples(tmp_path):
    split = long_split(40)
    found = extract(split, mean_backbone(), cache=tmp_path, world=ALONE, title="t")
    assert len(found) == 39
    for row, (key, labels, meta) in zip(found.features, zip(found.keys, found.labels, found.meta, strict=True), strict=True):
        example = split.examples[int(key[1:])]
        assert (labels, meta["i"]) == (example.labels, int(key[1:]))
        np.testing.assert_allclose(row, mean_backbone().features([example.image])[0][0])
    assert found.drops.counts == {"no label": 1}


def test_examples_come_in_one_order_whatever_order_and_names_the_set_has_them_in():
    straight = extract(long_split(), mean_backbone(), cache=None, world=ALONE, title="t")
    assert straight.keys != tuple(sorted(straight.keys, key=lambda key: int(key[1:])))
    shuffled = [long_split().examples[place] for place in np.random.default_rng(3).permutation(len(long_split()))]
    renamed = [replace(example, key=f"other/{example.key}") for example in shuffled]
    found = extract(Listed(renamed), mean_backbone(), cache=None, world=ALONE, title="t")
    assert found.keys == tuple(f"other/{key}" for key in straight.keys)
    assert (found.labels, found.meta) == (straight.labels, straight.meta)
    np.testing.assert_allclose(found.features, straight.features, atol=1e-6)


def test_a_picture_that_is_there_twice_comes_by_its_label():
    twice = [Example(key=f"{label}", image=pixels(0, 0), labels=(label,)) for label in (2, 0, 1)]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        found = extract(Listed([twice[i] for i in order]), mean_backbone(), cache=None, world=ALONE, title="t")
        assert found.keys == ("0", "1", "2")


def test_what_cannot_be_read_is_counted_by_name(tmp_path):
    found = extract(long_split(), mean_backbone(), cache=tmp_path, world=ALONE, title="t")
    assert found.drops.counts == {"no label": 1, "unreadable image": 1}
    assert found.drops.examples["unreadable image"][0].startswith("torn (")
    assert "torn" not in found.keys


def test_the_second_time_nothing_is_read(tmp_path):
    first = extract(long_split(), mean_backbone(), cache=tmp_path, world=ALONE, title="t")
    split = long_split()
    again = extract(split, mean_backbone(), cache=tmp_path, world=ALONE, title="t")
    assert same(first, again)
    assert first.drops == again.drops
    assert split.num_read == 0


def test_an_interrupted_pass_goes_on(tmp_path):
    class Stops(Listed):
        def read(self, places):
            if places.start >= CHUNK:
                raise KeyboardInterrupt
            yield from super().read(places)

    straight = extract(long_split(), mean_backbone(), cache=None, world=ALONE, title="t")
    with pytest.raises(KeyboardInterrupt):
        extract(Stops(long_split().examples), mean_backbone(), cache=tmp_path, world=ALONE, title="t")
    split = long_split()
    assert same(extract(split, mean_backbone(), cache=tmp_path, world=ALONE, title="t"), straight)
    assert split.num_read == len(split) - CHUNK


@pytest.mark.faults
@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 torn", "half", "one bit"])
def test_a_damaged_chunk_is_computed_again(tmp_path, damage):
    first = extract(long_split(), mean_backbone(), cache=tmp_path, world=ALONE, title="t")
    chunk = sorted(tmp_path.rglob("*.npz"))[1]
    content = bytearray(chunk.read_bytes())
    half = len(content) // 2
    content[half] ^= 1
    chunk.write_bytes({"half": content[:half], "one bit": content}.get(damage, damage))
    split = long_split()
    assert same(extract(split, mean_backbone(), cache=tmp_path, world=ALONE, title="t"), first)
    assert split.num_read == CHUNK
    assert FeatureCache(tmp_path, fingerprint="means", digest=split.digest()).read(1) is not None


def test_another_model_or_other_data_find_nothing_kept(tmp_path):
    extract(long_split(), mean_backbone(), cache=tmp_path, world=ALONE, title="t")
    for split, backbone in ((long_split(), mean_backbone("other")), (long_split(40), mean_backbone())):
        extract(split, backbone, cache=tmp_path, world=ALONE, title="t")
        assert split.num_read == len(split)


def marks(*encoders: Encoder) -> list[str]:
    return [ClipBackbone(encoder, name="any").fingerprint for encoder in encoders]


def test_the_fingerprint_follows_all_that_features_depend_on():
    plain = tiny_encoder()
    changed = [tiny_encoder() for _ in range(4)]
    changed[0].preprocess = replace(plain.preprocess, interpolation="bilinear")
    with torch.no_grad():
        changed[1].model.visual.proj[0, 0] += 1e-7
    cast_matrices(changed[2].model, torch.bfloat16)
    for block in changed[3].model.visual.transformer.resblocks:
        block.mlp.activation = "gelu"  # no weight tells
    assert len({*marks(plain, *changed)}) == 5
    assert marks(plain, tiny_encoder()) == marks(plain) * 2


def test_weights_are_read_only_where_features_are_kept(tmp_path, monkeypatch):
    def never(*_):
        raise AssertionError("weights were read")

    monkeypatch.setattr("fullclip.inference.encoder.fingerprint", never)
    monkeypatch.setattr(backbones, "_gflops", never)
    backbone = ClipBackbone(tiny_encoder(), name="tiny")
    extract(long_split(5), backbone, cache=None, world=ALONE, title="t")
    weights_of([("a",), ("b",)], ("{}",), backbone, cache=None, world=ALONE)
    with pytest.raises(AssertionError):
        extract(long_split(5), backbone, cache=tmp_path, world=ALONE, title="t")


def test_facts_are_counted_once_and_as_the_shapes_say():
    backbone = ClipBackbone(tiny_encoder(), name="tiny")
    config = PRESETS["tiny"]
    without_projection = image_flops(config) - 2 * config.vision.width * config.embed
    assert backbone.facts["gflops"] == pytest.approx(without_projection / 1e9)
    assert backbone.facts is backbone.facts
    assert backbone.facts["image_size"] == 32


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_kept_features_projected_are_the_embeddings(tmp_path, precision):
    encoder = tiny_encoder()
    cast_matrices(encoder.model, getattr(torch, precision))
    images = [example.image for example in as_extracted(long_split(40))]
    for _ in range(2):
        found = extract(long_split(40), ClipBackbone(encoder, name="t"), cache=tmp_path, world=ALONE, title="t")
        np.testing.assert_allclose(encoder.project(found.features), encoder.encode_images(images), atol=1e-6)


def test_a_chunk_that_some_have_is_told_by_the_first_of_them():
    world = World(rank=0, size=3)
    # chunk 0 is everywhere, 1 with the last two, 2 with the last, 3 and 4 nowhere
    assert _owners([[0], [0, 1], [0, 1, 2]], 5, world) == {1: 1, 2: 2, 3: 0, 4: 1}
    owners = {number: number % 2 for number in range(301)}
    portions = list(_portions(owners, World(rank=0, size=2)))
    assert sorted(number for portion in portions for number in portion) == list(owners)
    assert max(map(len, portions)) <= 2 * 64
    assert list(_portions({}, world)) == []


@pytest.mark.dist
def test_processes_with_caches_of_their_own_and_a_damaged_chunk_find_the_same(tmp_path):
    alone = extract(long_split(), mean_backbone(), cache=tmp_path / "0", world=ALONE, title="t")
    first, second, third = sorted((tmp_path / "0").rglob("*.npz"))
    for path, content in ((tmp_path / "1", second.read_bytes()), (tmp_path / "2", b"torn")):
        place = path / second.relative_to(tmp_path / "0")
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
    first.unlink()
    third.write_bytes(b"torn")
    for told in processes.run(own_cache_work, 3, str(tmp_path)):
        assert same(told, alone)


@pytest.mark.dist
def test_two_processes_with_a_shared_cache_find_what_one_finds(tmp_path):
    alone = extract(long_split(), mean_backbone(), cache=None, world=ALONE, title="t")
    for _ in range(2):
        for told in processes.run(extract_work, 2, str(tmp_path)):
            assert same(told, alone)


@pytest.mark.dist
@pytest.mark.parametrize("cache", [True, False])
def test_three_processes_find_what_one_finds(tmp_path, cache):
    alone = extract(long_split(), mean_backbone(), cache=None, world=ALONE, title="t")
    for told in processes.run(extract_work, 3, str(tmp_path) if cache else None):
        assert same(told, alone)
    assert len(list(tmp_path.rglob("*.npz"))) == (3 if cache else 0)


@pytest.mark.dist
def test_a_label_that_is_wrong_ends_all_processes():
    for told in processes.run(bad_label_work, 2):
        assert told in ("label 9", "process 1 cannot go on")


def test_a_split_without_a_readable_image_is_an_error():
    split = Listed([Example(key="a", image=b"x", labels=(0,)), Skipped(key="b", reason="no image")])
    with pytest.raises(ValueError, match=r"t: no image can be read: .*unreadable image \(a"):
        extract(split, mean_backbone(), cache=None, world=ALONE, title="t")


def test_targets_of_several_labels():
    found = [
        Example(key="a", image=pixels(0, 0), labels=(0, 2)),
        Example(key="b", image=pixels(0, 1), labels=(), meta={"not_judged": [1]}),
    ]
    extracted = extract(Listed(found), mean_backbone(), cache=None, world=ALONE, title="t")
    by_key = dict(zip(extracted.keys, extracted.targets(3).tolist(), strict=True))
    assert by_key == {"a": [1, 0, 1], "b": [0, -1, 0]}


def test_the_words_of_a_classifier_are_its_weights(tmp_path):
    encoder = tiny_encoder()
    names = [f"thing {chr(97 + i)}" for i in range(20)]
    templates = ("a photo of a {}.", "{}")
    expected = ZeroShotClassifier(encoder, names, templates).weights
    classes = [(name,) for name in names]
    backbone = ClipBackbone(encoder, name="tiny")
    for _ in range(2):
        found = weights_of(classes, templates, backbone, cache=tmp_path, world=ALONE)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    (path,) = tmp_path.rglob("*.npz")
    whole = path.read_bytes()
    middle = len(whole) // 2
    for damaged in (b"torn", whole[:middle], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]):
        path.write_bytes(damaged)
        np.testing.assert_array_equal(weights_of(classes, templates, backbone, cache=tmp_path, world=ALONE), found)
        assert path.read_bytes() == whole


def test_words_of_another_vocabulary_are_not_found(tmp_path):
    encoder, classes = tiny_encoder(), [("a",), ("b",)]
    weights_of(classes, ("{}",), ClipBackbone(encoder, name="t"), cache=tmp_path, world=ALONE)
    encoder.tokenizer = Tokenizer.clip(context_length=encoder.tokenizer.context_length - 1)
    weights_of(classes, ("{}",), ClipBackbone(encoder, name="t"), cache=tmp_path, world=ALONE)
    weights_of(classes, ("a {}",), ClipBackbone(encoder, name="t"), cache=tmp_path, world=ALONE)
    assert len(list(tmp_path.rglob("*.npz"))) == 3


def test_a_class_of_two_names_has_the_sentences_of_both():
    encoder, templates = tiny_encoder(), ("a {} face", "{}")
    found = weights_of([("happy", "smiling"), ("sad",)], templates, ClipBackbone(encoder, name="t"), cache=None, world=ALONE)
    mean = encoder.encode_texts(["a happy face", "happy", "a smiling face", "smiling"]).mean(axis=0)
    np.testing.assert_allclose(found[0], mean / np.linalg.norm(mean), atol=1e-6)


@pytest.mark.dist
def test_words_are_the_same_from_two_processes():
    alone = words_work(ALONE)
    for told in processes.run(words_work, 2):
        np.testing.assert_array_equal(told, alone)


def test_a_module_that_gives_something_else_is_refused():
    class Odd(nn.Module):
        def forward(self, batch):
            return batch.flatten()

    backbone: Backbone = FunctionBackbone(Odd(), name="odd", fingerprint="x", preprocess=PreprocessConfig(size=8))
    with pytest.raises(ValueError, match=r"odd gives \[\d+\] for .*: \[batch, dim\]"):
        backbone.features([pixels(0, 0)])


def test_a_map_is_averaged_over_places():
    flat = mean_backbone().features([e.image for e in examples(2, 2)])[0]
    whole = FunctionBackbone(lambda batch: batch, name="map", fingerprint="x", preprocess=PreprocessConfig(size=8))
    np.testing.assert_allclose(whole.features([e.image for e in examples(2, 2)])[0], flat, atol=1e-6)
