"""Check work: the faults of each caption, as codes. What they mean for the clip is decided in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from curate.stages import ClipWork

Row = dict[str, Any]


class CheckWork(ClipWork):
    """Runs captioner.checks on every kind of caption that was written, against what was measured of the clip."""

    stage = "check"
    batch_rows = 64

    def run(self, rows: list[Row], alive: Callable[[], None]) -> Iterator[tuple[str, Row]]:
        """Check a batch of captions. One that is not there has the fault that kept it from being written."""
        from captioner.checks import check
        from captioner.evidence import evidence_of

        spec, checking = self.plan.stages.caption, self.plan.stages.check
        assert spec is not None
        assert checking is not None
        for row in rows:
            evidence = evidence_of(row, checking.counts)
            faults = {}
            for kind in spec.kinds:
                prompt = self.plan.captioner.prompts.get(kind)
                text, status = row.get(f"caption.{kind}"), row.get(f"caption.{kind}_status")
                if text is None and status not in (None, "ok"):
                    faults[kind] = [status]
                    continue
                asked, language = (prompt.every_text, prompt.asked_language) if prompt else ("", None)
                cut = status == "truncated"
                faults[kind] = list(check(text, kind, evidence, language=language, prompt=asked, truncated=cut))
            yield "check", {"clip_id": row["id"], **faults}
