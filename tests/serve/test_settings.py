"""Keys, limits and addresses: what is said once, and refused where it is wrong."""

import pytest

from fullclip.serve.app import model_name
from fullclip.serve.errors import scrubbed
from fullclip.serve.keys import Keys, read_keys
from fullclip.serve.run import Place, address_of, listen
from fullclip.serve.settings import Limits, is_loopback, names_of

KEYS = ("a" * 16, "b" * 32)


def test_keys_of_both_places(tmp_path):
    file = tmp_path / "keys.txt"
    file.write_text(f"# ours\n{KEYS[1]}  # of the page\n\n{KEYS[0]}\n")
    assert read_keys({"FULLCLIP_API_KEYS": f"{KEYS[0]}, {'c' * 20}"}, file) == (KEYS[0], "c" * 20, KEYS[1])
    assert read_keys({}, None) == ()


@pytest.mark.parametrize("given", ["", " , ", "short", "a" * 15, "ä" * 20])
def test_keys_that_are_none(given):
    with pytest.raises(ValueError, match="key"):
        read_keys({"FULLCLIP_API_KEYS": given}, None)


def test_a_file_without_keys(tmp_path):
    file = tmp_path / "keys.txt"
    file.write_text("# none yet\n")
    with pytest.raises(ValueError, match="no key in it"):
        read_keys({}, file)


def test_who_has_a_key():
    keys = Keys(KEYS)
    for key in KEYS:
        assert keys.allow(f"Bearer {key}".encode())
        assert keys.allow(f"  bearer   {key} ".encode())
    for header in (
        b"",
        b"Bearer",
        b"Bearer ",
        KEYS[0].encode(),
        b"Basic " + KEYS[0].encode(),
        b"Bearer " + KEYS[0][:-1].encode(),
    ):
        assert not keys.allow(header)
    assert not Keys(()).allow(b"Bearer ")
    assert not Keys(())


def test_limits_that_contradict_each_other():
    for wrong in ({"items": 0}, {"pixels": -1}, {"seconds": 0.0}, {"items": 3_000}, {"prompts": 20_000}, {"seconds": 1e400}):
        with pytest.raises(ValueError):
            Limits(**wrong)
    assert Limits(gather_seconds=0.0).gather_seconds == 0


def test_what_is_the_loopback():
    for host in ("127.0.0.1", "127.9.9.9", "localhost", "::1"):
        assert is_loopback(host)
    for host in ("0.0.0.0", "::", "192.168.0.1", "example.org", ""):  # noqa: S104
        assert not is_loopback(host)
    assert names_of("127.0.0.1", api_keys=KEYS) == ()
    assert names_of("0.0.0.0", api_keys=()) == ()  # noqa: S104
    assert set(names_of("::1", api_keys=())) == {"localhost", "127.0.0.1", "[::1]"}
    for host, keys in (("127.0.0.1", ()), ("127.0.0.1", KEYS), ("0.0.0.0", ())):  # noqa: S104
        assert set(names_of(host, api_keys=keys, allowed=["a.example"])) >= {"localhost", "127.0.0.1", "a.example"}


def test_others_are_let_in_only_if_somebody_says_so():
    with pytest.raises(ValueError, match="no API keys"):
        Place(host="0.0.0.0").check(has_keys=False, is_open=False)  # noqa: S104
    Place(host="0.0.0.0").check(has_keys=True, is_open=False)  # noqa: S104
    Place(host="0.0.0.0").check(has_keys=False, is_open=True)  # noqa: S104
    Place().check(has_keys=False, is_open=False)


def test_where_nothing_can_listen():
    with listen(Place(port=0)) as first:
        address = address_of(first, "127.0.0.1")
        port = int(address.rpartition(":")[2])
        with pytest.raises(OSError, match=f"port {port}"):
            listen(Place(port=port))
    with pytest.raises(OSError, match="--host"):
        listen(Place(host="no such host.invalid", port=0))


def test_paths_are_taken_out_of_messages():
    for message, expected in (
        ("/srv/a b/index: no such folder", "… b/index: no such folder"),
        ("cannot open '/home/somebody/model.pt': gone", "cannot open '…': gone"),
        ("a/b and 1/2 stay, /x stays", "a/b and 1/2 stay, /x stays"),
        ("two\nlines", "two lines"),
    ):
        assert scrubbed(message) == expected
    assert len(scrubbed("x" * 5000)) == 401


def test_what_a_model_is_called(tmp_path):
    assert model_name("small") == "small"
    assert model_name("openai/ViT-B-32") == "openai/ViT-B-32"
    assert model_name(str(tmp_path)) == tmp_path.name
    assert model_name("/srv/models/not-there") == "not-there"
