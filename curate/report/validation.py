"""The last validation of a training run by split, what its loss is held against, and the newest sheet of samples.

An evaluation has `loss`, `predict_zero`, `channel_floor`, `linear_floor`, `clips` and `splits`: the same by part, by
name of the split (trainer/validation.py). Earlier runs wrote less of it.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import cv2

from curate.errors import StorageError
from curate.report.words import number

# Words for the numbers that no model enters. A denoiser that looks around does better than one that does not.
ZERO, CHANNEL, LINEAR = "predicting zero", "Gaussian bound from channel covariance alone", "best linear filter"
_NAMES = {"time": "time", "tier": "shorter side", "task": "task", "caption": "caption"}
_COLUMNS = ("loss", "predict_zero", "channel_floor", "linear_floor")
_STEP = re.compile(r"step-(\d{8,})")
_WIDE = 1400  # pixels of the embedded sheet at most: the page is 1112 wide
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 82]


def references(evaluations: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Names and losses of the lines to draw: predicting zero, and the linear floor (the channels' where there is none).

    They do not change while a run trains; the last evaluation says them.
    """
    last = evaluations[-1] if evaluations else {}
    floor = (LINEAR, "linear_floor") if "linear_floor" in last else (CHANNEL, "channel_floor")
    return [(name, last[key]) for name, key in ((ZERO, "predict_zero"), floor) if last.get(key) is not None]


def table(evaluations: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The last evaluation as rows: the whole first, then every part of every split. None where it has no splits."""
    last = evaluations[-1] if evaluations else {}
    if not last.get("splits"):
        return None
    rows = [{"split": "", "part": "all", **_row(last)}]
    for split, parts in last["splits"].items():
        rows += [{"split": "" if place else _NAMES.get(split, split), "part": part, **_row(values)}
                 for place, (part, values) in enumerate(parts.items())]  # fmt: skip
    return {"step": number(last["step"]), "rows": rows, "worse": any(row["worse"] for row in rows)}


def _row(values: dict[str, Any]) -> dict[str, Any]:
    """A part's numbers as text, and whether its model is worse than predicting zero."""
    worse = values["loss"] > values["predict_zero"] * (1 + 1e-6)
    return {"clips": number(values["clips"]), "worse": worse, **{key: number(values.get(key)) for key in _COLUMNS}}


def newest_sheet(folder: Path) -> Path | None:
    """The sheet of the last samples that a run folder holds."""
    found = [path for path in (folder / "samples").glob("step-*/sheet.png") if _STEP.fullmatch(path.parent.name)]
    return max(found, key=_step, default=None)


def _step(path: Path) -> int:
    return int(path.parent.name.removeprefix("step-"))


def sheet(folder: Path) -> dict[str, Any] | None:
    """The newest sheet as a picture to embed, or None where there is none.

    Raises:
        StorageError: it cannot be read.
    """
    path = newest_sheet(folder)
    if path is None:
        return None
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise StorageError(f"{path} is no readable picture: remove its folder")
    tall, wide = picture.shape[:2]
    if wide > _WIDE:
        picture = cv2.resize(picture, (_WIDE, max(1, round(tall * _WIDE / wide))), interpolation=cv2.INTER_AREA)
    done, jpeg = cv2.imencode(".jpg", picture, _JPEG)
    if not done:
        raise StorageError(f"{path} could not be encoded for the report")
    data = "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
    return {"data": data, "step": number(_step(path)), "width": picture.shape[1], "height": picture.shape[0]}
