"""Local features for references with texture (photographs, shaded logos): their outlines are anything's.

SIFT finds points that stand out at any size and turn; those of a frame that resemble the reference's propose a
homography by RANSAC. Flat signs have few such points, and alike ones: for them there are `_symbols_regions`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

MOST = 800  # features of a picture
LEAST_FEATURES = 30  # of a reference
RATIO = 0.85  # of the distances to the nearest and the second feature, above which a likeness is chance
INLIERS = 7  # that agree on a homography
NEAR = 4.0  # pixels of the frame within which they agree
TWO_TONE = 0.88  # share of a picture's variance that two levels explain, from which it is a flat sign
BETWEEN = 0.04  # share of its pixels between ink and ground up to which its edges are crisp


@dataclass(frozen=True)
class Features:
    """Points (N, 2) float32, x and y in pixels, and their descriptors (N, 128) float32."""

    points_N2: np.ndarray
    descriptors_ND: np.ndarray


NONE = Features(np.zeros((0, 2), np.float32), np.zeros((0, 128), np.float32))


def features(grey_HW: np.ndarray) -> Features:
    """The features of a grey picture, (H, W) uint8."""
    points, descriptors = cv2.SIFT.create(MOST).detectAndCompute(grey_HW, None)  # type: ignore[call-overload]
    if not points:
        return NONE
    return Features(np.array([point.pt for point in points], np.float32) + 0.5, descriptors)


def textured(grey_HW: np.ndarray, level: float, soft_HW: np.ndarray) -> bool:
    """Whether a picture has more tones than two, above and below the level, and tones between that are no edges."""
    if ((soft_HW > 0.1) & (soft_HW < 0.9)).mean() < BETWEEN:
        return False
    values_P = grey_HW.ravel().astype(np.float64)
    above = values_P > level
    tones = np.where(above, values_P[above].mean(), values_P[~above].mean())
    return bool(tones.var() < TWO_TONE * values_P.var())


def feature_places(reference: Features, frame: Features) -> list[np.ndarray]:
    """The homography from a reference to a frame on which enough features agree, if there is one."""
    if len(reference.points_N2) < INLIERS or len(frame.points_N2) < INLIERS:
        return []
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(reference.descriptors_ND, frame.descriptors_ND, k=2)
    good = [near for near, second in pairs if near.distance < RATIO * second.distance]
    if len(good) < INLIERS:
        return []
    here = reference.points_N2[[match.queryIdx for match in good]]
    there = frame.points_N2[[match.trainIdx for match in good]]
    matrix, agree = cv2.findHomography(here, there, cv2.RANSAC, NEAR)
    return [matrix] if matrix is not None and int(agree.sum()) >= INLIERS else []
