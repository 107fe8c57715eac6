"""Classes without pictures: their means from a classifier's weights, where these are known exactly; pairs of them."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from classes import Seen, drawn, inferred_means, main, read_seen

from fullclip.core.types import Pair
from fullclip.preprocess.features import pack_features, unpack_features
from nouns import write_wordnet
from pairs import make_shards, read_all

WIDTH = 6
WNIDS = files("fullclip").joinpath("assets/datasets/imagenet/wordnet_ids.txt").read_text(encoding="utf-8").split()
SPORTS_CAR, GOLDFISH, BEER_BOTTLE = "n04285008", "n01443537", "n02823428"


def world() -> tuple[np.ndarray, np.ndarray, Seen, int]:
    """(weights, means, features of some classes, how many these are): every class normal around its mean with one covariance S,
    exactly, in the sample too; the known means lie around their centre as S, so that the covariance of all is a multiple of S;
    the weights are S's inverse times the means, and a shift that no softmax notices.
    """
    random = np.random.default_rng(0)
    root = random.normal(size=(WIDTH, WIDTH)) / 3 + np.eye(WIDTH)
    star = np.concatenate([np.eye(WIDTH), -np.eye(WIDTH)]) * np.sqrt(WIDTH)  # covariance: one on every axis
    centre = 20 + random.normal(size=WIDTH)
    means = centre + np.concatenate([1.7 * star, random.normal(size=(5, WIDTH)) * 4]) @ root.T
    known = len(star)
    features = np.concatenate([means[number] + star @ root.T for number in range(known)])
    weights = means @ np.linalg.inv(root @ root.T) + random.normal(size=WIDTH)
    return weights, means, Seen(features=features, classes=np.repeat(np.arange(known), known)), known


def test_the_means_are_found_where_the_classifier_is_linear_discriminant_analysis():
    weights, means, seen, known = world()
    assert np.allclose(np.cov(seen.features.T) / np.cov(seen.features[:known].T), np.cov(seen.features.T)[0, 0] / np.cov(
        seen.features[:known].T)[0, 0])  # fmt: skip
    found, cosines, nearest = inferred_means(weights, seen)
    np.testing.assert_allclose(found, means, atol=1e-9)
    assert cosines == pytest.approx(np.ones(known))
    assert nearest == 1.0


def test_scale_and_shift_of_the_weights_change_nothing():
    weights, means, seen, _ = world()
    np.testing.assert_allclose(inferred_means(7 * weights + 3, seen)[0], means, atol=1e-9)


def test_the_order_of_the_pictures_changes_nothing():
    weights, means, seen, _ = world()
    order = np.random.default_rng(0).permutation(len(seen.classes))
    mixed = Seen(features=seen.features[order], classes=seen.classes[order])
    np.testing.assert_allclose(inferred_means(weights, mixed)[0], means, atol=1e-9)


def test_weights_that_say_nothing_are_reported_so():
    _, _, seen, known = world()
    _, cosines, nearest = inferred_means(np.random.default_rng(3).normal(size=(known + 5, WIDTH)), seen)
    assert abs(cosines.mean()) < 0.5
    assert nearest < 0.5


def test_classes_need_not_be_the_first_ones():
    weights, means, seen, known = world()
    order = np.random.default_rng(1).permutation(len(means))
    places = np.argsort(order)  # class i is now at places[i]
    moved = Seen(features=seen.features, classes=places[seen.classes])
    np.testing.assert_allclose(inferred_means(weights[order], moved)[0], means[order], atol=1e-9)
    assert moved.means()[0].tolist() == sorted(places[:known].tolist())


def test_drawn_views_vary_as_pictures_of_a_class_do():
    _, means, seen, known = world()
    found = drawn(means[known:] + 100, seen, views=4000, seed=0)
    within = np.cov(seen.features[:known].T, bias=True)
    for number, views in enumerate(found):
        error = np.sqrt(np.diag(within) / 4000)
        assert (np.abs(views.mean(axis=0) - means[known + number] - 100) < 5 * error).all()
        spread = np.sqrt(np.outer(np.diag(within), np.diag(within)))
        assert (np.abs(np.cov(views.T) - within * 1.01) < 0.12 * spread).all()  # 144 pictures' covariance has 143 below
    again = drawn(means[known:] + 100, seen, views=4000, seed=0)
    assert np.array_equal(found, again)
    assert not np.array_equal(found, drawn(means[known:] + 100, seen, views=4000, seed=1))


def test_drawn_views_are_not_below_zero():
    _, means, seen, _ = world()
    found = drawn(np.zeros_like(means), seen, views=50, seed=0)
    assert found.min() == 0
    assert 0.4 < (found == 0).mean() < 0.6


@pytest.fixture
def known_pairs() -> list[Pair]:
    """Two views of each ImageNet class but three."""
    random = np.random.default_rng(0)
    return [
        Pair(
            key=f"{number}",
            image=pack_features(np.abs(random.normal(5, 1, size=(2, WIDTH))).astype(np.float32)),
            texts=("a text",),
            meta={"wnid": wnid},
        )
        for number, wnid in enumerate(WNIDS)
        if wnid not in (SPORTS_CAR, GOLDFISH, BEER_BOTTLE)
    ]


def arguments(tmp_path: Path, out: str) -> list[str]:
    if not (tmp_path / "wordnet").exists():
        write_wordnet(tmp_path / "wordnet")
        weights = torch.randn(1000, WIDTH, generator=torch.Generator().manual_seed(0))
        torch.save({"_fc.weight": weights, "_fc.bias": torch.zeros(1000)}, tmp_path / "net.pth")
    options = {"network": tmp_path / "net.pth", "wordnet": tmp_path / "wordnet", "views": 5, "out": tmp_path / out}
    return [str(tmp_path / "seen"), *(word for name, value in options.items() for word in (f"--{name}", str(value)))]


def test_each_class_without_pictures_becomes_a_pair(known_pairs, tmp_path, capsys):
    make_shards(tmp_path / "seen", known_pairs)
    for out in ("first", "again"):
        main(arguments(tmp_path, out))
    printed = capsys.readouterr().out
    assert "997 known classes: cosine with the true mean" in printed
    assert f"{tmp_path / 'first'}: 3 classes" in printed
    assert (tmp_path / "first/000000.tar").read_bytes() == (tmp_path / "again/000000.tar").read_bytes()
    pairs, drops = read_all([tmp_path / "first/000000.tar"])
    assert not drops.counts
    assert [pair.key for pair in pairs] == sorted([SPORTS_CAR, GOLDFISH, BEER_BOTTLE], key=WNIDS.index)
    for pair in pairs:
        views = unpack_features(pair.image, name=pair.key)
        assert views.shape == (5, WIDTH)
        assert views.min() >= 0
        assert pair.meta == {"wnid": pair.key, "inferred": True}
    said = {pair.key: pair.texts for pair in pairs}
    assert {"sports car", "sport car"} <= set(said[SPORTS_CAR])
    assert "goldfish" in said[GOLDFISH]


def test_views_are_read_with_their_classes(known_pairs, tmp_path):
    make_shards(tmp_path, known_pairs[:4])
    seen = read_seen([str(tmp_path)], WNIDS)
    assert seen.classes.tolist() == [int(pair.key) for pair in known_pairs[:4] for _ in range(2)]
    assert np.array_equal(seen.features[2:4], unpack_features(known_pairs[1].image, name="a"))


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({}, "classes: the pair 0 has no wnid"),
        ({"wnid": "n00000000"}, "classes: the pair 0 is of n00000000, which is no class"),
    ],
)
def test_pairs_of_no_class_are_one_line(tmp_path, meta, message):
    make_shards(
        tmp_path / "seen", [Pair(key="0", image=pack_features(np.ones((1, WIDTH), np.float32)), texts=("a",), meta=meta)]
    )
    with pytest.raises(SystemExit) as refused:
        main(arguments(tmp_path, "out"))
    assert str(refused.value).startswith(message)
    assert not (tmp_path / "out").exists()


def test_features_of_another_width_are_one_line(known_pairs, tmp_path):
    wide = [Pair(key="9", image=pack_features(np.ones((1, 9), np.float32)), texts=("a",), meta={"wnid": WNIDS[0]})]
    make_shards(tmp_path / "seen", wide)
    with pytest.raises(SystemExit, match=rf"^classes: features of 9 numbers, the network's classes have {WIDTH}$"):
        main(arguments(tmp_path, "out"))
