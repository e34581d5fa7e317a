"""What every latent codec refuses: arrays that are no clips of 1 + k * time_factor frames of whole blocks."""

from __future__ import annotations

from curate.errors import InputRejected

COLOURS = 3


def check_pixels(shape: tuple[int, ...], time_factor: int, space_factor: int) -> None:
    """Raise InputRejected unless the shape is (B, 3, 1 + k * time_factor, H, W), H and W multiples of space_factor."""
    if len(shape) != 5 or shape[1] != COLOURS or 0 in shape:
        raise InputRejected("encode:pixel_shape", f"{shape} is not (B, 3, T, H, W)")
    if (shape[2] - 1) % time_factor:
        raise InputRejected("encode:num_frames", f"{shape[2]} frames are not 1 + {time_factor}k")
    if shape[3] % space_factor or shape[4] % space_factor:
        raise InputRejected("encode:frame_size", f"{shape[4]}x{shape[3]} pixels are not multiples of {space_factor}")


def check_latents(shape: tuple[int, ...], channels: int) -> None:
    """Raise InputRejected unless the shape is (B, channels, T, H, W)."""
    if len(shape) != 5 or shape[1] != channels or 0 in shape:
        raise InputRejected("encode:latent_shape", f"{shape} is not (B, {channels}, T, H, W)")
