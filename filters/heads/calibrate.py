"""The threshold of a head: set for a share of misses on labelled clips that it never learned from, with exact bounds.

A clip's score is the maximum over its frames and crops. The bias is set such that at most the target share of the
positives scores below 0; how sure that is says the Clopper-Pearson bound, which depends on how many there were.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from curate.errors import SpecError
from curate.intervals import clopper_pearson, upper_bound

LEAST_POSITIVES = 20


def bias_for(scores_N: np.ndarray, labels_N: np.ndarray, missed_share: float = 0.01) -> float:
    """What to add to the scores so that at most this share of the positives is below 0; never less than nothing.

    Few positives may all score high by chance: the head's own boundary is never made stricter for them.

    Raises:
        SpecError: too few positives to say anything.
    """
    positives = np.sort(np.asarray(scores_N, np.float64)[np.asarray(labels_N, bool)])
    if len(positives) < LEAST_POSITIVES:
        raise SpecError(
            f"{len(positives)} labelled positives are held out for calibration, and {LEAST_POSITIVES} are the least: "
            "label more"
        )
    may_miss = int(np.floor(missed_share * len(positives)))
    # A positive at the threshold is found: the value of the first that must be, lowered by its last bit.
    return max(0.0, float(-np.nextafter(positives[may_miss], -np.inf)))


def measured(scores_N: np.ndarray, labels_N: np.ndarray) -> dict[str, Any]:
    """Misses and false alarms at the threshold 0, with 95 % intervals and the one-sided bound of the missed share."""
    labels_N, stopped_N = np.asarray(labels_N, bool), np.asarray(scores_N) >= 0.0
    positives, negatives = int(labels_N.sum()), int((~labels_N).sum())
    misses, alarms = int((labels_N & ~stopped_N).sum()), int((~labels_N & stopped_N).sum())
    return {
        "positives": positives, "negatives": negatives, "misses": misses, "false_alarms": alarms,
        "missed_share": misses / positives if positives else None,
        "missed_share_at_most": upper_bound(misses, positives) if positives else 1.0,
        "recall_95": clopper_pearson(positives - misses, positives),
        "false_alarm_share_95": clopper_pearson(alarms, negatives),
    }  # fmt: skip
