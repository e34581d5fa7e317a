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
    given = _receipt(receipt) or {
        "categories": {name: list(getattr(plan.stages.screen, name, ())) or _UNSCREENED for name in REQUIRED_CATEGORIES}
    }
    rows = [_row(name, given["categories"].get(name, _UNSCREENED)) for name in REQUIRED_CATEGORIES]
    accepted = list(getattr(plan.spec.train, "allow_unscreened", []) or [])
    return {
        "categories": rows,
        "unscreened": [row["name"] for row in rows if not row["screens"]],
        "accepted": [name for name in accepted if name in REQUIRED_CATEGORIES],
        "policy": _policy(given.get("policy")),
        "digest": given.get("digest") or "",
    }


def _policy(policy: dict[str, str] | None) -> str:
    return f"{policy['name']}, profile {policy['profile']}" if policy else ""


def _row(name: str, screens: list[str] | str) -> dict[str, Any]:
    return {"name": name, "screens": "" if screens == _UNSCREENED or not screens else ", ".join(screens)}


def _receipt(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read ({error}); export again") from error
