"""The table of mannerisms: how original and synthetic captions are written, side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from curate.report.words import number, share

if TYPE_CHECKING:
    from captioner.mannerisms import Mannerisms

_SHARES = {
    "upper": "starts with a capital",
    "lower": "all in lower case",
    "ended": "ends as a sentence does",
    "article": "starts with a, an or the",
    "repeated": "repeats another caption word for word",
}


def manners(texts: Mapping[str, Sequence[str]], own: str = "original") -> dict[str, Any] | None:
    """Rows of the table by what is counted, a column for each kind that has texts; None where none has.

    A cell is `warn` where a share differs from that of the captions of kind `own` by more than chance.
    """
    from captioner.mannerisms import FEWEST, GAP, OPENER_WORDS, PHRASE, PHRASES, compared, gaps

    found = compared(texts)
    if not any(kind != own for kind in found):
        return None
    unlike = {k: gaps(m, found[own]) if own in found and k != own else () for k, m in found.items()}

    def row(name: str, cell: Callable[[Mannerisms], Any], of: str = "") -> dict[str, Any]:
        return {"name": name, "cells": [{"value": cell(m), "warn": of in unlike[k]} for k, m in found.items()]}

    rows = [row("captions", lambda m: number(m.count))]
    rows += [row(title, lambda m, name=name: share(getattr(m, name), 1), name) for name, title in _SHARES.items()]
    rows.append(row("words, mean", lambda m: f"{m.mean:.1f}"))
    rows.append(row("words, 5 % / half / 95 % have at most", lambda m: f"{m.p5} / {m.p50} / {m.p95}"))
    rows += [row(f"different {n}-grams", lambda m, n=n: _part(m.distinct[n])) for n in (1, 2, 3)]
    rows.append(row(f"{PHRASES} commonest {PHRASE}-grams make up", lambda m: _part(m.phrases)))
    openers = [
        row(
            f"first {n} words" if n > 1 else "first word",
            lambda m, n=n: [{"text": text, "share": share(part, 1)} for text, part in m.openers[n]],
        )
        for n in OPENER_WORDS
    ]
    sampled = next(iter(found.values())).sampled
    return {
        "kinds": list(found), "rows": rows, "openers": openers, "own": own if own in found else "",
        "sampled": number(sampled[PHRASE]), "marked": any(unlike.values()), "gap": f"{100 * GAP:.0f} points",
        "fewest": FEWEST,
        "few": own in found and min(m.count for m in found.values()) < FEWEST,
    }  # fmt: skip


def _part(value: float | None) -> str:
    return "-" if value is None else share(value, 1)
