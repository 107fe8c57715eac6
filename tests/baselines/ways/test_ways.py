"""Each way against its formula, example by example; the tree of sentences against the sentences one by one."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fullclip.baselines.learning.pairs import Pairs
from fullclip.baselines.learning.way import image_tower, log_mean
from fullclip.baselines.ways.contrastive import Contrastive
from fullclip.baselines.ways.methods import METHODS, vocabularies
from fullclip.baselines.ways.sentences import tree_of
from learning import SETTINGS

TEXTS = ("a red wall", "a sea lion on a red wall", "the lion", "A lion's sea!", "green")
CLASSES = (("lion", "sea lion"), ("red wall",), ("green",))
TEMPLATES = ("{}", "a {} wall")


@pytest.fixture(scope="module")
def words():
    pairs = Pairs(pictures=np.zeros((len(TEXTS), 9, 9, 3), np.uint8), texts=tuple((text,) for text in TEXTS))
    return vocabularies(pairs, SETTINGS)


@pytest.fixture(params=METHODS)
def way(request, words):
    """Any way, its weights large enough that everything in it matters."""
    return _stirred(request.param, words)


def _stirred(method, words):
    way = METHODS[method].build(SETTINGS, words, 0).double().eval()
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in way.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=random, dtype=torch.float64)
    return way


def images(number):
    return torch.randn(number, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(number))


def test_all_ways_begin_with_the_same_image_tower(words):
    towers = [METHODS[method].build(SETTINGS, words, 4).tower.state_dict() for method in METHODS]
    other = image_tower(SETTINGS, seed=5).state_dict()
    for tower in towers:
        assert all(torch.equal(tower[name], towers[0][name]) for name in tower)
    assert any(not torch.equal(other[name], towers[0][name]) for name in other)


def test_gradients_agree_with_finite_differences(way):
    """Of the loss by one weight of each parameter."""
    pictures, texts = images(5), list(TEXTS)
    way.loss(pictures, texts).backward()
    random, step, seen = np.random.default_rng(0), 1e-5, 0
    for name, parameter in way.named_parameters():
        assert parameter.grad is not None, name
        place = tuple(int(random.integers(size)) for size in parameter.shape)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter[place] += sign * step
                values.append(way.loss(pictures, texts).item())
                parameter[place] -= sign * step
        assert parameter.grad[place].item() == pytest.approx((values[0] - values[1]) / (2 * step), abs=2e-6, rel=1e-3), name
        seen += parameter.grad[place].item() != 0
    assert seen > 5


def test_scores_of_a_picture_do_not_depend_on_its_batch(way):
    scorer = way.scorer(CLASSES, TEMPLATES)
    whole = scorer(images(6))
    assert whole.shape == (6, 3)
    torch.testing.assert_close(whole, torch.cat([scorer(part) for part in images(6).split(2)]))


def test_the_contrastive_loss_is_clips_figure_3(words):
    for method in ("contrastive", "contrastive-bag"):
        way = _stirred(method, words)
        pictures = images(5)
        image = F.normalize(way.tower(pictures), dim=1)
        text = F.normalize(torch.cat([way.encoder(way.pieces([text])) for text in TEXTS]), dim=1)
        logits = image @ text.T * way.logit_scale.exp()
        losses = [-logits[i].log_softmax(0)[i] - logits[:, i].log_softmax(0)[i] for i in range(5)]
        torch.testing.assert_close(way.loss(pictures, TEXTS), sum(losses) / 10)


def test_a_bag_of_pieces_has_no_order_and_counts_repetitions(words):
    way = _stirred("contrastive-bag", words)
    pieces, table = way.pieces, way.encoder.token_embedding.weight
    one, other = way.encoder(pieces(["sea lion red"])), way.encoder(pieces(["red lion sea"]))
    torch.testing.assert_close(one, other)
    ids = pieces.row("red red wall")[1:-1]
    mean = sum(table[i] for i in ids) / len(ids)
    torch.testing.assert_close(
        way.encoder(pieces(["red red wall", "a sea lion on a red wall"]))[0], mean @ way.encoder.text_projection
    )
    assert torch.equal(way.encoder(pieces([""])), torch.zeros(1, SETTINGS.embed, dtype=torch.float64))


def test_a_contrastive_class_is_the_mean_of_its_sentences(words):
    way = _stirred("contrastive", words)
    sentences = ["lion", "a lion wall", "sea lion", "a sea lion wall"]
    rows = torch.stack([F.normalize(way.encoder(way.pieces([text]))[0], dim=0) for text in sentences])
    expected = F.normalize(way.tower(images(4)), dim=1) @ F.normalize(rows.mean(dim=0), dim=0)
    torch.testing.assert_close(way.scorer(CLASSES, TEMPLATES)(images(4))[:, 0], expected)


def test_the_scale_stays_in_its_bounds(words):
    way = _stirred("contrastive", words)
    assert isinstance(way, Contrastive)
    for value, kept in ((9.0, math.log(100)), (-1.0, 0.0), (2.0, 2.0)):
        way.logit_scale.data.fill_(value)
        way.after_step()
        assert way.logit_scale.item() == pytest.approx(kept)


def test_the_bags_loss_is_the_mean_over_the_words_that_are_there(words):
    way = _stirred("bag-of-words", words)
    texts = ["a lion", "zebra", "red red wall zebra"]  # the second has no known word and no part
    found = way.head(way.tower(images(3))).detach()
    losses = []
    for row, known in ((0, ["a", "lion"]), (2, ["red", "wall"])):
        probabilities = found[row].exp() / found[row].exp().sum()
        losses.append(-sum(math.log(probabilities[words.words.words.index(word)]) for word in known) / len(known))
    assert way.loss(images(3), texts).item() == pytest.approx(sum(losses) / 2, rel=1e-5)
    assert way.loss(images(1), ["zebra"]).item() == 0


def test_the_bags_answer_is_the_mean_log_probability_of_a_names_words(words):
    way = _stirred("bag-of-words", words)
    classes = [("lion", "Red WALL"), ("zebra lion",), ("zebra",), ("zebra", "green")]
    scores = way.scorer(classes, ("nothing of {}",))(images(2))
    place = {word: i for i, word in enumerate(words.words.words)}
    for row, log_probabilities in enumerate(way.head(way.tower(images(2))).log_softmax(dim=1).tolist()):
        lion, red, wall, green = (log_probabilities[place[word]] for word in ("lion", "red", "wall", "green"))
        expected = [math.log((math.exp(lion) + math.exp((red + wall) / 2)) / 2), lion, -math.inf, green]
        assert scores[row].tolist() == pytest.approx(expected, rel=1e-5)
    assert way.num_unknown(classes) == 2


def _likelihood(way, picture, sentence):
    """One piece after the other, each from a text that ends before it."""
    row, total = way.pieces.row(sentence), 0.0
    for length in range(1, len(row)):
        logits = way.logits(picture, torch.tensor([row[:length]]))[0, -1]
        total += logits.log_softmax(0)[row[length]].item()
    return total


def test_the_caption_models_loss_is_the_mean_of_its_pieces(words):
    way = _stirred("caption-lm", words)
    pictures = images(5)
    total = sum(_likelihood(way, pictures[i : i + 1], text) for i, text in enumerate(TEXTS))
    count = sum(len(way.pieces.row(text)) - 1 for text in TEXTS)
    assert way.loss(pictures, TEXTS).item() == pytest.approx(-total / count, rel=1e-5)


def test_a_tree_of_sentences_gives_what_each_sentence_gives(words):
    way = _stirred("caption-lm", words)
    sentences = ["a sea lion", "a sea", "sea lion", "a", "the lion", "zebra", "a sea lion on a red wall"]
    tree = tree_of([way.pieces.row(sentence) for sentence in sentences])
    found = way.log_likelihoods(images(3), tree)
    expected = [[_likelihood(way, images(3)[i : i + 1], sentence) for sentence in sentences] for i in range(3)]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    beginnings = {
        way.pieces.row(sentence)[:length] for sentence in sentences for length in range(1, len(way.pieces.row(sentence)))
    }
    assert len(tree.pieces) == len(beginnings)


def test_a_caption_models_class_is_the_mean_of_its_sentences_probabilities(words):
    way = _stirred("caption-lm", words)
    scores = way.scorer(CLASSES, TEMPLATES)(images(1))
    sentences = ["lion", "a lion wall", "sea lion", "a sea lion wall"]
    expected = math.log(sum(math.exp(_likelihood(way, images(1), sentence)) for sentence in sentences) / 4)
    assert scores[0, 0].item() == pytest.approx(expected, rel=1e-4)


def test_the_mean_of_no_probabilities_is_zero():
    scores = torch.tensor([[0.5, 0.25, 0.125]]).log()
    assert log_mean(scores, [2, 0, 1]).exp().tolist() == [pytest.approx([0.375, 0.0, 0.125])]
