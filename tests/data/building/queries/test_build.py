"""The list as a whole: against counters in memory, the same whatever the way there, and after any kill."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import fsspec
import pytest

import fullclip
from fullclip.core.storage import sha256
from fullclip.data.building.engine import Pool
from fullclip.data.building.queries import build
from fullclip.data.building.queries.build import Sources, Thresholds, build_queries
from fullclip.data.building.queries.lists import read_header, read_queries
from fullclip.data.drops import Drops
from stores import s3_store
from wikis import page, write_dictionary, write_dump

NUM_PAGES = 60
LOW = Thresholds(min_count=5, min_pmi=3.0, min_count_bigram=2, min_views=4, size=10_000)


def sentences(seed: int) -> list[list[str]]:
    """Words of a Zipf-like distribution, some of which go together."""
    draw = random.Random(seed)
    found = []
    for _ in range(20):
        words = [f"w{int(draw.paretovariate(0.7)) % 500}" for _ in range(draw.randrange(3, 12))]
        if draw.random() < 0.3:
            words += ["new", "york"]
        found.append(words)
    return found


def write_inputs(folder: Path) -> Sources:
    pages = [page(f"Title {seed}", ".\n".join(" ".join(line) for line in sentences(seed))) for seed in range(NUM_PAGES)]
    dumps = [write_dump(folder / "dumps/a.xml.bz2", pages[:40]), write_dump(folder / "dumps/b.xml.bz2", pages[40:])]
    views = folder / "views"
    views.mkdir()
    for hour in range(3):
        lines = [f"en Title_{number} {number % 5} 0\n" for number in range(0, 80, hour + 1)]
        (views / f"pageviews-{hour}").write_text("".join(lines) + "de Title_1 99 0\nen New_York 9 0\n")
    wordnet = write_dictionary(folder / "wordnet", ["york city", "w1 one", "york", "New_York"])
    return Sources(wikipedia=tuple(dumps), views=(str(views),), wordnet=(wordnet,))


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Sources:
    return write_inputs(tmp_path_factory.mktemp("inputs"))


def run(sources: Sources, out: Path, *, thresholds: Thresholds = LOW, workers: int = 1, **options: int) -> build.Built:
    engine = Pool(workers)
    try:
        return build_queries(sources, str(out), thresholds=thresholds, engine=engine, **options)
    finally:
        engine.close()


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]]


def reference() -> list[dict]:
    """All counters in memory, the rules as they are written."""
    lines = [line for seed in range(NUM_PAGES) for line in sentences(seed)]
    words = Counter(word for line in lines for word in line)
    pairs = Counter(pair for line in lines for pair in pairwise(line))
    total = words.total()
    scores = {pair: math.log2(total * count / (words[pair[0]] * words[pair[1]])) for pair, count in pairs.items()}
    views = Counter()
    for hour in range(3):
        views.update({f"title {number}": number % 5 for number in range(0, 80, hour + 1)})
    sources = [
        ("wordnet", "synsets", [(-2, 0, "york"), (-1, 0, "new york"), (-1, 0, "w1")]),
        ("unigram", "count", [(-count, 0, word) for word, count in words.items() if count >= 5]),
        ("bigram", "pmi", [(-round(scores[p], 6), -n, " ".join(p)) for p, n in pairs.items() if n >= 2 and scores[p] >= 3]),
        ("title", "views", [(-n, 0, title) for title, n in views.items() if n >= 4 and int(title.split()[1]) < NUM_PAGES]),
    ]
    found: dict[str, dict] = {}
    for source, measure, candidates in sources:
        for number, _, text in sorted(candidates):
            found.setdefault(text, {"query": text, "source": source, measure: -number})
    return list(found.values())


def test_the_list_is_that_of_counters_in_memory(sources, tmp_path):
    built = run(sources, tmp_path / "q.jsonl")
    expected = reference()
    assert rows(tmp_path / "q.jsonl") == expected
    assert {row["source"] for row in expected} == {"wordnet", "unigram", "bigram", "title"}
    taken = Counter(row["source"] for row in expected)
    assert {name: tally["taken"] for name, tally in built.header["sources"].items()} == taken
    assert built.header["sources"]["wordnet"] == {"passed": 3, "before": 0, "taken": 3}
    assert (built.header["queries"], built.header["articles"]) == (len(expected), NUM_PAGES)
    assert built.header["words"] == sum(len(line) for seed in range(NUM_PAGES) for line in sentences(seed))
    assert read_queries(str(tmp_path / "q.jsonl"), Drops(strict=True)) == [row["query"] for row in expected]
    inputs = {one["name"]: one["sha256"] for one in built.header["inputs"]}
    assert inputs["b.xml.bz2"] == sha256(sources.wikipedia[1])
    assert len(inputs) == 6
    assert not (tmp_path / "q.jsonl.work").exists()


@pytest.mark.parametrize("way", ["two workers", "small batches", "many pieces", "few titles at once"])
def test_the_bytes_are_the_same_whatever_the_way(sources, tmp_path, monkeypatch, way):
    run(sources, tmp_path / "a.jsonl")
    if way == "many pieces":
        monkeypatch.setattr(build, "_SIZE_OF_A_PIECE", 500)
    if way == "few titles at once":
        monkeypatch.setattr("fullclip.data.building.queries.counting._TITLES_AT_ONCE", 7)
    options = {"batch_characters": 3000} if way in ("small batches", "two workers") else {}
    run(sources, tmp_path / "b.jsonl", workers=2 if way == "two workers" else 1, **options)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_a_list_of_at_most_so_many(sources, tmp_path):
    expected = reference()
    for size in (2, 3, 60):
        cut = Thresholds(**{**LOW.__dict__, "size": size})
        built = run(sources, tmp_path / f"{size}.jsonl", thresholds=cut)
        assert rows(tmp_path / f"{size}.jsonl") == expected[:size]
        assert built.header["sources"]["unigram"]["passed"] == sum(row["source"] == "unigram" for row in expected) + 2
    assert built.header["sources"]["title"]["taken"] == 0


def test_page_views_and_wordnet_alone(sources, tmp_path):
    run(Sources(views=sources.views), tmp_path / "views.jsonl")
    titles = {row["query"]: row["views"] for row in rows(tmp_path / "views.jsonl")}
    assert titles["new york"] == 27
    assert titles["title 64"] == 8  # 64 % 5 views in the first file and in the second
    built = run(Sources(wordnet=sources.wordnet), tmp_path / "wordnet.jsonl")
    assert [row["query"] for row in rows(tmp_path / "wordnet.jsonl")] == ["york", "new york", "w1"]
    assert built.header["highest_possible_pmi"] == 0.0


SCRIPT = """
import sys
from fullclip.data.building.engine import Pool
from fullclip.data.building.queries.build import Sources, Thresholds, build_queries
if __name__ == "__main__":
    a, b, views, wordnet, out = sys.argv[1:]
    sources = Sources(wikipedia=(a, b), views=(views,), wordnet=(wordnet,))
    thresholds = Thresholds(min_count=5, min_pmi=3.0, min_count_bigram=2, min_views=4, size=10_000)
    engine = Pool(1)
    print(build_queries(sources, out, thresholds=thresholds, engine=engine, batch_characters=3000).resumed)
"""


@pytest.mark.faults
def test_killed_at_any_time_it_goes_on_and_ends_with_the_same_bytes(sources, tmp_path):
    run(sources, tmp_path / "a.jsonl", batch_characters=3000)
    out = tmp_path / "b.jsonl"
    command = [sys.executable, "-c", SCRIPT, *sources.wikipedia, *sources.views, *sources.wordnet, str(out)]
    environment = {**os.environ, "PYTHONPATH": str(Path(fullclip.__file__).parents[1])}
    codes = list[int]()
    for wanted in ("dumps/0000-000003.json", "dumps/0001-000002.pairs.parquet", "views/0001.json", "merged-*/words/00.parquet"):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while not any(tmp_path.glob(f"b.jsonl.work/{wanted}")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        codes.append(process.returncode)
    assert codes.count(-signal.SIGKILL) >= 3
    done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    assert out.read_bytes() == (tmp_path / "a.jsonl").read_bytes()
    assert done.stdout.strip().isdigit()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl"]


@pytest.mark.faults
def test_what_was_counted_before_is_not_counted_again(sources, tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise OSError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr(build, "write_queries", refuse)
        with pytest.raises(OSError, match="the disk is gone"):
            run(sources, tmp_path / "q.jsonl", batch_characters=3000)
    for name in ("count_batch", "count_views", "merge_first", "merge_second"):
        monkeypatch.setattr(build, name, refuse)
    built = run(sources, tmp_path / "q.jsonl", batch_characters=3000)
    assert built.resumed > 10
    assert rows(tmp_path / "q.jsonl") == reference()


@pytest.mark.faults
def test_a_batch_that_is_lost_is_counted_again(sources, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(build, "write_record", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            run(sources, tmp_path / "q.jsonl", batch_characters=3000)
    work = tmp_path / "q.jsonl.work/dumps"
    records = sorted(work.glob("*.json"))
    assert len(records) > 5
    records[1].write_text("torn{")
    records[3].unlink()
    built = run(sources, tmp_path / "q.jsonl", batch_characters=3000)
    assert built.resumed == len(records) - 2
    assert rows(tmp_path / "q.jsonl") == reference()


def test_other_thresholds_go_on_with_the_same_counts(sources, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(build, "write_queries", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            run(sources, tmp_path / "q.jsonl", thresholds=Thresholds(min_count=50, min_pmi=9.0, min_views=10))
    built = run(sources, tmp_path / "q.jsonl")
    assert built.resumed == 5
    assert rows(tmp_path / "q.jsonl") == reference()


def test_a_list_that_is_there(sources, tmp_path):
    out = tmp_path / "q.jsonl"
    run(sources, out)
    before = out.stat().st_mtime_ns
    (tmp_path / "q.jsonl.work").mkdir()  # killed just before it was removed
    assert run(sources, out).header == read_header(str(out))
    assert out.stat().st_mtime_ns == before
    assert not (tmp_path / "q.jsonl.work").exists()
    with pytest.raises(ValueError, match="other files or with other thresholds"):
        run(sources, out, thresholds=Thresholds())
    with pytest.raises(ValueError, match="other files or with other thresholds"):
        run(Sources(wordnet=sources.wordnet), out)


@pytest.mark.faults
def test_other_inputs_are_refused(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "write_queries", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        run(sources, tmp_path / "q.jsonl")
    with pytest.raises(ValueError, match=r"q.jsonl.work was begun with other files or another --language"):
        run(Sources(wordnet=sources.wordnet), tmp_path / "q.jsonl")


@pytest.mark.parametrize(
    ("given", "name", "said"),
    [
        ({}, "q.jsonl", "nothing to make queries of; give --wikipedia"),
        ({"wordnet": True}, "q.txt", "the list is a .jsonl file"),
        ({"wikipedia": ("no/such.bz2",)}, "q.jsonl", "no .bz2 files match"),
        ({"views": ("",)}, "q.jsonl", "empty name"),
    ],
)
def test_what_cannot_be_is_one_line(sources, tmp_path, given, name, said):
    chosen = Sources(wordnet=sources.wordnet) if "wordnet" in given else Sources(**given)
    with pytest.raises(ValueError, match=said):
        run(chosen, tmp_path / name)


def test_in_a_store_as_on_the_disk(sources, tmp_path):
    run(sources, tmp_path / "q.jsonl")
    with s3_store("queries"):
        files = fsspec.filesystem("s3")
        for path in (*sources.wikipedia, *sources.views, *sources.wordnet):
            files.put(path, f"queries/in/{Path(path).name}", recursive=True)
        there = Sources(
            wikipedia=("s3://queries/in/a.xml.bz2", "s3://queries/in/b.xml.bz2"),
            views=("s3://queries/in/views",),
            wordnet=("s3://queries/in/wordnet",),
        )
        engine = Pool(1)
        build_queries(there, "s3://queries/out/q.jsonl", thresholds=LOW, engine=engine)
        assert files.cat_file("queries/out/q.jsonl") == (tmp_path / "q.jsonl").read_bytes()
        files.invalidate_cache()
        assert files.ls("queries/out", detail=False) == ["queries/out/q.jsonl"]


def test_no_query_passes(sources, tmp_path):
    with pytest.raises(ValueError, match="no query passes; give lower thresholds"):
        run(Sources(wikipedia=sources.wikipedia[:1]), tmp_path / "q.jsonl", thresholds=Thresholds(min_count=10**6))


def real_dump() -> str | None:
    """The extract of Wikipedia that gensim has, or the dump that FULLCLIP_WIKIPEDIA names."""
    if "FULLCLIP_WIKIPEDIA" in os.environ:
        return os.environ["FULLCLIP_WIKIPEDIA"]
    from importlib.util import find_spec

    found = find_spec("gensim")
    name = "test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
    path = Path(found.origin).parent / name if found and found.origin else None
    return str(path) if path and path.exists() else None


@pytest.mark.skipif(
    real_dump() is None, reason="no dump: FULLCLIP_WIKIPEDIA is not set and gensim, which has one, is not there"
)
def test_a_part_of_wikipedia_itself(tmp_path):
    thresholds = Thresholds(min_count=20, min_pmi=8.0, min_count_bigram=10)
    built = run(Sources(wikipedia=(real_dump(),)), tmp_path / "q.jsonl", thresholds=thresholds)
    sources = {}
    for row in rows(tmp_path / "q.jsonl"):
        sources.setdefault(row["source"], []).append(row["query"])
    assert sources["unigram"][0] == "the"
    assert {"los angeles", "prime minister"} <= set(sources["bigram"])
    assert built.header["articles"] >= 100
    for markup in ("thumb", "px", "ref", "https", "align", "colspan", "nbsp", "infobox"):
        assert markup not in sources["unigram"]
