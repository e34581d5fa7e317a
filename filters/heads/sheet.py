"""Contact sheets: what is next to be labelled as numbered tiles of one picture, and a file that says which is which."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from curate.errors import SpecError
from curate.store import write_atomic

TILE, COLUMNS, FOOT = 192, 6, 22  # pixels of a tile, tiles in a row, pixels under each for its number


def write_sheet(path: Path, items: Sequence[str], tiles: Sequence[np.ndarray], origin: str) -> None:
    """Write PATH.png, and PATH.json with the items in the order of their numbers. Tiles are (H, W, 3) uint8 RGB."""
    rows = -(-len(tiles) // COLUMNS)
    sheet_HWC = np.full((rows * (TILE + FOOT), COLUMNS * TILE, 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // COLUMNS * (TILE + FOOT), number % COLUMNS * TILE
        scale = (TILE - 4) / max(tile.shape[:2])
        size = max(1, round(tile.shape[1] * scale)), max(1, round(tile.shape[0] * scale))
        sheet_HWC[top : top + size[1], left : left + size[0]] = cv2.resize(tile, size, interpolation=cv2.INTER_AREA)
        place = (left + 4, top + TILE + FOOT - 6)
        cv2.putText(sheet_HWC, str(number + 1), place, cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
    data = cv2.imencode(".png", cv2.cvtColor(sheet_HWC, cv2.COLOR_RGB2BGR))[1].tobytes()
    write_atomic(path.with_suffix(".png"), data, replace=True)
    said = json.dumps({"origin": origin, "items": list(items)}, indent=1).encode()
    write_atomic(path.with_suffix(".json"), said, replace=True)


def read_answers(path: Path, positives: str) -> tuple[list[tuple[str, bool]], str]:
    """Labels of every tile of a sheet: those whose numbers are named (`3,5-8`) are positives, the others are not.

    Raises:
        SpecError: there is no such sheet, or a number that is not on it.
    """
    try:
        said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        items, origin = list(said["items"]), str(said["origin"])
    except (OSError, ValueError, KeyError) as error:
        raise SpecError(f"{path.with_suffix('.json')} is no contact sheet of `rushes head label --sheet`") from error
    chosen: set[int] = set()
    for part in filter(None, positives.replace(" ", "").split(",")):
        first, _, last = part.partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            raise SpecError(f"positives are numbers of the sheet, such as 3,5-8, not {part!r}")
        chosen |= set(range(int(first), int(last or first) + 1))
    if wrong := sorted(n for n in chosen if not 1 <= n <= len(items)):
        raise SpecError(f"the sheet has the tiles 1 to {len(items)}, and no {wrong[0]}")
    return [(item, number in chosen) for number, item in enumerate(items, 1)], origin
