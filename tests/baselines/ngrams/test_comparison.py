"""Visual n-grams beside CLIP: what is learned and asked, what is told of it, and that a killed comparison goes on."""

from dataclasses import replace

import pytest
import torch

from fullclip.baselines.learning.curve import curve
from fullclip.baselines.learning.loop import learn
from fullclip.baselines.learning.zero_shot import ask
from fullclip.baselines.ngrams import comparison
from fullclip.baselines.ngrams.comparison import TITLES, build_way, compare_ngrams, contest
from fullclip.baselines.ngrams.dictionary import build_dictionary
from fullclip.baselines.ngrams.page import PAGE, described, sentences, table, write_page
from fullclip.baselines.ways.methods import METHODS, vocabularies
from fullclip.evaluation.report.document import Number
from learning import COLOURS, SETTINGS, colour_pairs, colour_question

CPU = torch.device("cpu")


def given(settings=SETTINGS, **more):
    other = replace(colour_question(), name="other walls", classes=(("red",), ("green",), ("blue",), ("mauve",)))
    return contest(colour_pairs(), [colour_question(), other], settings, **more)


def compared(given, out, **more):
    """The rows in the end."""
    *_, rows = compare_ngrams(given, out, shards=["s"], device=CPU, **more)
    return rows


def without_seconds(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_the_dictionary_is_that_of_all_captions():
    captions = [text for texts in colour_pairs().texts for text in texts]
    expected = build_dictionary(captions, at_least=20, longest=5)
    assert given(replace(SETTINGS, least=20)).dictionary.ngrams == expected.ngrams
    assert ("a",) in expected.ngrams
    assert ("red",) in expected.ngrams
    assert ("a", "red", "wall") not in expected.ngrams  # 16 times


@pytest.mark.parametrize("method", TITLES)
def test_every_way_learns_what_its_captions_say(method, tmp_path):
    settings = replace(SETTINGS, images=1280, every=1280)
    rows = compared(given(settings), tmp_path, methods=[method], seeds=[0])
    best = max(row["value"] for row in rows if row["task"] == "walls")
    assert best > 0.7, rows  # chance is 25%
    assert {row["unknown_classes"] for row in rows if row["task"] == "other walls"} == {1}


def test_clip_is_the_one_of_figure_2(tmp_path):
    rows = compared(given(), tmp_path, methods=["contrastive"], seeds=[0])
    words = vocabularies(colour_pairs(), SETTINGS)
    way = METHODS["contrastive"].build(SETTINGS, words, 0)
    theirs = curve(way, colour_pairs(), [colour_question()], SETTINGS, method="contrastive", seed=0)
    assert without_seconds(row for row in rows if row["task"] == "walls") == without_seconds(theirs)


def test_rows_are_what_the_way_answers_at_each_mark(tmp_path):
    contestants = given(smoothing=0.4)
    rows = compared(contestants, tmp_path, methods=["visual-ngrams"], seeds=[0])
    way = build_way("visual-ngrams", contestants, seed=0)
    assert way.smoothing == 0.4
    expected = []
    for images in learn(way, colour_pairs(), SETTINGS, seed=0, title="t"):
        for question in contestants.questions:
            results = ask(way, question, SETTINGS, at_large=colour_pairs())
            expected += [
                (images, question.name, rule, r.value) for rule, r in zip(("likelihood", "ratio"), results, strict=True)
            ]
    assert [(row["images"], row["task"], row["rule"], row["value"]) for row in rows] == expected


def test_what_is_finished_is_not_learned_again(tmp_path, monkeypatch):
    contestants, straight, stopped = given(), tmp_path / "straight", tmp_path / "stopped"
    whole = compared(contestants, straight, methods=list(TITLES), seeds=[0, 1])
    learned, real = [], comparison.build_way

    def dies_at_the_third(method, given, *, seed):
        if len(learned) == 3:
            raise KeyboardInterrupt
        learned.append((method, seed))
        return real(method, given, seed=seed)

    monkeypatch.setattr(comparison, "build_way", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        compared(contestants, stopped, methods=list(TITLES), seeds=[0, 1])
    first = list(learned)
    monkeypatch.setattr(
        comparison,
        "build_way",
        lambda method, given, *, seed: learned.append((method, seed)) or real(method, given, seed=seed),
    )
    rows = compared(contestants, stopped, methods=list(TITLES), seeds=[0, 1])
    assert without_seconds(rows) == without_seconds(whole)
    assert len(first) == 3
    assert sorted(learned) == sorted({(method, seed) for method in TITLES for seed in range(2)})


def test_the_page_tells_the_mean_of_the_seeds_and_what_contrast_saves(tmp_path):
    contestants = given()
    rows = compared(contestants, tmp_path, methods=list(TITLES), seeds=[0, 1])
    found = table(rows)
    assert found.columns == ["way", "walls", "other walls", "seeds", "unknown classes"]
    cells = {row[0]: row[1:] for row in found.rows}
    assert list(cells) == [
        "naive n-grams (likelihood)",
        "naive n-grams (ratio)",
        "smoothed n-grams (likelihood)",
        "smoothed n-grams (ratio)",
        "CLIP",
    ]
    last = [
        100 * row["value"]
        for row in rows
        if (row["method"], row["rule"], row["task"], row["images"]) == ("visual-ngrams", "ratio", "walls", 320)
    ]
    interval = f"{min(last):.1f} to {max(last):.1f}"
    assert cells["smoothed n-grams (ratio)"][0] == Number(value=f"{sum(last) / 2:.1f}", interval=interval)
    assert [cell.value for cell in cells["CLIP"][2:]] == ["2", "0 / 1"]
    assert "asked about 40 of walls, 40 of other walls" in found.note
    said = sentences(rows)
    assert len(said) == 8
    assert all(text.startswith(("walls: CLIP ", "other walls: CLIP ")) for text in said)
    sizes = contestants.dictionary.sizes()
    assert described(contestants.dictionary).endswith(f"{sizes[4]} of 4, {sizes[5]} of 5 words.")
    write_page(rows, tmp_path / PAGE, data="From pairs of walls.", dictionary=contestants.dictionary)
    page = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "From pairs of walls." in page
    assert page.count("<table") == 1


def test_a_folder_of_another_smoothing_is_refused(tmp_path):
    compared(given(), tmp_path, methods=["naive-ngrams"], seeds=[0])
    with pytest.raises(ValueError, match=r"smoothing is 0\.5, but the comparison in .* was begun with 0\.2"):
        compared(given(smoothing=0.5), tmp_path, methods=["naive-ngrams"], seeds=[0])


def test_a_contest_without_questions_or_frequent_words_is_refused():
    walls = colour_question()
    with pytest.raises(ValueError, match="the tasks are none: name one at least, and each once"):
        contest(colour_pairs(), [], SETTINGS)
    with pytest.raises(ValueError, match="the tasks are walls, walls: name one at least, and each once"):
        contest(colour_pairs(), [walls, walls], SETTINGS)
    with pytest.raises(ValueError, match="no word occurs 1000 times in 8 different texts; ask for fewer occurrences"):
        contest(colour_pairs(), [walls], replace(SETTINGS, least=1000))
    with pytest.raises(ValueError, match=r"smoothing is 1\.5: above 0 and below 1"):
        contest(colour_pairs(), [walls], SETTINGS, smoothing=1.5)
    assert len(COLOURS) * 2 == 8
