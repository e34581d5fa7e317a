"""bfloat16 as bytes, with numpy alone: the storage format of latents and text features.

bfloat16 is the upper half of a float32. Rounding is to nearest, ties to even; a NaN stays a NaN.
"""

from __future__ import annotations

import numpy as np

# A quiet NaN in bfloat16; rounding a NaN's payload could otherwise carry into the exponent and give infinity.
_QUIET_NAN = np.uint16(0x7FC0)


def bf16_from_float32(values: np.ndarray) -> np.ndarray:
    """Round float32 values to bfloat16; returns their bit patterns as uint16, same shape."""
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    even = (bits >> np.uint32(16)) & np.uint32(1)
    # The sum may wrap round for NaNs with the sign bit set only; those are overwritten below.
    rounded = ((bits.astype(np.uint64) + np.uint64(0x7FFF) + even) >> np.uint64(16)).astype(np.uint16)
    return np.where(np.isnan(values), _QUIET_NAN, rounded)


def float32_from_bf16(bits: np.ndarray) -> np.ndarray:
    """Widen bfloat16 bit patterns (uint16) to float32, exactly; same shape."""
    return np.left_shift(bits, 16, dtype=np.uint32).view(np.float32)  # one pass, no copy before it


def encode_bf16(values: np.ndarray) -> bytes:
    """Return float32 values as little-endian bfloat16 bytes, in C order."""
    return bf16_from_float32(values).astype("<u2").tobytes()


def decode_bf16(data: bytes | memoryview, shape: tuple[int, ...]) -> np.ndarray:
    """Return the float32 array of `shape` that little-endian bfloat16 bytes hold.

    Raises ValueError when the number of bytes does not fit the shape.
    """
    wanted = 2 * int(np.prod(shape))
    if len(data) != wanted:
        raise ValueError(f"{len(data)} bytes of bfloat16 do not fit the shape {shape}, which needs {wanted}")
    return float32_from_bf16(np.frombuffer(data, dtype="<u2").reshape(shape))
