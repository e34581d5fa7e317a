"""What was measured of a clip, as the checks of captions want it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from captioner.checks import Evidence

# Columns that say something which a caption may contradict.
COLUMNS = ("gist.colours", "gist.shares", "camera.motion", "text_overlay.strings")


def evidence_of(row: Mapping[str, Any], counts: Mapping[str, str] | None = None) -> Evidence:
    """Evidence from a row with whatever of the columns was measured. counts: column by noun."""
    colours, shares = row.get("gist.colours"), row.get("gist.shares")
    seen = {noun: row.get(column) for noun, column in (counts or {}).items()}
    return Evidence(
        texts=row.get("text_overlay.strings"),
        colours=dict(zip(colours, shares, strict=True)) if colours is not None and shares is not None else None,
        counts={noun: round(count) for noun, count in seen.items() if count is not None} or None,
        camera=row.get("camera.motion"),
    )
