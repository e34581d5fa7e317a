"""The caption checks on planted faults of every kind and on good captions: recall and precision per code.

    python -m benchmarks.caption_checks [--seed N] [--each 400] [--misses] --json

Precision of a code: of all captions flagged with it among the planted ones of its kind and the good ones, the share
that was planted. --misses prints what was missed and what was flagged wrongly.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from benchmarks._caption_faults import FAULTS
from benchmarks._caption_scenes import Case, good
from benchmarks.result import show
from captioner.checks import check

EACH, BAR = 400, 0.95


def codes_of(case: Case) -> tuple[str, ...]:
    """What the checks say."""
    return check(
        case.text, case.kind, case.evidence, language="en", prompt=case.prompt, truncated=case.truncated,
    )  # fmt: skip


def measured(seed: int, each: int, misses: bool = False) -> dict[str, dict[str, float]]:
    """Recall and precision per code."""
    goods = [good(np.random.default_rng([seed, 0, i])) for i in range(each)]
    alarms = [codes_of(case) for case in goods]
    rows = {}
    for number, code in enumerate(FAULTS, 1):
        planted = [FAULTS[code](np.random.default_rng([seed, number, i])) for i in range(each)]
        hits = [code in codes_of(case) for case in planted]
        false = [case for case, found in zip(goods, alarms, strict=True) if code in found]
        flagged = sum(hits) + len(false)
        rows[code] = {"recall": sum(hits) / each, "precision": round(sum(hits) / flagged, 4) if flagged else 0.0}
        if misses:
            for what in dict.fromkeys(
                [f"{code} missed: {case.text[-160:]!r} {case.evidence}" for case, hit in zip(planted, hits,
                strict=True) if not hit]
                + [f"{code} false: {case.text[-400:]!r} {case.evidence}" for case in false]
            ):  # fmt: skip
                print(what, file=sys.stderr)
    return rows


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--each", type=int, default=EACH)
    parser.add_argument("--misses", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = {f"seed {seed}": measured(seed, args.each, args.misses) for seed in args.seed or (1,)}
    for seed, found in rows.items():
        for code, row in found.items():
            print(f"{seed} {code:15} recall {row['recall']:.4f} precision {row['precision']:.4f}")
    worst = min(value for found in rows.values() for row in found.values() for value in row.values())
    show("caption_checks", worst, "lowest recall or precision of any code", f"{BAR}", each=args.each, rows=rows)


if __name__ == "__main__":
    main()
