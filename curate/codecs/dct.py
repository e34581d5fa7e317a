"""Weight-free latent codec: a causal 3D block cosine transform, orthonormal in time and space, of YCbCr.

A block is 4 frames x 8 x 8 pixels x 3 colours (BT.601 full range, which is not orthonormal) = 768 numbers; `channels`
of their 768 coefficients are kept, those of most energy first, so one latent is (channels, 1 + k, H/8, W/8) for
1 + 4k frames. The first frame stands alone (192 numbers): it is transformed as if it were held for four
frames, so a still scene has the same numbers at every latent time: twice those of its own 8 x 8 transform.
Coefficients that vary in time are zero for it, and their places carry, in order of energy, the spatial
coefficients that did not fit.

Decoding is the inverse (coefficients that were not kept are zero): the transposed cosine transform, then BT.601's
inverse. numpy only: worker processes that encode need not import torch.

Legend: B batch, C colours or channels, T frames, H, W pixels; N blocks, K numbers of one block.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from curate.codecs._shapes import COLOURS, check_latents, check_pixels
from curate.errors import SpecError

BLOCK_FRAMES, BLOCK_SIDE = 4, 8
BLOCK_NUMBERS = COLOURS * BLOCK_FRAMES * BLOCK_SIDE * BLOCK_SIDE
VERSION = 1

# Index of a coefficient = ((colour * 4 + t) * 8 + y) * 8 + x, frequencies in t, y, x. The order was fitted
# once by energy on generated footage (tests/codecs/footage.py: 400 clips, half moving polygons, half
# drifting 1/f noise, every clip counted alike), where the first 48 hold 91 % of the energy; a test fits it
# again. It is data, not code: another order is another codec, so the fingerprint covers it.
# fmt: off
ENERGY_ORDER: tuple[int, ...] = (
    0, 512, 256, 1, 8, 9, 2, 16, 64, 10, 17, 513, 520, 72, 257, 3, 264, 65, 18, 24, 80, 11, 73, 25,
    66, 576, 81, 74, 19, 26, 320, 88, 67, 4, 82, 32, 89, 75, 12, 27, 33, 96, 90, 68, 83, 521, 20,
    34, 97, 265, 76, 91, 5, 98, 514, 28, 84, 528, 35, 258, 13, 40, 104, 272, 584, 69, 41, 577, 21,
    105, 99, 92, 77, 42, 36, 328, 106, 321, 85, 29, 160, 136, 152, 43, 153, 145, 161, 6, 144, 168,
    146, 137, 154, 132, 100, 138, 147, 162, 14, 139, 169, 140, 107, 133, 130, 129, 70, 155, 131, 93,
    522, 112, 529, 48, 148, 37, 266, 22, 78, 176, 170, 44, 113, 163, 49, 128, 141, 273, 156, 114,
    50, 86, 177, 30, 149, 134, 108, 101, 171, 164, 585, 45, 51, 178, 142, 157, 115, 94, 38, 592, 7,
    150, 52, 329, 172, 15, 184, 578, 71, 179, 165, 515, 109, 158, 23, 120, 79, 336, 116, 185, 102,
    135, 56, 46, 536, 121, 259, 530, 186, 143, 53, 122, 87, 180, 31, 173, 322, 166, 280, 57, 58,
    274, 151, 123, 59, 187, 95, 39, 159, 110, 117, 174, 54, 249, 250, 181, 248, 593, 243, 251, 188,
    242, 60, 167, 244, 103, 124, 47, 241, 236, 586, 245, 252, 523, 237, 229, 238, 267, 235, 207,
    240, 230, 182, 199, 337, 118, 222, 537, 61, 215, 228, 189, 246, 214, 330, 253, 175, 234, 223,
    231, 281, 125, 221, 111, 55, 206, 62, 227, 239, 198, 220, 233, 254, 600, 183, 648, 190, 213,
    247, 640, 579, 126, 119, 226, 344, 531, 641, 232, 219, 594, 275, 538, 205, 323, 255, 63, 282,
    212, 191, 384, 338, 225, 392, 197, 218, 601, 516, 127, 260, 587, 211, 345, 224, 204, 544, 210,
    331, 217, 385, 288, 649, 656, 209, 642, 524, 196, 216, 203, 268, 393, 202, 602, 208, 580, 545,
    539, 608, 201, 595, 195, 352, 346, 283, 400, 289, 339, 657, 324, 532, 276, 609, 546, 386, 588,
    194, 650, 353, 290, 401, 332, 664, 200, 603, 394, 610, 347, 517, 261, 193, 643, 354, 658, 596,
    547, 340, 284, 540, 408, 291, 665, 525, 581, 616, 552, 296, 402, 360, 269, 192, 387, 325, 409,
    672, 666, 589, 553, 651, 617, 611, 533, 277, 297, 355, 604, 361, 348, 410, 333, 644, 554, 416,
    395, 659, 673, 548, 298, 292, 597, 618, 417, 674, 403, 388, 341, 362, 652, 667, 541, 680, 285,
    645, 518, 555, 424, 418, 411, 396, 262, 681, 612, 299, 660, 526, 356, 619, 582, 425, 675, 404,
    389, 605, 653, 624, 721, 270, 326, 682, 349, 560, 368, 363, 707, 304, 549, 397, 590, 668, 419,
    293, 728, 556, 278, 688, 534, 720, 625, 334, 426, 412, 300, 561, 432, 369, 646, 305, 661, 465,
    405, 626, 689, 598, 706, 722, 713, 562, 729, 683, 342, 370, 306, 433, 542, 676, 390, 427, 420,
    620, 286, 613, 357, 654, 364, 669, 714, 690, 398, 466, 457, 472, 413, 464, 563, 557, 434, 730,
    627, 307, 606, 301, 371, 662, 458, 519, 294, 550, 736, 406, 350, 708, 684, 691, 473, 583, 428,
    263, 527, 564, 696, 677, 421, 715, 271, 308, 440, 670, 632, 435, 737, 327, 591, 535, 697, 723,
    712, 335, 450, 414, 372, 376, 621, 279, 647, 365, 568, 628, 441, 614, 633, 451, 705, 391, 358,
    312, 474, 569, 655, 731, 558, 599, 738, 377, 634, 698, 692, 399, 459, 543, 302, 313, 309, 442,
    663, 436, 343, 685, 480, 565, 378, 429, 678, 287, 456, 422, 570, 475, 709, 407, 467, 739, 481,
    635, 314, 746, 607, 699, 744, 747, 745, 452, 571, 443, 551, 754, 716, 351, 449, 379, 761, 671,
    629, 755, 373, 732, 760, 295, 753, 482, 315, 437, 693, 415, 506, 504, 622, 498, 740, 505, 762,
    366, 686, 752, 724, 748, 499, 497, 711, 763, 566, 704, 310, 430, 483, 490, 756, 460, 700, 507,
    733, 572, 491, 500, 636, 444, 496, 679, 484, 476, 380, 710, 423, 316, 488, 725, 489, 492, 741,
    615, 468, 726, 719, 359, 749, 485, 764, 303, 734, 718, 463, 717, 453, 757, 508, 742, 462, 727,
    455, 559, 470, 501, 493, 478, 694, 454, 477, 486, 471, 750, 461, 469, 701, 494, 438, 317, 735,
    374, 573, 479, 448, 765, 630, 445, 509, 502, 758, 487, 637, 743, 687, 431, 623, 381, 367, 311,
    567, 574, 318, 751, 495, 766, 702, 446, 759, 695, 510, 503, 439, 638, 375, 382, 631, 575, 767,
    511, 319, 447, 703, 639, 383
)
# fmt: on


def cosine_basis(size: int) -> np.ndarray:
    """Return the orthonormal DCT-II matrix (frequency, sample), float64."""
    frequency, sample = np.arange(size)[:, None], np.arange(size)[None, :]
    basis = np.cos(np.pi * (2 * sample + 1) * frequency / (2 * size)) * np.sqrt(2 / size)
    basis[0] /= np.sqrt(2)
    return basis


# JFIF: luma from BT.601's weights, chroma scaled to the same range as luma.
_KR, _KG, _KB = 0.299, 0.587, 0.114
YCBCR_FROM_RGB = np.array([
    [_KR, _KG, _KB],
    [-_KR / (2 - 2 * _KB), -_KG / (2 - 2 * _KB), 0.5],
    [0.5, -_KG / (2 - 2 * _KR), -_KB / (2 - 2 * _KR)],
])  # fmt: skip


class DctCodec:
    """The codec of this module. `channels` (1 to 768) coefficients are kept per block.

    Raises SpecError when `channels` is outside its range. Source: DESIGN section 8, Q44.
    """

    time_factor = BLOCK_FRAMES
    space_factor = BLOCK_SIDE
    aside: ClassVar[tuple[str, ...]] = ()

    def __init__(self, channels: int = 48) -> None:
        if not 1 <= channels <= BLOCK_NUMBERS:
            raise SpecError(f"dct: channels is {channels}, must be 1 to {BLOCK_NUMBERS}")
        self.channels = channels
        kept = np.array(ENERGY_ORDER[:channels])
        space = np.einsum("cr,yi,xj->cyxrij", YCBCR_FROM_RGB, cosine_basis(8), cosine_basis(8))
        inverse = np.einsum("rc,yi,xj->cyxrij", np.linalg.inv(YCBCR_FROM_RGB), cosine_basis(8), cosine_basis(8))
        later = np.einsum("ft,cyxrij->cfyxrtij", cosine_basis(4), space).reshape(BLOCK_NUMBERS, -1)
        later_inverse = np.einsum("ft,cyxrij->cfyxrtij", cosine_basis(4), inverse).reshape(BLOCK_NUMBERS, -1)
        self._later_KC = later[kept].T.astype(np.float32)
        self._later_CK = later_inverse[kept].astype(np.float32)
        slots, spatial = first_frame_slots(channels)
        # A frame held for four frames has twice its own transform as the lowest temporal coefficient.
        hold = np.sqrt(BLOCK_FRAMES)
        flat = space.reshape(-1, COLOURS * BLOCK_SIDE * BLOCK_SIDE)
        flat_inverse = inverse.reshape(flat.shape)
        self._first_KC = np.zeros((flat.shape[1], channels), np.float32)
        self._first_CK = np.zeros((channels, flat.shape[1]), np.float32)
        self._first_KC[:, slots] = hold * flat[spatial].T
        self._first_CK[slots] = flat_inverse[spatial] / hold
        self._frames_first = _of_bytes(self._first_KC)
        self._frames_later = _of_bytes(self._later_KC)
        described = json.dumps(["dct", VERSION, channels, ENERGY_ORDER], separators=(",", ":"))
        self.fingerprint = "dct-" + hashlib.sha256(described.encode()).hexdigest()[:24]

    def stats(self) -> None:
        """Return None: the spread of the coefficients is the footage's, and is measured at export."""
        return None

    def described(self) -> dict[str, Any]:
        """Return nothing: name and channels say it all."""
        return {}

    def how(self, frames: int, height: int, width: int) -> str:
        """Return `whole, fp32`: blocks know nothing of each other."""
        return "whole, fp32"

    def encode(self, pixels_BCTHW: np.ndarray, alive: Callable[[], None] | None = None) -> np.ndarray:
        """Encode RGB pixels in [-1, 1] (B, 3, 1 + 4k, 8h, 8w) to latents (B, channels, 1 + k, h, w), float32.

        A clip's numbers do not depend on its neighbours in the batch. Raises InputRejected on other shapes.
        """
        pixels_BCTHW = np.asarray(pixels_BCTHW, dtype=np.float32)
        check_pixels(pixels_BCTHW.shape, BLOCK_FRAMES, BLOCK_SIDE)
        return np.stack([self._encode_clip(pixels_CTHW) for pixels_CTHW in pixels_BCTHW])

    def encode_frames(self, frames_THWC: np.ndarray, alive: Callable[[], None] | None = None) -> np.ndarray:
        """Encode a clip's uint8 RGB frames (1 + 4k, 8h, 8w, 3) to its latent (channels, 1 + k, h, w), float32.

        The same as `encode` of the same pixels, to float rounding, at a fraction of its cost: bytes are cut into blocks
        before they are made floats, and the scale of pixels is in the transform. Raises InputRejected on other shapes.
        """
        count, rows, columns, colours = frames_THWC.shape
        check_pixels((1, colours, count, rows, columns), BLOCK_FRAMES, BLOCK_SIDE)
        height, width = rows // BLOCK_SIDE, columns // BLOCK_SIDE
        latent_THWC = np.empty((1 + count // BLOCK_FRAMES, height, width, self.channels), np.float32)
        for place, latent_HWC in enumerate(latent_THWC):
            frames = frames_THWC[max(0, 1 + BLOCK_FRAMES * (place - 1)) : 1 + BLOCK_FRAMES * place]
            basis_KC, offset_C = self._frames_later if place else self._frames_first
            cut = frames.reshape(-1, height, BLOCK_SIDE, width, BLOCK_SIDE, COLOURS).transpose(1, 3, 0, 2, 4, 5)
            blocks_NK = np.ascontiguousarray(cut).reshape(height * width, -1).astype(np.float32)
            latent_HWC[:] = (blocks_NK @ basis_KC + offset_C).reshape(height, width, -1)
            if alive is not None:
                alive()
        return np.ascontiguousarray(latent_THWC.transpose(3, 0, 1, 2))

    def decode(self, latent_BCTHW: np.ndarray, alive: Callable[[], None] | None = None) -> np.ndarray:
        """Decode latents (B, channels, 1 + k, h, w) to RGB pixels (B, 3, 1 + 4k, 8h, 8w), float32, not clipped."""
        latent_BCTHW = np.asarray(latent_BCTHW, dtype=np.float32)
        check_latents(latent_BCTHW.shape, self.channels)
        return np.stack([self._decode_clip(latent_CTHW) for latent_CTHW in latent_BCTHW])

    def _encode_clip(self, pixels_CTHW: np.ndarray) -> np.ndarray:
        first = _blocks(pixels_CTHW[:, :1], 1) @ self._first_KC
        parts = [first] if pixels_CTHW.shape[1] == 1 else [first, _blocks(pixels_CTHW[:, 1:], 4) @ self._later_KC]
        height, width = pixels_CTHW.shape[2] // BLOCK_SIDE, pixels_CTHW.shape[3] // BLOCK_SIDE
        latent_THWC = np.concatenate(parts).reshape(-1, height, width, self.channels)
        return np.ascontiguousarray(latent_THWC.transpose(3, 0, 1, 2))

    def _decode_clip(self, latent_CTHW: np.ndarray) -> np.ndarray:
        _, latent_frames, height, width = latent_CTHW.shape
        latent_NC = latent_CTHW.reshape(self.channels, -1).T
        alone = height * width
        parts = [_pixels(latent_NC[:alone] @ self._first_CK, 1, height, width)]
        if latent_frames > 1:
            parts.append(_pixels(latent_NC[alone:] @ self._later_CK, 4, height, width))
        return np.concatenate(parts, axis=1)


def _of_bytes(basis_KC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A transform of pixels as one of bytes, whose blocks have their colours last, and what is added to it."""
    by_colour = basis_KC.reshape(COLOURS, -1, basis_KC.shape[1]).astype(np.float64)
    scaled = by_colour.transpose(1, 0, 2).reshape(basis_KC.shape) / 127.5
    return scaled.astype(np.float32), -by_colour.sum(axis=(0, 1)).astype(np.float32)


def first_frame_slots(channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which channel of the first latent frame carries which spatial coefficient (of 192).

    Both arrays are int64 and equally long. Channels that are constant in time keep their coefficient; the
    others take, in order of energy, the spatial coefficients that are left.
    """
    colour_t_yx = [divmod(index, BLOCK_SIDE * BLOCK_SIDE) for index in ENERGY_ORDER]
    spatial_of = [(ct // BLOCK_FRAMES) * BLOCK_SIDE * BLOCK_SIDE + yx for ct, yx in colour_t_yx]
    constant = [ct % BLOCK_FRAMES == 0 for ct, _ in colour_t_yx]
    left = [spatial for spatial, still in zip(spatial_of[channels:], constant[channels:], strict=True) if still]
    fill = iter(left)
    pairs: list[tuple[int, int]] = []
    for channel in range(channels):
        spatial = spatial_of[channel] if constant[channel] else next(fill, None)
        if spatial is not None:
            pairs.append((channel, spatial))
    slots, spatials = zip(*pairs, strict=True)
    return np.array(slots), np.array(spatials)


def _blocks(pixels_CTHW: np.ndarray, frames: int) -> np.ndarray:
    """Cut pixels into blocks (N, 3 * frames * 64), blocks in order of time, row, column."""
    colours, time, height, width = pixels_CTHW.shape
    cut = pixels_CTHW.reshape(colours, time // frames, frames, height // 8, 8, width // 8, 8)
    return cut.transpose(1, 3, 5, 0, 2, 4, 6).reshape(-1, colours * frames * 64)


def _pixels(blocks_NK: np.ndarray, frames: int, height: int, width: int) -> np.ndarray:
    """Join blocks, `height` rows of `width` blocks a latent frame, to pixels (3, T, H, W)."""
    cut = blocks_NK.reshape(-1, height, width, COLOURS, frames, 8, 8).transpose(3, 0, 4, 1, 5, 2, 6)
    return cut.reshape(COLOURS, -1, height * BLOCK_SIDE, width * BLOCK_SIDE)
