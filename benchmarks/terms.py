"""Terms: do the lists that ship hit anything in captions of real footage, and what does a caption cost?

    python -m benchmarks.terms [--data MANIFEST] --json

Prints every hit with its caption. Hits of `minors` are a signal and no verdict; others in benign captions are false.
That every term is found in every disguise, and every exemption shields, is held by tests/filters/test_terms.py.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from benchmarks.result import show
from filters._terms import SHIPPED, load_lists

SHARED = Path(__file__).parents[2] / "shared"


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "manifest.jsonl")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not args.data.is_file():
        print(f"skipped: {args.data} is not there")
        return
    lists = load_lists(sorted(path.stem for path in SHIPPED.glob("*.yaml")))
    rows = [json.loads(line) for line in args.data.read_text(encoding="utf-8").splitlines()]
    texts = [value for row in rows for key, value in row.items() if "caption" in key and isinstance(value, str)]
    counts: Counter[str] = Counter()
    begun = time.process_time()
    found = [(text, lists.hits(text)) for text in texts]
    spent = time.process_time() - begun
    for text, hits in found:
        for hit in hits:
            counts[hit.category] += 1
            print(f"{hit.category}: {hit.term!r} in {text!r}", file=sys.stderr)
    false = sum(count for category, count in counts.items() if category != "minors")
    show("terms", false, f"hits beside minors in {len(texts)} captions of benign footage", "0", hits=dict(counts),
         terms=sum(len(terms) for terms in lists.coverage().values()),
         microseconds_per_caption=round(1e6 * spent / max(1, len(texts)), 1))  # fmt: skip


if __name__ == "__main__":
    main()
