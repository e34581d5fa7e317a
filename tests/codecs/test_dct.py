"""The block cosine codec: exact inverse, the laws of its shapes, and the quality that DESIGN 8 counts on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.fft import dctn

from curate.codecs import latent_codec
from curate.codecs.dct import BLOCK_NUMBERS, ENERGY_ORDER, YCBCR_FROM_RGB, DctCodec, first_frame_slots
from curate.errors import InputRejected, SpecError
from tests.codecs.footage import footage


def pixels_BCTHW(clips: list[np.ndarray]) -> np.ndarray:
    return np.stack(clips).astype(np.float32).transpose(0, 4, 1, 2, 3) / 127.5 - 1


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean(((a - b) / 2) ** 2)))


@pytest.mark.parametrize("frames", [1, 5, 9])
def test_all_channels_invert_exactly(frames):
    pixels = np.random.default_rng(0).uniform(-1, 1, (2, 3, frames, 16, 24)).astype(np.float32)
    codec = DctCodec(channels=BLOCK_NUMBERS)
    latent = codec.encode(pixels)
    assert latent.shape == (2, 768, 1 + (frames - 1) // 4, 2, 3)
    assert latent.dtype == np.float32
    assert np.abs(codec.decode(latent) - pixels).max() < 1e-5


def test_coefficients_are_those_of_an_independent_transform():
    pixels = np.random.default_rng(1).uniform(-1, 1, (1, 3, 5, 8, 8))
    latent = DctCodec(channels=BLOCK_NUMBERS).encode(pixels)
    colours = np.einsum("cr,rtyx->ctyx", YCBCR_FROM_RGB, pixels[0])
    wanted = dctn(colours[:, 1:], axes=(1, 2, 3), norm="ortho").ravel()[list(ENERGY_ORDER)]
    assert np.abs(latent[0, :, 1, 0, 0] - wanted).max() < 1e-5


def test_channels_are_a_prefix_of_more_channels_after_the_first_frame():
    pixels = pixels_BCTHW(footage(1, 1))
    few, many = DctCodec(channels=16).encode(pixels), DctCodec(channels=48).encode(pixels)
    assert np.abs(few[:, :, 1:] - many[:, :16, 1:]).max() < 1e-5


def test_a_still_scene_has_the_same_constant_channels_at_every_time():
    still = np.repeat(pixels_BCTHW(footage(2, 1, frames=1)), 9, axis=2)
    latent = DctCodec(channels=48).encode(still)
    constant = [c for c, index in enumerate(ENERGY_ORDER[:48]) if (index // 64) % 4 == 0]
    assert np.abs(latent[:, constant] - latent[:, constant, :1]).max() < 1e-4


def test_one_frame_is_the_first_frame_of_a_longer_clip():
    pixels = pixels_BCTHW(footage(3, 2))
    codec = DctCodec()
    assert np.array_equal(codec.encode(pixels[:, :, :1]), codec.encode(pixels)[:, :, :1])
    assert np.array_equal(codec.decode(codec.encode(pixels[:, :, :1])), codec.decode(codec.encode(pixels))[:, :, :1])


@pytest.mark.parametrize("channels", [16, 48, BLOCK_NUMBERS])
@pytest.mark.parametrize("frames", [1, 5, 13])
def test_bytes_give_what_their_pixels_give(channels, frames):
    bytes_THWC = np.random.default_rng(5).integers(0, 256, (frames, 16, 24, 3), dtype=np.uint8)
    codec = DctCodec(channels=channels)
    wanted = codec.encode(pixels_BCTHW([bytes_THWC]))[0]
    assert np.abs(codec.encode_frames(bytes_THWC) - wanted).max() < 2e-5


def test_a_clips_numbers_do_not_depend_on_its_neighbours():
    pixels = pixels_BCTHW(footage(4, 3))
    codec = DctCodec()
    assert np.array_equal(codec.encode(pixels)[1:2], codec.encode(pixels[1:2]))


@pytest.mark.parametrize(("channels", "first_db", "later_db"), [(16, 26.0, 23.5), (48, 30.0, 26.0), (96, 36.0, 27.5)])
def test_quality_on_footage_that_the_order_was_not_fitted_on(channels, first_db, later_db):
    codec = DctCodec(channels=channels)
    first, later = [], []
    for clip in footage(99, 12):
        pixels = pixels_BCTHW([clip])
        back = codec.decode(codec.encode(pixels))
        first.append(psnr(back[:, :, :1], pixels[:, :, :1]))
        later.append(psnr(back[:, :, 1:], pixels[:, :, 1:]))
    assert np.mean(first) > first_db
    assert np.mean(later) > later_db


def test_the_order_is_a_permutation_and_near_the_best_on_fresh_footage():
    assert sorted(ENERGY_ORDER) == list(range(BLOCK_NUMBERS))
    energy = np.zeros(BLOCK_NUMBERS)
    codec = DctCodec(channels=BLOCK_NUMBERS)
    for clip in footage(123, 40):
        squares = (codec.encode(pixels_BCTHW([clip]))[:, :, 1:].astype(np.float64) ** 2).mean(axis=(0, 2, 3, 4))
        energy[list(ENERGY_ORDER)] += squares / squares.sum()
    kept = energy[list(ENERGY_ORDER[:48])].sum()
    assert kept > 0.99 * np.sort(energy)[-48:].sum()
    assert kept > energy[:48].sum() * 1.05


def test_every_slot_of_the_first_frame_is_filled_once():
    for channels in (1, 16, 48, 192, 400):
        slots, spatial = first_frame_slots(channels)
        assert len(set(slots)) == len(slots) == len(set(spatial)) == min(channels, 192)


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((1, 3, 4, 8, 8), "encode:num_frames"),
        ((1, 3, 0, 8, 8), "encode:pixel_shape"),
        ((1, 3, 5, 12, 8), "encode:frame_size"),
        ((1, 1, 5, 8, 8), "encode:pixel_shape"),
        ((3, 5, 8, 8), "encode:pixel_shape"),
    ],
)
def test_other_shapes_are_rejected(shape, reason):
    with pytest.raises(InputRejected) as error:
        DctCodec().encode(np.zeros(shape, np.float32))
    assert error.value.reason == reason


def test_names_and_parameters():
    assert latent_codec("dct", channels=32).channels == 32
    assert latent_codec("dct", channels=32).fingerprint != latent_codec("dct", channels=48).fingerprint
    assert latent_codec("dct").fingerprint == latent_codec("dct", channels=48).fingerprint
    assert latent_codec("dct").stats() is None
    with pytest.raises(SpecError, match="nearest are: dct"):
        latent_codec("dtc")
    with pytest.raises(SpecError, match="canals"):
        latent_codec("dct", canals=3)
    with pytest.raises(SpecError, match="1 to 768"):
        latent_codec("dct", channels=0)
