"""The page of Figure 2 and what is said of its factors: against curves whose crossing is known."""

from fullclip.baselines.figure2.page import sentences, write_page
from learning import rows_of_doublings


def test_what_is_said_of_the_factors():
    said = sentences(rows_of_doublings(), guess=0.005)
    assert len(said) == 5
    assert said[0] == (
        "Answering by the likelihood of a class's words, bag of words prediction needs 2 times (2 to 2) fewer images to reach"
        " what Transformer language model does in the end (30.1% after 8,000 images)."
    )
    assert said[-1].startswith("Contrastive, Transformer needs 2 times (2 to 2) fewer images")
    alone = [each for each in rows_of_doublings() if each["method"] == "contrastive"]
    assert sentences(alone, guess=0.005) == []


def test_the_page_has_the_numbers_and_needs_nothing_beside_it(tmp_path):
    write_page(rows_of_doublings(), tmp_path / "figure2.html", data="Learned from <b>64</b> pairs.", guess=0.005)
    page = (tmp_path / "figure2.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "&lt;b&gt;64&lt;/b&gt;" in page
    assert page.count("<svg") == 1
    assert "30.1" in page
    assert "40.1" in page
    assert "35.1" in page
    assert "<script" not in page
    assert 'src="http' not in page


def test_what_ends_no_better_than_guessing_gives_no_factor():
    """The caption model ends with 30.1% (29.1% to 31.1%)."""
    said = sentences(rows_of_doublings(), guess=0.3)
    assert said[0] == (
        "Answering by the likelihood of a class's words, Transformer language model is not above guessing (30.0%) in the end"
        " (30.1% after 8,000 images), so that there is no telling how many images bag of words prediction saves."
    )
    assert [text for text in said if "no telling" in text] == [said[0]]
