"""Pictures for the report: the proxies of a few clips out of the store, as small JPEG strips in base64.

Parts are read one at a time and only where they hold a wanted clip, so memory is that of one part.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np

from curate import proxies
from curate.errors import StorageError
from curate.plan import Plan
from curate.store import Store

FRAMES = 4  # of a strip: enough to tell motion from a still, few enough for hundreds of clips in one file
_TALL, _WIDE = 160, 284  # pixels of one frame at most: 16:9 at 160 px
# At 160 px the eye sees no difference from 90, at two thirds of the bytes.
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 80]


@dataclass(frozen=True)
class Strip:
    """Frames side by side, all of one size (width, height in pixels); `data` is a data: URL."""

    data: str
    width: int
    height: int
    count: int


def strips(plan: Plan, store: Store, clips: list[str], frames: int = FRAMES) -> dict[str, Strip]:
    """Strips by clip id; a clip without proxies is not in the answer.

    Raises:
        StorageError: a part or a proxy in it is damaged.
    """
    found = _jpegs(plan, store, set(clips))
    return {clip: _strip(clip, jpegs, frames) for clip, jpegs in found.items() if jpegs}


def _jpegs(plan: Plan, store: Store, wanted: set[str]) -> dict[str, list[bytes]]:
    """Proxies of the wanted clips, from the first commit of each."""
    found: dict[str, list[bytes]] = {}
    for part in store.parts(plan.tables["frames"].name):
        lacking = wanted - found.keys()
        if not lacking:
            break
        for row in proxies.rows(store, part.path, lacking, ["clip_id", "jpeg"]):
            found.setdefault(row["clip_id"], row["jpeg"] or [])
    return found


def _strip(clip: str, jpegs: list[bytes], frames: int) -> Strip:
    """Evenly spaced frames of a clip, scaled down and side by side."""
    places = np.unique(np.linspace(0, len(jpegs) - 1, frames + 2)[1:-1].round().astype(int))
    pictures = [proxies.decoded(clip, jpegs[place]) for place in places]
    tall, wide = pictures[0].shape[:2]
    scale = min(1.0, _TALL / tall, _WIDE / wide)
    size = (max(1, round(wide * scale)), max(1, round(tall * scale)))
    strip_HWC = np.concatenate([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pictures], axis=1)
    done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(strip_HWC, cv2.COLOR_RGB2BGR), _JPEG)
    if not done:
        raise StorageError(f"the proxies of clip {clip} could not be encoded for the report")
    return Strip("data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode(), *size, len(pictures))
