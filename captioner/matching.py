"""How well texts fit their own clips, and how often better than other clips do.

The cosine of a clip and a text is the mean of its frames' cosines with the text, which is the dot product of the text
with the mean of the frames' unit vectors. A text is compared with each of its neighbours: it wins where its own clip
has the higher cosine with it than the neighbour has, and a tie counts half. The match rate is the mean over texts of
the share that they win. CLIP score is 100 times the cosine.

Legend: N pairs of a clip and a text, D features.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.intervals import mean_interval

TIE = 1e-6  # float32 cosines of equal pictures differ by less, from batch to batch
WORST = 5


def order(ids: Iterable[str], seed: int) -> list[str]:
    """Ids in the order of a hash of seed and id: the first n are a sample, and stay it when others come and go."""
    return sorted(ids, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())


def neighbours(texts: Sequence[str], count: int) -> list[list[int]]:
    """For each place the next `count` places round the ring whose text is another one; fewer where there are fewer.

    The order of the ring is that of a hash (`order`), so neighbours have nothing else in common.
    """
    said = [" ".join(text.split()).casefold() for text in texts]
    found = []
    for i, own in enumerate(said):
        near: list[int] = []
        for step in range(1, len(said)):
            place = (i + step) % len(said)
            if said[place] != own:
                near.append(place)
                if len(near) == count:
                    break
        found.append(near)
    return found


@dataclass(frozen=True)
class Pairs:
    """Clips and what is said of them, in the order of the ring. Features are of unit length, those of clips means of
    such.
    """

    ids: list[str]
    texts: list[str]
    clips_ND: np.ndarray
    texts_ND: np.ndarray


def measured(pairs: Pairs, count: int) -> dict[str, Any]:
    """Match rate and CLIP score, each the mean over texts with a 95 % interval, and the texts that fit worst.

    A text without a neighbour (all others say the same) is not compared; `match_rate` is None where none is. The
    intervals take the texts as independent, which neighbours that are shared make a little too narrow.
    """
    own_N = np.einsum("nd,nd->n", pairs.clips_ND, pairs.texts_ND)
    rows = []
    for i, near in enumerate(neighbours(pairs.texts, count)):
        gaps = own_N[i] - pairs.clips_ND[near] @ pairs.texts_ND[i]
        wins = np.where(np.abs(gaps) <= TIE, 0.5, (gaps > 0).astype(float))
        if near:
            rows.append({"clip": pairs.ids[i], "won": float(wins.mean()), "ahead": float(gaps.min()), "of": len(near)})
    won = [row["won"] for row in rows]
    worst = sorted((row for row in rows if row["won"] < 1), key=lambda row: (row["won"], row["ahead"], row["clip"]))
    scores = [100.0 * float(cosine) for cosine in own_N]
    return {
        "n": len(pairs.ids),
        "match_rate": sum(won) / len(won) if won else None,
        "match_rate_95": _within(mean_interval(won), 0.0, 1.0),
        "comparisons": sum(row["of"] for row in rows),
        "clip_score": sum(scores) / len(scores) if scores else None,
        "clip_score_95": _within(mean_interval(scores), -100.0, 100.0),
        "worst": [{"clip": row["clip"], "won": row["won"]} for row in worst[:WORST]],
    }


def _within(bounds: tuple[float, float] | None, low: float, high: float) -> list[float] | None:
    """Bounds of a mean that cannot lie beyond these."""
    return None if bounds is None else [max(bounds[0], low), min(bounds[1], high)]
