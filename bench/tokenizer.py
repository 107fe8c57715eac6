"""Texts a second: our tokenizer against openai/CLIP's own Python, on the same captions, in one run.

make bench, or: python bench/tokenizer.py [--captions FILE]      (needs the package clip-anytorch)
"""

import argparse
import gzip
import importlib.util
import statistics
import time
from pathlib import Path

from fullclip.preprocess.tokenizer import Tokenizer

CAPTIONS = Path(__file__).parents[1] / "tests/data_files/captions.txt.gz"
ROUNDS = 5


def openai_tokenizer():
    """openai/CLIP's SimpleTokenizer, from its file alone: the package around it imports torchvision."""
    package = importlib.util.find_spec("clip")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("openai/CLIP's code is not installed: pip install --no-deps clip-anytorch")
    spec = importlib.util.spec_from_file_location("peer", Path(package.submodule_search_locations[0]) / "simple_tokenizer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SimpleTokenizer()


def openai_rows(tokenizer, texts: list[str]) -> list[list[int]]:
    """What its `clip.tokenize` does, but for the tensor."""
    return [[49406, *tokenizer.encode(text)[:75], 49407] for text in texts]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=Path, default=CAPTIONS, help="a file with a caption a line, plain or .gz")
    path = parser.parse_args().captions
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    texts = data.decode("utf-8").splitlines()
    ours, theirs = Tokenizer.clip(), openai_tokenizer()
    ascii_share = sum(text.isascii() for text in texts) / len(texts)
    print(f"{len(texts):,} texts, {ascii_share:.0%} of them ASCII")
    ratios = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        openai_rows(theirs, texts)
        middle = time.perf_counter()
        ours.encode(texts, truncate=True)
        end = time.perf_counter()
        ratios.append((middle - start) / (end - middle))
        rates = len(texts) / (middle - start), len(texts) / (end - middle)
        print(f"openai/CLIP {rates[0]:>9,.0f} texts/s   fullclip {rates[1]:>9,.0f} texts/s   ratio {ratios[-1]:.2f}")
    print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
