"""How well captions fit their own clips, as the test of `caption: match` found it (curate/stages/match.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curate.decisions import good_captions
from curate.ledger import Ledger
from curate.models import folder_sha256
from curate.report.words import count, number, rounded, share
from curate.stages import match

if TYPE_CHECKING:
    from curate.run import Run


def match_view(run: Run, ledger: Ledger) -> dict[str, Any] | None:
    """Match rate and CLIP score by kind with what they rest on, and the captions that fit worst; None where the spec
    tests none, or nothing was tested in its manner yet. The record holds no text: what was sealed since is not shown.

    Raises:
        StorageError: the record is damaged.
    """
    caption = run.plan.stages.caption
    if caption is None or caption.match is None or (record := match.recorded(run.out)) is None:
        return None
    if (record["weights"], record["how"]) != (folder_sha256(run.plan.match_model), caption.match.how):
        return None
    bound = caption.match.min_rate
    return {
        "model": record["model"],
        "clips": count(record["clips"], "clip"),
        "unreadable": len(record["unreadable"]),
        "bound": share(bound, 1.0),
        "neighbours": caption.match.neighbours,
        "kinds": [_kind(kind, row, bound) for kind, row in record["captions"].items()],
        "worst": [
            entry for kind, row in record["captions"].items() for entry in _worst(kind, row["worst"], run, ledger)
        ],
    }


def _worst(kind: str, entries: list[dict[str, Any]], run: Run, ledger: Ledger) -> list[dict[str, str]]:
    """These clips, with their captions where they are kept; what is no clip any more (sealed) is not named."""
    kept = ledger.where("kept")
    texts = dict(zip(kept["clip_id"].to_pylist(), good_captions(kept, run.plan)[kind], strict=True)) if entries else {}
    known = set(ledger.clips["clip_id"].to_pylist())
    rows = [(entry, texts.get(entry["clip"]) or "") for entry in entries if entry["clip"] in known]
    return [
        {"kind": kind, "clip": entry["clip"][:12], "text": text, "won": share(entry["won"], 1.0)}
        for entry, text in rows
    ]


def _kind(kind: str, row: dict[str, Any], bound: float) -> dict[str, Any]:
    rate, rate_95, score, score_95 = (row[n] for n in ("match_rate", "match_rate_95", "clip_score", "clip_score_95"))
    return {
        "name": kind,
        "captions": number(row["n"]),
        "comparisons": number(row["comparisons"]),
        "rate": "-" if rate is None else share(rate, 1.0),
        "rate_95": "" if rate_95 is None else " to ".join(share(end, 1.0) for end in rate_95),
        "below": rate is not None and rate < bound,
        "score": "-" if score is None else rounded(score),
        "score_95": "" if score_95 is None else " to ".join(rounded(end) for end in score_95),
        "lost": row["lost"],
        "cut": row["cut"],
    }
