"""Check work: the faults of each caption, as codes. What they mean for the clip is decided in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from curate.stages import ClipWork

if TYPE_CHECKING:
    from captioner.checks import Evidence

Row = dict[str, Any]


class CheckWork(ClipWork):
    """Runs captioner.checks on every kind of caption that was written, against what was measured of the clip."""

    stage = "check"
    batch_rows = 64

    def run(self, rows: list[Row], alive: Callable[[], None]) -> Iterator[tuple[str, Row]]:
        """Check a batch of captions. One that is not there has the fault that kept it from being written."""
        from captioner.evidence import evidence_of

        spec, checking = self.plan.stages.caption, self.plan.stages.check
        assert spec is not None
        assert checking is not None
        for row in rows:
            evidence = evidence_of(row, checking.counts)
            yield "check", {"clip_id": row["id"], **{kind: self._faults(row, kind, evidence) for kind in spec.kinds}}

    def _faults(self, row: Row, kind: str, evidence: Evidence) -> list[str]:
        """The codes of a kind, in the order of CODES: those of all its windows, each held to the checks on its own."""
        from captioner.checks import CODES, check
        from captioner.prompting import all_filled

        text, status = row.get(f"caption.{kind}"), row.get(f"caption.{kind}_status")
        if text is None and status not in (None, "ok"):
            return [status]
        spec, prompt = self.plan.stages.caption, self.plan.captioner.prompts.get(kind)
        assert spec is not None
        whole = {"text": text, "truncated": bool(row.get(f"caption.{kind}_truncated"))}
        found: set[str] = set()
        for part in [part for part in row.get("caption.windows") or () if part["kind"] == kind] or [whole]:
            window_s = (part["start_s"], part["end_s"]) if "start_s" in part else None
            asked = all_filled(prompt, row, spec.facts, window_s) if prompt else ""
            language = prompt.asked_language if prompt else None
            found |= {
                *check(part["text"], kind, evidence, language=language, prompt=asked, truncated=part["truncated"])
            }
        return [code for code in CODES if code in found]
