"""bfloat16 against torch's, and its edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from curate.codecs.bf16 import bf16_from_float32, decode_bf16, encode_bf16, float32_from_bf16


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=64))
def test_rounding_is_torchs_for_any_bit_pattern(patterns):
    values = np.array(patterns, np.uint32).view(np.float32)
    wanted = torch.from_numpy(values.copy()).to(torch.bfloat16).float().numpy()
    got = float32_from_bf16(bf16_from_float32(values))
    assert np.array_equal(np.isnan(got), np.isnan(wanted))
    numbers = ~np.isnan(wanted)
    assert np.array_equal(got[numbers].view(np.uint32), wanted[numbers].view(np.uint32))


def test_ties_go_to_even():
    ties = np.array([0x3F808000, 0x3F818000], np.uint32).view(np.float32)
    assert bf16_from_float32(ties).tolist() == [0x3F80, 0x3F82]


def test_bytes_are_little_endian_and_checked():
    data = encode_bf16(np.array([[1.0, -2.0]], np.float32))
    assert data == bytes([0x80, 0x3F, 0x00, 0xC0])
    assert decode_bf16(data, (1, 2)).tolist() == [[1.0, -2.0]]
    with pytest.raises(ValueError, match="do not fit"):
        decode_bf16(data, (3,))
