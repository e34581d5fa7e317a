"""The caption checks on planted faults of every kind and on good captions: recall and precision per code.

    python -m benchmarks.caption_checks [--seed N] [--each 400] [--misses] --json

Precision of a code: of all captions flagged with it among the planted ones of its kind and the good ones, the share
that was planted. Beside them stand captions written before the checks saw them (_caption_held_out.py). --misses prints
what was missed and what was flagged wrongly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np

from benchmarks._caption_faults import FAULTS
from benchmarks._caption_held_out import HELD_OUT
from benchmarks._caption_scenes import PROMPT, Case, good
from benchmarks.result import show
from captioner.checks import check

EACH, BAR = 400, 0.95


def codes_of(case: Case) -> tuple[str, ...]:
    """What the checks say."""
    return check(
        case.text, case.kind, case.evidence, language="en", prompt=case.prompt, truncated=case.truncated,
    )  # fmt: skip


def distinct(draw: Callable[[np.random.Generator], Case], seed: list[int], each: int) -> list[Case]:
    """So many cases with different texts. RuntimeError where there are not enough."""
    found: dict[str, Case] = {}
    for i in range(4 * each):
        case = draw(np.random.default_rng([*seed, i]))
        found.setdefault(case.text, case)
        if len(found) == each:
            return list(found.values())
    raise RuntimeError(f"only {len(found)} different texts of {4 * each} drawn; {each} are needed")


def held_out(misses: bool = False) -> dict[str, float]:
    """Recall and precision on captions that were written before the checks were run on them."""
    hit = wrong = alarms = 0
    for code, kind, text, evidence in HELD_OUT:
        found = check(text, kind, evidence, language="en", prompt=PROMPT)
        hit += bool(code) and code in found
        wrong += bool(code) and code not in found
        alarms += not code and bool(found)
        if misses and (code not in found if code else found):
            print(f"held out {code or 'good'}: {found} {text!r}", file=sys.stderr)
    goods = sum(not code for code, *_ in HELD_OUT)
    return {
        "recall": round(hit / (hit + wrong), 4), "precision": round(hit / (hit + alarms), 4), "faulty": hit + wrong,
        "good": goods, "false_alarms": alarms,
    }  # fmt: skip


def measured(seed: int, each: int, misses: bool = False) -> dict[str, dict[str, float]]:
    """Recall and precision per code. All texts of a kind are different."""
    goods = distinct(good, [seed, 0], each)
    alarms = [codes_of(case) for case in goods]
    rows = {}
    for number, code in enumerate(FAULTS, 1):
        planted = distinct(FAULTS[code], [seed, number], each)
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
    held = held_out(args.misses)
    print(f"held out        recall {held['recall']:.4f} precision {held['precision']:.4f} of {len(HELD_OUT)}")
    worst = min(value for found in rows.values() for row in found.values() for value in row.values())
    show("caption_checks", worst, "lowest recall or precision of any code", f"{BAR}", each=args.each, rows=rows,
         held_out=held)  # fmt: skip


if __name__ == "__main__":
    main()
