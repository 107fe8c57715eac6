"""What `fullclip data decontaminate` found among the training pairs -> overlap.txt, the keys that `prepare.py` leaves out.

    for part in photos named drawings stamps; do
      fullclip data decontaminate pairs/$part/train --task tasks/cifar10 --task tasks/sample-heldout ... --dry-run --json
    done | python runs/small/overlap.py > runs/small/overlap.txt

with pairs that were made without the list, and the tasks of `tasks.py`. Says above the keys how many pictures of which set they
are like.
"""

import json
import sys
from collections import defaultdict
from typing import IO


def overlap(found: IO[str]) -> list[str]:
    """The lines of overlap.txt from the reports, JSON one after the other."""
    text, decoder, keys, sets = found.read().strip(), json.JSONDecoder(), set[str](), defaultdict[str, list[int]](list)
    while text:
        report, end = decoder.raw_decode(text)
        text = text[end:].lstrip()
        for name, overlaps in report["sets"].items():
            keys |= {pair["training_key"] for pair in overlaps["pairs"]}
            sets[name].append(overlaps["num_training"])
    return [*(f"# {name}: {sum(counts)} training pictures" for name, counts in sorted(sets.items())), *sorted(keys)]


if __name__ == "__main__":
    try:
        print(*overlap(sys.stdin), sep="\n")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        sys.exit(f"overlap: no reports of `fullclip data decontaminate --json` ({error!r})")
