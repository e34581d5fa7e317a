"""From clips to scores: crops of every frame, features of every crop, and the maximum over both."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from filters._crops import crops
from filters.heads.encoders import Encoder
from filters.heads.fit import Head


def clip_features(frames_THWC: np.ndarray, encoder: Encoder) -> np.ndarray:
    """(T, K, D) float32: features of the crops of every frame."""
    cut_TKHWC = crops(frames_THWC, encoder.side)
    found_ND = encoder.encode(cut_TKHWC.reshape(-1, *cut_TKHWC.shape[2:]))
    return found_ND.reshape(*cut_TKHWC.shape[:2], -1)


def frame_scores(head: Head, features_TKD: np.ndarray) -> np.ndarray:
    """(T,): the worst crop of every frame."""
    frames, cuts = features_TKD.shape[:2]
    return head.decide(features_TKD.reshape(frames * cuts, -1)).reshape(frames, cuts).max(axis=1)


def clip_scores(head: Head, clips: Iterable[np.ndarray]) -> np.ndarray:
    """(N,): the worst moment of every clip, given its features (T, K, D)."""
    return np.array([frame_scores(head, features_TKD).max() for features_TKD in clips])


def training_rows(clips: list[np.ndarray], labels_N: np.ndarray, head: Head | None) -> tuple[np.ndarray, np.ndarray]:
    """Features to learn from: every crop of a negative clip; of a positive one the crop that its head holds worst.

    Nobody says in which moment and corner of a positive clip the thing is. Without a head every crop of it counts.
    """
    rows, truth = [], []
    for features_TKD, label in zip(clips, labels_N, strict=True):
        flat_ND = features_TKD.reshape(-1, features_TKD.shape[-1])
        if label and head is not None:
            flat_ND = flat_ND[[int(head.decide(flat_ND).argmax())]]
        rows.append(flat_ND)
        truth += [bool(label)] * len(flat_ND)
    return np.concatenate(rows), np.array(truth)
