"""A step's draws in one line of the log: which clips with which captions, times and noise, whoever took them.

The digest of a set is the sum of its members' digests: neither order nor ranks change it, a clip more or less does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from trainer.data import Group

# Sums of 32-bit words are exact in float64, which ranks add up, up to two million clips.
_WORDS, _BITS = 4, 32


def word_sums(groups: Iterable[Group]) -> list[int]:
    """Return the sums over the clips of the first words of a sha256 of each clip's draws.

    Of the noise, which is a pure function of clip, epoch and seed, the numbers at the first place tell enough.
    """
    sums = [0] * _WORDS
    for group in groups:
        times, noise = group.time_BT.numpy(), group.noise_BCTHW[:, :, 0, 0, 0].numpy()
        for at, clip in enumerate(group.clip_ids):
            said = f"{clip}\n{group.captions[at]}\n".encode() + times[at].tobytes() + noise[at].tobytes()
            digest = hashlib.sha256(said).digest()
            for word in range(_WORDS):
                sums[word] += int.from_bytes(digest[4 * word : 4 * word + 4], "little")
    return sums


def digest(sums: Sequence[float]) -> str:
    """Return the sums over all ranks as 32 hexadecimal digits."""
    return "".join(f"{int(total) % (1 << _BITS):08x}" for total in sums)
