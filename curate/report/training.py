"""The training curve of the newest finished run, from OUT/train/<key>/log.jsonl and eval.jsonl.

A log line is {"step", "loss", "lr", "grad_norm", "tokens", "captions", "fell_back", "seconds"}; for an evaluation see
validation.py.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from curate.errors import StorageError
from curate.report.axes import Axis, at, path
from curate.report.validation import CHANNEL, references, sheet, table
from curate.report.words import count, length, number, share

WIDTH, HEIGHT = 1080.0, 290.0  # view box; the template uses the same
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 1068.0, 12.0, 262.0
_POINTS = 360  # of the raw curve: half the drawing's pixels
_SMOOTH = 48  # points of the smoothed curve, each the mean of its share of the steps
# A loss that falls by more than this factor is drawn on a logarithmic axis, where its later progress is to be seen.
_LOG_FROM = 8.0
_DECADES = 6  # no further down: a loss a millionth of the first is nothing


def training(folder: Path) -> dict[str, Any] | None:
    """The curve of a run folder, or None where there is no log.

    Raises:
        StorageError: a line of the log, or the sheet of samples, cannot be read.
    """
    log = lines(folder / "log.jsonl")
    steps, losses = _columns(log)
    if not len(steps):
        return None
    evaluations = lines(folder / "eval.jsonl")
    eval_steps, eval_losses = _columns(evaluations)
    floor = evaluations[-1].get("channel_floor") if evaluations else None
    raw, smooth = _means(steps, losses, _POINTS), _means(steps, losses, _SMOOTH)
    against = references(evaluations)
    shown = [loss for _, loss in (*raw, *zip(eval_steps, eval_losses, strict=True), *against)]
    x = Axis(0.0, float(steps[-1]), _LEFT, _RIGHT)
    y = _Loss(min(shown), max(shown))
    rates = [entry.get("lr", 0.0) for entry in log]
    return {
        "raw": path([(x(s), y(loss)) for s, loss in raw]),
        "smooth": path([(x(s), y(loss)) for s, loss in smooth]),
        "evaluations": [{"x": x(s), "y": y(v)} for s, v in zip(eval_steps, eval_losses, strict=True)],
        # The higher one is named above its line and the lower one below: they may lie close together.
        "references": [
            {"y": y(loss), "label": f"{name} {number(loss)}", "text": at(y(loss) + (13 if place else -5))}
            for place, (name, loss) in enumerate(sorted(against, key=lambda pair: -pair[1]))
        ],
        "rate": path(_rate(steps, rates, x)),
        "x_marks": x.marks(7),
        "y_marks": y.marks(),
        "logarithmic": y.logarithmic,
        "facts": _facts(log, losses, eval_losses, floor) + _untaught(folder),
        "validation": table(evaluations),
        "sheet": sheet(folder),
    }


def lines(file: Path) -> list[dict[str, Any]]:
    """Rows of a JSONL file; none where there is no file."""
    if not file.exists():
        return []
    rows = []
    for place, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise StorageError(f"{file}:{place} cannot be read: {error}") from error
    return rows


def _columns(rows: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Steps and finite losses."""
    pairs = [(row["step"], row["loss"]) for row in rows if math.isfinite(row["loss"])]
    return np.array([s for s, _ in pairs], float), np.array([loss for _, loss in pairs], float)


def _means(steps: np.ndarray, losses: np.ndarray, points: int) -> list[tuple[float, float]]:
    """The curve as at most `points` means over neighbouring steps."""
    cut = min(points, len(steps))
    groups = zip(np.array_split(steps, cut), np.array_split(losses, cut), strict=True)
    return [(float(s.mean()), float(v.mean())) for s, v in groups]


class _Loss:
    """The vertical axis, linear or logarithmic."""

    def __init__(self, low: float, high: float) -> None:
        self.logarithmic = low > 0 and high / low > _LOG_FROM
        if self.logarithmic:
            low, high = max(math.log10(low), math.log10(high) - _DECADES), math.log10(high)
        room = 0.05 * (high - low) or 0.5
        floor = low - room if self.logarithmic else max(low - room, 0.0)  # a loss is never below 0
        self._axis = Axis(floor, high + room, _BOTTOM, _TOP)

    def __call__(self, loss: float) -> float:
        if not self.logarithmic:
            return self._axis(loss)
        return self._axis(math.log10(loss) if loss > 0 else self._axis.low)

    def marks(self) -> list[dict[str, Any]]:
        """Ticks: round losses."""
        if not self.logarithmic:
            return self._axis.marks(6)
        decades = range(math.floor(self._axis.low), math.ceil(self._axis.high) + 1)
        digits = (1, 2, 5) if len(decades) <= 3 else (1,)
        values = [digit * 10.0**decade for decade in decades for digit in digits]
        inside = [v for v in values if self._axis.low <= math.log10(v) <= self._axis.high]
        return [{"at": self(v), "label": number(v)} for v in inside]


def _rate(steps: np.ndarray, rates: list[float], x: Axis) -> list[tuple[float, float]]:
    """The learning rate's shape along the lower edge: its height is a fifth of the drawing."""
    top = max(rates, default=0.0)
    if not top or len(rates) != len(steps):
        return []
    places = np.unique(np.linspace(0, len(steps) - 1, 80).round().astype(int))
    return [(x(float(steps[i])), at(_BOTTOM - 0.2 * (_BOTTOM - _TOP) * rates[i] / top)) for i in places]


def _untaught(folder: Path) -> list[dict[str, str]]:
    """How many clips taught the model no text, if any did."""
    file = folder / "run.json"
    run = json.loads(file.read_bytes()) if file.exists() else {}
    if not run.get("uncaptioned"):
        return []
    return [{"name": "clips without a caption", "value": f"{number(run['uncaptioned'])} of {number(run['clips'])}"}]


def _facts(
    log: list[dict[str, Any]], losses: np.ndarray, eval_losses: np.ndarray, floor: float | None
) -> list[dict[str, str]]:
    """What stands beside the curve."""
    last = max(1, len(losses) // 20)
    facts = [
        ("steps", number(log[-1]["step"])),
        ("loss, first step", number(float(losses[0]))),
        (f"loss, mean of the last {count(last, 'logged step')}", number(float(losses[-last:].mean()))),
        ("tokens", number(sum(entry.get("tokens", 0) for entry in log))),
        ("time in steps", length(sum(entry.get("seconds", 0.0) for entry in log) / 3600.0)),
    ]
    if len(eval_losses):
        facts.append(("validation loss", number(float(eval_losses[-1]))))
    if floor is not None:
        facts.append((CHANNEL, number(floor)))
    facts += _drawn(log)
    return [{"name": name, "value": value} for name, value in facts]


def _drawn(log: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Which captions were drawn, and how often a clip lacked the kind that was."""
    kinds = Counter[str]()
    for entry in log:
        kinds.update(entry.get("captions", {}))
    if not kinds:
        return []
    drawn = ", ".join(f"{kind} {share(n, kinds.total())}" for kind, n in sorted(kinds.items()))
    fell_back = sum(entry.get("fell_back", 0) for entry in log)
    return [("captions drawn", drawn), ("draws of a kind that a clip lacks", number(fell_back))]
