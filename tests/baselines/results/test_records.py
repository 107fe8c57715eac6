"""A comparison's folder: what is finished stays, what is damaged is named."""

import pytest

from fullclip.baselines.results.records import held, read_rows


def test_finished_parts_stay_and_others_are_refused(tmp_path):
    settings = {"a": {"b": 1}, "c": "x"}
    with held(tmp_path / "out", settings) as records:
        assert not records.has(method="m", seed=0)
        records.add([{"method": "m", "seed": 0, "value": 0.5}, {"method": "m", "seed": 0, "value": 0.6}])
        with pytest.raises(ValueError, match=r"another process is comparing into .*: wait for its end"):
            held(tmp_path / "out", settings).__enter__()
    with held(tmp_path / "out", settings) as records:
        assert records.has(method="m", seed=0)
        assert not records.has(method="m", seed=1)
        assert [row["value"] for row in records.rows] == [0.5, 0.6]
    with (
        pytest.raises(ValueError, match=r"a\.b is 2, but the comparison in .* was begun with 1; go on with the same"),
        held(tmp_path / "out", {"a": {"b": 2}, "c": "x"}),
    ):
        pass


def test_damaged_records_are_named(tmp_path):
    results = tmp_path / "results.jsonl"
    results.write_text('{"method": "m"}\n{"meth')
    with pytest.raises(ValueError, match=r"results.jsonl:2: '\{\"meth' is no result; remove that line"):
        read_rows(results)
    with pytest.raises(ValueError, match="holds results, but not what they were made with"), held(tmp_path, {"a": 1}):
        pass
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(ValueError, match=r"settings.json is damaged .*; give another --out"), held(tmp_path, {"a": 1}):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file is a file; give a folder with --out"), held(tmp_path / "file", {}):
        pass
