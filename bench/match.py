"""Texts a minute of processor time through the matching of 500,000 queries, beside other ways in the same run.

python bench/match.py        ours, ahocorasick_rs (where it is installed), and Python's `in` for each query, as ratios
"""

import argparse
import importlib.util
import re
import time
from collections.abc import Callable, Sequence

import numpy as np

from fullclip.data.building.match import Matcher, marked, normalize


def language(num_words: int, *, seed: int) -> list[str]:
    """Words with the lengths and letters of a language."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("etaoinshrdlcumwfgypbvkjxqz"))
    chances = 1 / np.arange(2, 28)
    lengths = rng.integers(2, 11, size=num_words)
    drawn = rng.choice(letters, size=int(lengths.sum()), p=chances / chances.sum())
    ends = np.cumsum(lengths)
    return list(dict.fromkeys("".join(drawn[end - length : end]) for end, length in zip(ends, lengths, strict=True)))


def queries_and_texts(num_queries: int, num_texts: int) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(1)
    words = language(num_queries, seed=0)[: num_queries // 2]
    pairs = rng.integers(len(words), size=(num_queries - len(words), 2))
    queries = [*words, *(f"{words[a]} {words[b]}" for a, b in pairs)]
    ranks = np.minimum(rng.zipf(1.3, size=num_texts * 12) - 1, len(words) - 1)
    lengths = rng.integers(4, 13, size=num_texts)
    ends = np.cumsum(lengths)
    texts = [" ".join(words[rank] for rank in ranks[end - length : end]) for end, length in zip(ends, lengths, strict=True)]
    return queries, texts


def rate(find: Callable[[str], Sequence[int]], texts: Sequence[str]) -> tuple[float, list[list[int]]]:
    """Texts a minute, and what was found."""
    began = time.process_time()
    found = [list(find(text)) for text in texts]
    return 60 * len(texts) / (time.process_time() - began), found


def one_by_one(queries: Sequence[str]) -> Callable[[str], list[int]]:
    """Spaces around both, and Python's `in` for each query."""
    spaced = [f" {query} " for query in queries]

    def find(text: str) -> list[int]:
        whole = " " + re.sub(r"[^\w]+", " ", text.lower()) + " "
        return [number for number, query in enumerate(spaced) if query in whole]

    return find


def in_rust(queries: Sequence[str]) -> Callable[[str], list[int]]:
    """The same marked texts through the automaton of another package."""
    import ahocorasick_rs as library

    kinds = {"matchkind": library.MatchKind.Standard, "store_patterns": False}
    automaton = library.AhoCorasick([marked(normalize(query)) for query in queries], **kinds)
    return lambda text: sorted({n for n, _, _ in automaton.find_matches_as_indexes(marked(normalize(text)), overlapping=True)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=500_000)
    parser.add_argument("--texts", type=int, default=20_000)
    given = parser.parse_args()
    queries, texts = queries_and_texts(given.queries, given.texts)
    began = time.process_time()
    matcher = Matcher(queries)
    print(f"{len(queries):,} queries, built in {time.process_time() - began:.1f} s")
    ours, found = rate(matcher.find, texts)
    print(f"fullclip           {ours:>12,.0f} texts a minute, {sum(map(len, found)) / len(texts):.1f} matches a text")
    if importlib.util.find_spec("ahocorasick_rs"):
        theirs, others = rate(in_rust(queries), texts)
        print(f"ahocorasick_rs     {theirs:>12,.0f}    ratio {ours / theirs:.1f}, the same matches: {found == others}")
    few = texts[:40]
    naive, others = rate(one_by_one(queries), few)
    print(f"`in` for each      {naive:>12,.0f}    ratio {ours / naive:,.0f}, the same matches: {found[: len(few)] == others}")


if __name__ == "__main__":
    main()
