"""Other models' accuracies from a CSV; a wrong line is named with what to write instead."""

import pytest

from fullclip.evaluation.report.published import read_published
from fullclip.evaluation.statistics.robustness import Accuracies

HEAD = "model,shift,reference_accuracy,shift_accuracy,reference_n,shift_n\n"


def test_models_by_shift(tmp_path):
    path = tmp_path / "models.csv"
    path.write_text(
        "\ufeff" + HEAD + "a,sketch,0.7, 0.5 ,50000,10000\nb,sketch,0.6,0.4,50000,10000\na,art,1,0,9,8\n", encoding="utf-8"
    )
    found = read_published(path)
    assert found["sketch"][0] == Accuracies(model="a", reference=0.7, shift=0.5, reference_n=50000, shift_n=10000)
    assert [one.model for one in found["sketch"]] == ["a", "b"]
    assert found["art"] == (Accuracies(model="a", reference=1.0, shift=0.0, reference_n=9, shift_n=8),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD.replace("shift_n", "n"), r"the column 'shift_n' is missing; the first line is to be model,shift,"),
        ("", r"the column 'model' is missing"),
        (HEAD, r"no model is in it; a line is model,shift,0.76"),
        (
            HEAD + "a,s,120,0.5,9,9\n",
            r"models.csv, line 2: reference_accuracy '120' is no share from 0 to 1; write 0.762 for 76.2%",
        ),
        (HEAD + "a,s,0.5,76.2,9,9\n", r"line 2: shift_accuracy '76.2' is no share"),
        (HEAD + "a,s,nan,0.2,9,9\n", r"reference_accuracy 'nan' is no share"),
        (HEAD + "a,s,0.5,many,9,9\n", r"shift_accuracy 'many' is no share"),
        (HEAD + "a,s,0.5,0.5,9,0\n", r"shift_n '0' is no number of examples; write a whole number such as 10000"),
        (HEAD + "a,s,0.5,0.5,9.5,9\n", r"reference_n '9.5' is no number of examples"),
        (HEAD + "a,s,0.5\n", r"line 2: shift_accuracy is empty"),
        (HEAD + "a,s,0.5,0.5,9,9\na,s,0.5,0.5,9,9\n", r"line 3: a is there twice for s; remove one of the lines"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, text, message):
    path = tmp_path / "models.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_published(path)


def test_a_file_of_other_letters_is_one_line(tmp_path):
    (tmp_path / "models.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a CSV file in UTF-8"):
        read_published(tmp_path / "models.csv")
