"""What texts mean: which texts are taken, and the encoder's vectors against one text at a time."""

import numpy as np
import pytest
import torch
from meanings import LONGEST, encoded, main, said_of, texts_of
from wordnet import WordNet

from fullclip.core.types import Pair
from fullclip.preprocess.features import unpack_features
from nouns import write_wordnet
from pairs import make_shards, picture, read_all

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] a an of small dog car bottle that holds beer sports ##s vehicle fish the photo , : ( )"


@pytest.fixture(scope="module")
def wordnet(tmp_path_factory):
    return write_wordnet(tmp_path_factory.mktemp("wordnet"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> str:
    """A sentence encoder of the same class, with random weights."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "vocab.txt").write_text("\n".join(WORDS.split()))
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS.split()), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    transformers.BertModel(config).save_pretrained(folder)
    return str(folder)


TEXTS = ["a dog", "a bottle that holds beer", "sports car: a small vehicle , the car", "fish", "of " * 90, "a car"]


def test_vectors_are_the_mean_over_a_text_s_tokens(encoder):
    import transformers

    tokenizer, model = transformers.AutoTokenizer.from_pretrained(encoder), transformers.AutoModel.from_pretrained(encoder)
    found = encoded((encoder, TEXTS))
    assert found.shape == (len(TEXTS), 32)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    for row, text in zip(found, TEXTS, strict=True):
        with torch.no_grad():
            states = model.eval()(**tokenizer(text, truncation=True, max_length=64, return_tensors="pt")).last_hidden_state[0]
        mean = states.mean(dim=0)
        assert row @ (mean / mean.norm()).numpy() > 0.999  # bfloat16
    others = found @ found.T - np.eye(len(TEXTS))
    assert others.max() < 0.999  # or every text would do


def test_names_and_definitions_are_said_of_what_can_be_seen(wordnet):
    synsets = WordNet.read(wordnet)
    car = synsets["n02958343"]
    names = ["car", "auto", "automobile"]
    gloss = "a motor vehicle with four wheels; usually propelled by an internal combustion engine"
    assert said_of(car) == [*names, gloss, f"car: {gloss}"]
    assert said_of(synsets["n00021939"]) == []  # an artifact: of the file of the topmost
    assert said_of(synsets["n01439121"]) == []  # Carassius
    assert all(len(text) <= LONGEST + len("binoculars: ") for synset in synsets for text in said_of(synset))


def test_each_text_is_taken_once_and_wordnet_s_come_first(wordnet, tmp_path):
    pairs = [Pair(key="0", image=picture(0), texts=("a red car", "car")), Pair(key="1", image=picture(1), texts=("a red car",))]
    make_shards(tmp_path, pairs)
    texts = texts_of(WordNet.read(wordnet), [str(tmp_path)])
    assert len(texts) == len(set(texts))
    assert texts[-1] == "a red car"
    assert "a bottle that holds beer" in texts
    assert "beer bottle: a bottle that holds beer" in texts


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # multi-threaded parents and forks
def test_the_script_pairs_each_text_with_its_vector(wordnet, encoder, tmp_path, capsys):
    make_shards(tmp_path / "pairs", [Pair(key="0", image=picture(0), texts=("a photo\nof  a dog",))])
    out = tmp_path / "deep/meanings"
    words = [str(tmp_path / "pairs"), "--encoder", encoder, "--wordnet", str(wordnet), "--processes", "1", "--out", str(out)]
    main(words)
    expected = texts_of(WordNet.read(wordnet), [str(tmp_path / "pairs")])
    made, drops = read_all(out.glob("*.tar"))
    assert not drops.counts
    assert [pair.texts for pair in made] == [(text,) for text in expected]
    vectors = np.concatenate([unpack_features(pair.image, name=pair.key) for pair in made])
    np.testing.assert_allclose(vectors, encoded((encoder, expected)), atol=2e-3)
    lines = (tmp_path / "deep/meanings.txt").read_text(encoding="utf-8").splitlines()
    assert lines == [" ".join(text.split()) for text in expected]
    assert capsys.readouterr().out.endswith(f"{out}: {len(expected)} texts\n")
    with pytest.raises(SystemExit, match=r"^meanings: \S+ is there already; remove it, or give another --out$"):
        main(words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--encoder", "{}/no"], "meanings: {}/no has no config.json; give the folder of all-MiniLM-L6-v2"),
        (["--wordnet", "{}/no"], "meanings: {}/no/data.noun is not there; install Debian's wordnet-base"),
    ],
)
def test_a_wrong_input_is_one_line(wordnet, encoder, tmp_path, words, message):
    make_shards(tmp_path / "pairs", [Pair(key="0", image=picture(0), texts=("a dog",))])
    options = ["--encoder", encoder, "--wordnet", str(wordnet), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as refused:
        main([str(tmp_path / "pairs"), *options, *(word.format(tmp_path) for word in words)])
    assert str(refused.value).startswith(message.format(tmp_path))
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == [tmp_path / "pairs"]
