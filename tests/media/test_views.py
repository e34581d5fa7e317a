"""Views: as libav's own scaler shows a frame, to a few grey levels, at a fraction of its cost."""

from __future__ import annotations

import av
import numpy as np
import pytest

from curate.media.backends.pyav import _Picture
from curate.media.facts import Geometry
from curate.stage import Frames
from tests.conftest import scene


def _frame(pixel_format: str, colorspace: int = 2, color_range: int = 0) -> av.VideoFrame:
    import cv2

    pixels = cv2.GaussianBlur(scene(3, frames=1, size=(240, 320))[0], (0, 0), 4)  # what scalers agree about
    rgb = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame = rgb.reformat(format=pixel_format, dst_colorspace=colorspace if colorspace != 2 else None)
    frame.colorspace = colorspace
    return frame


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p12le", "rgb24", "gray"]
)
@pytest.mark.parametrize("view", [Frames(2, 100), Frames(2, 60, "gray"), Frames(0, 27)])
def test_views_are_what_swscale_shows(pixel_format, view):
    frame = _frame(pixel_format)
    got = _Picture(frame, Geometry()).viewer().view(view)
    height, width = got.shape[:2]
    assert min(height, width) == view.short_side
    wanted = frame.reformat(width, height, format={"rgb": "rgb24", "gray": "gray"}[view.colour]).to_ndarray()
    wanted = wanted if wanted.ndim == 3 else wanted[..., None]
    assert np.abs(got.astype(int) - wanted).mean() < 2.5


def test_bt709_is_told_from_bt601():
    """The frame's own matrix: a saturated red of the one is another red of the other."""
    frame = _frame("yuv420p")
    seen = {}
    for colorspace in (1, 5):
        frame.colorspace = colorspace
        got = _Picture(frame, Geometry()).viewer().view(Frames(2, 100))
        wanted = frame.reformat(got.shape[1], got.shape[0], format="rgb24", src_colorspace=colorspace).to_ndarray()
        assert np.abs(got.astype(int) - wanted).mean() < 2.5
        seen[colorspace] = got
    assert np.abs(seen[1].astype(int) - seen[5]).mean() > 0.5
