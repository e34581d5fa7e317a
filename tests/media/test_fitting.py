"""Native size: what is encoded keeps its shape, is never enlarged, and loses less than one multiple a side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputRejected
from curate.media.facts import Fit
from curate.media.fitting import fitting
from curate.spec import Latents

sides = st.integers(16, 4096)
# units of dct and Wan with patches of two, Wan 2.2's with them, LTX's alone and with patches of two
units = st.sampled_from([8, 16, 32, 64])


@given(width=sides, height=sides, short_side=st.sampled_from([32, 256, 480, 720, 1080]) | sides, multiple=units)
def test_the_law_of_native_size(width, height, short_side, multiple):
    scale = min(1.0, short_side / min(width, height))
    scaled = [max(1, round(side * scale)) for side in (width, height)]
    if min(scaled) < multiple:
        with pytest.raises(InputRejected, match="encode:too_small"):
            fitting(width, height, Fit(short_side, multiple))
        return
    fit = fitting(width, height, Fit(short_side, multiple))
    assert [fit.width, fit.height] == scaled  # both sides by the same factor, and never up
    for whole, kept, at in ((fit.width, fit.out_width, fit.x), (fit.height, fit.out_height, fit.y)):
        assert kept % multiple == 0
        assert 0 <= whole - kept < multiple
        assert at == (whole - kept) // 2
    assert min(fit.out_width, fit.out_height) <= short_side
    x, y, wide, high = fit.crop
    for at, length, whole, kept, start, scaled_to in (
        (x, wide, width, fit.out_width, fit.x, fit.width), (y, high, height, fit.out_height, fit.y, fit.height)
    ):  # fmt: skip
        assert at >= 0
        assert at + length <= whole
        factor = whole / scaled_to
        assert abs(at - start * factor) <= 0.5
        assert abs(length - kept * factor) <= 1


def test_a_smaller_clip_keeps_its_own_size():
    fit = fitting(320, 240, Fit(720, 16))
    assert (fit.width, fit.height, fit.out_width, fit.out_height, fit.crop) == (320, 240, 320, 240, [0, 0, 320, 240])


def test_tiers_are_numbers_of_lines():
    assert [Latents(short_side=said).short_side for said in ("480p", "720p", "1080p", 300)] == [480, 720, 1080, 300]
    assert Latents(short_side="480p") == Latents(short_side=480)
    with pytest.raises(ValueError, match="a number of pixels, or one of 256p, 480p, 720p, 1080p; got '4k'"):
        Latents(short_side="4k")
    for ltx, lines in ((32, [480, 704, 1056]), (64, [448, 704, 1024])):
        found = [fitting(1920 * 2, 1080 * 2, Fit(tier, ltx)).out_height for tier in (480, 720, 1080)]
        assert found == lines
