import json
import os
import subprocess
import sys

import pytest

from crawled import image, page, rows_in, warc


def fullclip(*words):
    command = [sys.executable, "-m", "fullclip", "data", "collect", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"})


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "a.warc.gz"
    tags = [image(1, "a dog in the snow"), image(2, "logo"), image(3, "a big red house")]
    path.write_bytes(warc([("http://a.org/", page(*tags))]))
    return path


def test_the_report_as_json_and_the_same_command_again(tmp_path, archive):
    words = [archive, "--out", tmp_path / "out", "--workers", 1, "--json"]
    done, again = fullclip(*words), fullclip(*words)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["num_in"], told["num_out"], told["resumed"]) == (3, 2, 0)
    assert told["dropped"]["text: under 5 characters"]["count"] == 1
    assert json.loads(again.stdout)["resumed"] == 1
    assert [row["text"] for row in rows_in(tmp_path / "out")] == ["a dog in the snow", "a big red house"]


def test_options_and_words_for_people(tmp_path, archive):
    done = fullclip(archive, "--out", tmp_path / "out", "--workers", 1, "--words", "5-9", "--kind", "alt", "--language", "any")
    assert done.returncode == 0, done.stderr
    assert "1 of 3 rows" in done.stdout
    assert "under 5 words" in done.stderr
    other = fullclip(archive, "--out", tmp_path / "out", "--workers", 1)
    assert other.returncode != 0
    assert "was begun with" in other.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--words", "many"], "--words many: give the least and the most, such as 2-200"),
        (["--language", "xx"], "--language xx: not known"),
        (["--kind", "name"], "--kind name: not one of alt"),
        (["--base", "a.org"], "--base a.org"),
    ],
)
def test_wrong_options_are_one_line(tmp_path, archive, words, message):
    done = fullclip(archive, "--out", tmp_path / "out", *words)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
