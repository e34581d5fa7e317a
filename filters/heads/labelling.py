"""Labels from files and contact sheets."""

from __future__ import annotations

from pathlib import Path

from curate.errors import SpecError
from curate.manifests import rows_of
from filters.heads.recipe import Recipe
from filters.heads.sheet import write_sheet

_WORDS = {"true": True, "1": True, "1.0": True, "yes": True, "false": False, "0": False, "0.0": False, "no": False}


def read_labels(path: Path) -> dict[str, bool]:
    """Labels of a file with `item` (a clip id or a path) and `label`.

    Raises:
        SpecError: it cannot be read, or a row says neither yes nor no.
    """
    labels: dict[str, bool] = {}
    for number, row in enumerate(rows_of(str(path)), 1):
        said = str(row.get("label", "")).lower()
        if not row.get("item") or said not in _WORDS:
            raise SpecError(f"{path} row {number}: `item` and `label` (true or false) are needed, not {row!r:.120}")
        labels[str(row["item"])] = _WORDS[said]
    return labels


def write_next(recipe: Recipe, sheet: Path, strategy: str, count: int) -> int:
    """Write a contact sheet of the clips that are next; how many there are. Each is shown by its middle frame."""
    items = recipe.next_items(strategy, count)
    if not items:
        raise SpecError("every clip of the run has a label already, or nothing is flagged: there is nothing to show")
    frames = dict(recipe.pool.frames(set(items)))
    shown = [item for item in items if item in frames]
    write_sheet(sheet, shown, [frames[item][len(frames[item]) // 2] for item in shown], strategy)
    return len(shown)
