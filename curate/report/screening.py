"""What was screened, in words. An unscreened category is said first and plainly (DESIGN 1.5: safety fails closed)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from curate.errors import StorageError
from curate.plan import Plan
from curate.spec import REQUIRED_CATEGORIES

_UNSCREENED = "unscreened"


def screening(plan: Plan, receipt: Path) -> dict[str, Any]:
    """One row a category: from the dataset's receipt where there is one, else from the spec."""
    given = _receipt(receipt) or {}
    screen = plan.stages.screen
    names = screen.categories if screen is not None else {name: {} for name in REQUIRED_CATEGORIES}
    said = given.get("categories") or {name: list(screens) or _UNSCREENED for name, screens in names.items()}
    calibrated = given.get("calibrated") or {name: name in plan.calibration for name in names}
    rows = [_row(name, said.get(name, _UNSCREENED), bool(calibrated.get(name))) for name in names]
    required = [row for row in rows if row["name"] in REQUIRED_CATEGORIES]
    accepted = list(getattr(plan.spec.train, "allow_unscreened", []) or [])
    return {
        "categories": rows,
        "unscreened": [row["name"] for row in required if not row["screens"]],
        "uncalibrated": [row["name"] for row in required if row["screens"] and not row["calibrated"]],
        "accepted": [name for name in accepted if name in REQUIRED_CATEGORIES],
        "policy": _policy(given.get("policy")),
        "lists": [f"{known['name']} of {known['updated']}" for known in given.get("lists") or []],
        "window_s": given.get("miss_window_s"),
        "revoked": given.get("revoked") or "",
        "digest": given.get("digest") or "",
    }


def _policy(policy: dict[str, str] | None) -> str:
    return f"{policy['name']}, profile {policy['profile']}" if policy else ""


def _row(name: str, screens: list[str] | str, calibrated: bool) -> dict[str, Any]:
    named = "" if screens == _UNSCREENED or not screens else ", ".join(screens)
    return {"name": name, "screens": named, "calibrated": calibrated}


def _receipt(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read ({error}); export again") from error
