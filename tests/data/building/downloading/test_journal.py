import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from fullclip.data.building.downloading.journal import Journal

ENTRIES = [({"url": f"u{number}", "reason": ""}, bytes([number]) * (number * 37)) for number in range(20)]


def write(path, entries=ENTRIES, claim="mine"):
    journal = Journal(path, claim=claim)
    for facts, body in entries:
        journal.append(facts, body)
    journal.close()


def read(path, claim="mine"):
    journal = Journal(path, claim=claim)
    found = [(entry.facts, journal.read(entry)) for entry in journal.entries[1:]]
    journal.close()
    return found


def test_what_is_written_is_read(tmp_path):
    write(tmp_path / "a/journal")
    assert read(tmp_path / "a/journal") == ENTRIES


def test_another_claim_begins_anew(tmp_path):
    write(tmp_path / "journal")
    assert read(tmp_path / "journal", claim="yours") == []
    assert read(tmp_path / "journal") == []


@pytest.mark.faults
def test_of_a_torn_journal_all_whole_entries_are_left_and_it_goes_on(tmp_path):
    path = tmp_path / "journal"
    write(path)
    whole = path.read_bytes()
    for end in range(0, len(whole), 61):
        path.write_bytes(whole[:end] + bytes(end % 50))  # zeros: what a file system may leave behind a crash
        found = read(path)
        assert found == ENTRIES[: len(found)]
        assert len(found) >= len(ENTRIES) * end // len(whole) - 12
        write(path, ENTRIES[len(found) :])
        assert path.read_bytes() == whole


@pytest.mark.faults
def test_a_changed_byte_ends_it(tmp_path):
    path = tmp_path / "journal"
    write(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 101):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        found = read(path)
        assert found == ENTRIES[: len(found)]
        assert len(found) < len(ENTRIES)


def test_threads_write_into_one(tmp_path):
    path = tmp_path / "journal"
    journal = Journal(path, claim="mine")
    with ThreadPoolExecutor(8) as pool:
        for entry, (facts, body) in zip(pool.map(lambda one: journal.append(*one), ENTRIES * 10), ENTRIES * 10, strict=True):
            assert (entry.facts, journal.read(entry)) == (facts, body)
    journal.close()
    key = lambda one: one[0]["url"]  # noqa: E731
    assert sorted(read(path), key=key) == sorted(ENTRIES * 10, key=key)


@pytest.mark.faults
def test_a_disk_that_is_full_is_told(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "journal", claim="mine")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(OSError, match="no space left on the disk"):
        journal.append({"url": "a"}, b"body")
    monkeypatch.undo()
    journal.append({"url": "b"}, b"body")
    journal.close()
    assert read(tmp_path / "journal") == [({"url": "b"}, b"body")]
