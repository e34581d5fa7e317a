"""Labels from files and contact sheets."""

from __future__ import annotations

from pathlib import Path

from curate.errors import SpecError
from curate.locations import yes_or_no
from curate.manifests import rows_of
from filters.heads.recipe import Recipe
from filters.heads.sheet import write_sheet


def read_labels(path: Path) -> dict[str, bool]:
    """Labels of a file with `item` (a clip id or a path) and `label`.

    Raises:
        SpecError: it cannot be read, or a row says neither yes nor no.
    """
    labels: dict[str, bool] = {}
    for number, row in enumerate(rows_of(str(path)), 1):
        label = yes_or_no(row.get("label"), f"{path} row {number}: the label")
        if not row.get("item") or label is None:
            raise SpecError(f"{path} row {number}: `item` and `label` (true or false) are needed, not {row!r:.120}")
        labels[str(row["item"])] = label
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
