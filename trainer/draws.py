"""Everything random, as pure functions of a key: (seed, purpose, epoch, clip id, ...). Nothing is stored.

A key is hashed to the 128-bit key of a Philox counter generator (Salmon et al. 2011), so a step's noise, times,
captions and order are the same after a resume, for any number of ranks, and whatever was drawn before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TypeVar

import numpy as np

Name = TypeVar("Name", bound=str)
_STAGE_BIT, _REPEAT_BIT = 32, 48
# Sums of weights are whole within this; a clip of less weight than this is as good as none.
_WHOLE = 1e-6
# Neighbours that stay together in the order of a large dataset: a row group of the export, which is sorted by clip id.
_RUN = 64


def generator(seed: int, purpose: str, *key: int | str) -> np.random.Generator:
    """Return the generator of one purpose and key; equal arguments give equal streams."""
    text = json.dumps([seed, purpose, *key], separators=(",", ":"))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def turn(stage: int, epoch: int, repeat: int = 0) -> int:
    """Return the number by which the draws of one visit are keyed: the epoch itself, in a run of one stage.

    A stage counts its epochs from 0, and a clip that an epoch visits again (`repeat`) draws anew.
    """
    return epoch + (stage << _STAGE_BIT) + (repeat << _REPEAT_BIT)


def stage_of(turn: int) -> int:
    """Return the stage of a turn."""
    return (turn >> _STAGE_BIT) & ((1 << (_REPEAT_BIT - _STAGE_BIT)) - 1)


def visits(seed: int, turn: int, weights: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the clips that an epoch visits, by index, sorted; one of weight w comes floor(w) or ceil(w) times.

    Systematic sampling: the clips lie end to end on a line, each as long as its weight, largest size first, and are
    read off at every whole number from an offset that is uniform in [0, 1). So w is the expected number of visits, and
    epochs are alike in sizes (`envelope`). There are `visits_of(weights)` in every epoch; a place past the line's end,
    which there is where the weights do not sum to a whole number, is -1 and stands at the beginning.

    The line is a stage's, and the offsets of its epochs lie evenly: the first 2^k of them, of any k, visit a clip
    2^k w times, rounded down or up. Offsets by chance would leave half of a source out for long.
    """
    stage, epoch = stage_of(turn), turn & ((1 << _STAGE_BIT) - 1)
    line = np.lexsort([generator(seed, "line", stage).permutation(len(weights)), -sizes])
    even = int(f"{epoch:b}"[::-1], 2) / (1 << epoch.bit_length())  # van der Corput's: 0, 1/2, 1/4, 3/4, 1/8, ...
    places = (generator(seed, "offset", stage).random() + even) % 1.0 + np.arange(visits_of(weights))
    found = np.searchsorted(np.cumsum(weights[line]), places, side="right")
    return np.sort(np.append(line, -1)[found])


def visits_of(weights: np.ndarray) -> int:
    """Return the number of places in an epoch: the weights' sum, rounded up unless it is whole but for rounding."""
    total = float(np.sum(weights))
    return round(total) if abs(total - round(total)) < _WHOLE else int(np.ceil(total))


def envelope(weights: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return sizes, falling, of which the j-th is at least the j-th largest of any epoch's visits.

    The j-th place (from 0) lies at j or behind it, and sizes fall along the line.
    """
    line = np.argsort(-sizes, kind="stable")
    found = np.searchsorted(np.cumsum(weights[line]), np.arange(visits_of(weights)) - _WHOLE, side="right")
    return sizes[line][np.minimum(found, len(line) - 1)]


def epoch_order(seed: int, turn: int, clips: np.ndarray, sizes: np.ndarray, most: float) -> np.ndarray:
    """Return the order in which an epoch goes through `clips` (indices, ascending), as places in them, int64.

    Where the clips together take more than `most` (in the unit of `sizes`, by clip), runs of _RUN neighbours stay
    together: they are shuffled, and then the clips of as many runs as fit into `most`. So what is read at one time
    lies in few places.
    """
    rng = generator(seed, "order", turn)
    taken = sizes[clips] * (clips >= 0)
    if taken.sum() <= most:
        return rng.permutation(len(clips))
    runs = np.split(np.arange(len(clips)), np.flatnonzero(np.diff(clips // _RUN)) + 1)
    found, window, held = [], [], 0.0
    for run in rng.permutation(len(runs)).tolist():
        window.append(runs[run])
        held += float(taken[runs[run]].sum())
        if held >= most:
            found.append(rng.permutation(np.concatenate(window)))
            window, held = [], 0.0
    if window:
        found.append(rng.permutation(np.concatenate(window)))
    return np.concatenate(found)


def weighted_choice(rng: np.random.Generator, weights: Mapping[Name, float]) -> Name:
    """Draw a key by its weight; one uniform number is used whatever the weights. Some weight must be above 0."""
    names = [name for name, weight in weights.items() if weight > 0]
    edges = np.cumsum([weights[name] for name in names])
    return names[min(int(np.searchsorted(edges, rng.random() * edges[-1], side="right")), len(names) - 1)]
