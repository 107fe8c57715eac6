"""fullclip search as a user types it."""

import base64
import io
import json
import shutil

import pytest
from PIL import Image
from typer.testing import CliRunner

from embedded import CAPTIONS, FILES, NUM, write_model, write_pictures
from fullclip.cli.search import app
from fullclip.search.index.table import Table


def run(*words: object) -> tuple[int, str, str]:
    """(exit code, stdout, stderr or the error as it would be reported)."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return (2 if isinstance(result.exception, ValueError) else 1), result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return write_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder)
    (folder / "torn.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def index(tmp_path_factory, model, pictures):
    folder = tmp_path_factory.mktemp("index") / "index"
    assert run("build", pictures, "--index", folder, "--model", model)[0] == 0
    return folder


def asked(index, *words: object) -> list[dict]:
    code, said, error = run("query", index, *words, "--json")
    assert code == 0, error
    return json.loads(said)["hits"]


def test_build_add_and_remove(model, pictures, tmp_path):
    index = tmp_path / "index"
    code, said, notes = run("build", pictures / "a", "--index", index, "--model", model)
    assert (code, said) == (0, f"{index}: 5 pictures\n")
    assert "5 added" in notes
    code, said, notes = run("build", pictures / "a", "--index", index, "--model", model)
    assert (code, "5 unchanged" in notes) == (0, True)
    code, said, _ = run("add", pictures, "--index", index, "--json")
    told = json.loads(said)
    assert (code, told["added"], told["rows"], told["skipped"]) == (0, NUM, 15, {"unreadable image": 1})
    assert told["examples"]["unreadable image"][0].startswith(f"{pictures}/torn.png: ")
    assert run("remove", "--index", index, "000.png", "002.png")[:2] == (0, "2 removed\n")
    assert json.loads(run("remove", "--index", index, "--where", "path LIKE 'a/%'", "--json")[1]) == {"removed": 5}
    assert json.loads(run("stats", index, "--json")[1])["rows"] == 8
    code, said, _ = run("stats", index)
    assert (code, "model" in said, "width (int32)" in said) == (0, True, True)


def test_a_query_in_words_as_a_table(index):
    code, said, _ = run("query", index, "a dog", "a cat", "--top", "3", "--duplicates")
    lines = said.splitlines()
    assert (code, len(lines)) == (0, 4)
    assert lines[0].split() == ["score", "key", "caption", "also"]
    assert "picture " in lines[1]


def test_a_query_with_pictures_keys_conditions_and_thumbnails(index, pictures):
    (hit,) = asked(index, "--image", pictures / "a/004.png", "--top", 1, "--duplicates", "--thumbnails")
    assert (hit["key"], hit["meta"]["captions"]) == ("a/004.png", list(CAPTIONS[4]))
    assert hit["score"] > 0.999
    kind, _, data = hit["thumbnail"].partition(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as thumbnail:
        assert thumbnail.size == (40, 36)
    assert asked(index, "--like", "b/003.png", "--top", 1, "--duplicates")[0]["key"] == "b/003.png"
    found = asked(index, "a dog", "--minus", "snow", "--where", "key LIKE 'b/%' AND width = 40", "--duplicates")
    assert sorted(hit["key"] for hit in found) == [f"b/{i:03d}.png" for i in range(1, NUM, 2)]
    folded = asked(index, "a dog")
    assert sorted(key for hit in folded for key in (hit["key"], *hit["meta"]["duplicates"])) == sorted(
        f"{'ab'[i % 2]}/{i:03d}.png" for i in range(NUM)
    )
    assert asked(index, "a dog", "--where", "width > 40") == []


def test_a_text_that_is_too_long_is_said_to_be_cut(index):
    code, _, notes = run("query", index, "word " * 100)
    assert (code, "only the beginning of a text was read" in notes) == (0, True)
    assert "beginning" not in run("query", index, "a dog")[2]


def test_a_sheet(index, tmp_path):
    code, _, _ = run("query", index, "a dog", "--duplicates", "--top", 4, "--grid", tmp_path / "sheet.png")
    assert code == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert (sheet.format, sheet.width > 400, sheet.height > 400) == ("PNG", True, True)
    code, _, said = run("query", index, "a dog", "--where", "width > 40", "--grid", tmp_path / "none.png")
    assert (code, "no sheet to draw" in said, (tmp_path / "none.png").exists()) == (2, True, False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("query", "INDEX"), "nothing to look for"),
        (("query", "INDEX", "--minus", "snow"), "nothing to look for"),
        (("query", "INDEX", "a dog", "--where", "widt > 3"), "No field named widt; the columns are key"),
        (("query", "INDEX", "a dog", "--thumbnails"), "add --json"),
        (("query", "INDEX", "a dog", "--grid", "sheet.jpg"), "ends with .png"),
        (("query", "INDEX", "--like", "no such"), "no picture with the key 'no such'"),
        (("query", "INDEX", "--image", "/no/such.png"), "no such file"),
        (("query", "/no/such/index", "a dog"), "no index; make one with: fullclip search build"),
        (("add", "PICTURES", "--index", "/no/such/index"), "no index; make one with"),
        (("add", "/no/such/pictures", "--index", "INDEX"), "no such file or folder"),
        (("build", "PICTURES", "--index", "PICTURES"), "holds other files"),
        (("remove", "--index", "INDEX"), "name the keys to remove"),
        (("remove", "--index", "INDEX", "--even-most"), "--even-most goes with --missing FOLDER"),
        (("remove", "--index", "INDEX", "a/000.png", "--missing", "PICTURES"), "--missing goes alone"),
        (("remove", "--index", "INDEX", "--missing", "/no/such"), "no pictures that were added from /no/such"),
        (("remove", "--index", "INDEX", "--where", "mark = ''"), "there is no column mark; the columns are key, path"),
    ],
)
def test_mistakes_are_one_line(index, pictures, words, said):
    given = [{"INDEX": index, "PICTURES": pictures}.get(word, word) for word in words]
    code, out, error = run(*given)
    assert (code, out) == (2, "")
    assert said in error
    assert "\n" not in error.strip()


@pytest.mark.parametrize(
    "name", ["vector", "thumbnail", "mark", "number", "told", "_root", "_rowid", "_rowaddr", "MARK", '"mark"', "`told`"]
)
def test_columns_that_are_not_told_of_cannot_be_asked_for(index, name):
    code, out, error = run("query", index, "a dog", "--where", f"caption LIKE '%mark%' OR {name} IS NULL")
    assert (code, out) == (2, "")
    plain = name.strip('`"').lower()
    assert f"there is no column {plain}; the columns are key, path, caption, width, height, bytes, date" in error


@pytest.mark.parametrize("where", ["caption = 'mark'", "caption LIKE '%number; vector%'", "\"key\" LIKE '%told%'"])
def test_texts_may_hold_their_names(index, where):
    assert asked(index, "a dog", "--where", where) == []


def test_a_long_condition_is_not_said_again_as_a_whole(index):
    code, _, error = run("query", index, "a dog", "--where", f"caption = '{'x' * 50_000}' AND no > 1")
    assert (code, "No field named no" in error, len(error) < 1000) == (2, True, True)


def test_a_part_of_a_text_is_a_wrong_condition(index):
    code, _, error = run("query", index, "a dog", "--where", "key.no > 1")
    assert (code, "Cannot access field" in error, ".rs:" in error) == (2, True, False)


def test_names_that_would_steer_a_terminal_are_written_out(model, tmp_path):
    names = {
        "a\nb.png": "a\\nb.png",
        "\x1b[31mred\t.png": "\\x1b[31mred\\t.png",
        "ab\u202egnp.png": "ab\\u202egnp.png",
        "caf\udce9.png": "caf\\xe9.png",
    }
    names |= {name: name for name in ("日本語　の.png", "می\u200cخواهم.png", "👨\u200d👩.png")}
    for i, name in enumerate(names):
        (tmp_path / "pictures").mkdir(exist_ok=True)
        (tmp_path / "pictures" / name).write_bytes(FILES[i])
    (tmp_path / "pictures" / "torn\x1b[2J.png").write_bytes(b"")
    code, _, notes = run("build", tmp_path / "pictures", "--index", tmp_path / "index", "--model", model)
    assert (code, "torn\\x1b[2J.png" in notes, "\x1b" in notes) == (0, True, False)
    code, said, _ = run("query", tmp_path / "index", "a dog", "--duplicates")
    lines = [line.rstrip() for line in said.splitlines()]
    assert (code, len(lines)) == (0, 1 + len(names))
    assert {line.split(maxsplit=1)[1] for line in lines[1:]} == set(names.values())
    assert sorted(hit["key"] for hit in asked(tmp_path / "index", "a dog", "--duplicates")) == sorted(
        name.replace("\udce9", "\\xe9") for name in names
    )


def test_pictures_that_are_not_read_are_told_of(model, pictures, tmp_path):
    folder = tmp_path / "pictures"
    shutil.copytree(pictures / "a", folder)
    for name in ("one.heic", "two.AVIF", "notes.md", ".DS_Store"):
        (folder / name).write_bytes(b"")
    code, said, notes = run("build", folder, "--index", tmp_path / "index", "--model", model)
    assert (code, said) == (0, f"{tmp_path}/index: 5 pictures\n")
    assert "2 skipped: picture in a format that is not read (convert it to JPEG or PNG), as " in notes
    assert f"1 skipped: no picture, as {folder}/notes.md" in notes
    code, _, notes = run("add", f"{folder}/*", "--index", tmp_path / "index")
    assert (code, "5 unchanged" in notes, "2 skipped: picture in a format" in notes) == (0, True, True)
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "one.heic").write_bytes(b"")
    for given in (tmp_path / "phone", tmp_path / "phone/*"):
        code, _, error = run("add", given, "--index", tmp_path / "index")
        assert (code, "but 1 .heic and such, which are not read: convert them to JPEG or PNG" in error) == (2, True)


def test_files_that_are_gone(model, pictures, tmp_path):
    folder, index = tmp_path / "pictures", tmp_path / "index"
    shutil.copytree(pictures, folder)
    run("build", folder, "--index", index, "--model", model)
    (folder / "a/000.png").unlink()
    assert run("remove", "--index", index, "--missing", folder)[:2] == (0, "1 removed\n")
    shutil.rmtree(folder)
    code, out, error = run("remove", "--index", index, "--missing", folder)
    assert (code, out, "as if its disk were not mounted" in error) == (2, "", True)
    assert run("remove", "--index", index, "--missing", folder, "--even-most")[:2] == (0, f"{NUM - 1} removed\n")


def test_thumbnails_of_all_hits_are_one_look(index, tmp_path, monkeypatch):
    looks, rows = [], Table.rows
    monkeypatch.setattr(Table, "rows", lambda table, places, columns: looks.append(len(places)) or rows(table, places, columns))
    assert all(hit["thumbnail"] for hit in asked(index, "a dog", "--duplicates", "--thumbnails"))
    run("query", index, "a dog", "--duplicates", "--grid", tmp_path / "sheet.png")
    assert looks == [NUM, NUM]
