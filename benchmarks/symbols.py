"""Are signs found in real footage at any size, angle, colour and slant, and nothing where there is none?

    python -m benchmarks.symbols [--seed N] [--count 720] [--data FOLDER_OF_CLIPS] [--per-clip 40] --json

Signs are the abstract glyphs of the kit `shapes` and five drawn here; the references are their plain pictures. Each is
planted into a frame of a real clip, scaled to the proxies' 256 pixels, which is then coded as a JPEG of quality 90. Its
height is that of its picture before it is slanted, as a share of the frame's shorter side. Kinds:

    plain        as the reference is, turned        recolour  any ink on any plate, at least 30 apart in Lab (CIE76)
    footage      no plate: ink on the footage       slant     recoloured, tilted by up to 30 degrees
    inverted     dark ink on a light plate          all       footage or recolour, and tilted

Ink on footage covers at least 70 %, and nine tenths of the pixels that it covers or surrounds differ from it by 25 at
least. Decoys: parts of the signs, and other signs, planted likewise, at 0.3 and more. False alarms are counted in every
clip at 2 frames a second, at most `--per-clip` of each, spread over it; 0 takes them all. Takes about 7 core-minutes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks.result import show
from benchmarks.symbol_signs import DECOYS, SIDE, decoy, signs
from curate.intervals import clopper_pearson
from curate.stage import Clip, measure_row
from filters.symbols import Symbols

SHARED = Path(__file__).parents[2] / "shared" / "data" / "clips"
SIZES = (0.15, 0.20, 0.25, 0.30, 0.40, 0.60)  # lower ends of the buckets; the last reaches to 0.9
ENOUGH = 0.30  # from which the yardstick holds
KINDS = ("plain", "footage", "inverted", "recolour", "slant", "all")
THRESHOLD = 0.5  # on the screen's value
FOCAL = 1.0  # of the camera that sees a slanted sign, in shorter sides: 53 degrees
PLATE, INK = 30.0, 25.0  # least distances in Lab
CYAN = (0, 205, 225)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE Lab of 8-bit colours, any shape that ends in 3."""
    flat = np.asarray(rgb, np.float32).reshape(1, -1, 3) / 255
    return cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).reshape(np.shape(rgb))


def place(size: float, tilt: float, frame_HWC: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Homography from a drawing to the frame, turned by any angle, tilted about any axis; None where it has no room."""
    height, width = frame_HWC.shape[:2]
    short = min(height, width)
    axis, turn = rng.uniform(0, 2 * np.pi, 2)
    spin = cv2.Rodrigues(np.array([0, 0, turn]))[0]
    lean = cv2.Rodrigues(np.array([np.cos(axis), np.sin(axis), 0]) * np.radians(tilt))[0]
    corners = np.array([[x, y, 0] for x in (-0.5, 0.5) for y in (-0.5, 0.5)]) * size
    seen = corners @ (lean @ spin).T + [0, 0, FOCAL]
    points = seen[:, :2] / seen[:, 2:] * FOCAL * short
    low, high = -points.min(axis=0), np.array([width, height]) - points.max(axis=0)
    if (low > high).any():
        return None
    points += rng.uniform(low, high)
    source = np.array([[x, y] for x in (0, SIDE) for y in (0, SIDE)], np.float32)
    return cv2.getPerspectiveTransform(source, points.astype(np.float32))


def spread(ink_SS: np.ndarray, matrix: np.ndarray, width: int, height: int) -> np.ndarray:
    """A drawing where it stands in the frame, (H, W) float32; four samples a side of a pixel."""
    grow = np.diag([4.0, 4.0, 1.0])
    large = cv2.warpPerspective(ink_SS, grow @ matrix, (4 * width, 4 * height))
    return cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)


def planted(
    frame_HWC: np.ndarray, ink_SS: np.ndarray, size: float, kind: str, rng: np.random.Generator
) -> np.ndarray | None:
    """The frame with a sign, coded as a proxy; None where there is no room or not enough contrast."""
    matrix = place(size, rng.uniform(5, 30) if kind in ("slant", "all") else 0.0, frame_HWC, rng)
    if matrix is None:
        return None
    height, width = frame_HWC.shape[:2]
    ink_HW1 = spread(ink_SS, matrix, width, height)[..., None]
    plate_HW1 = spread(np.ones_like(ink_SS), matrix, width, height)[..., None]
    ink, plate = rng.integers(0, 256, (2, 3))
    if kind == "footage" or (kind == "all" and rng.random() < 0.5):
        whole = frame_HWC + (ink - frame_HWC.astype(np.float32)) * (ink_HW1 * rng.uniform(0.7, 1.0))
        hull = cv2.convexHull(np.argwhere(ink_HW1[..., 0] > 0.5)[:, ::-1].astype(np.int32))
        near_HW = cv2.fillConvexPoly(np.zeros((height, width), np.uint8), hull, 1) > 0
        signs_lab = lab(whole[(ink_HW1[..., 0] > 0.9)].mean(axis=0))
        if np.percentile(np.linalg.norm(lab(frame_HWC[near_HW]) - signs_lab, axis=1), 10) < INK:
            return None
    else:
        if kind == "plain":
            ink, plate = np.array(CYAN), np.zeros(3)
        elif kind == "inverted":
            ink, plate = rng.integers(0, 70, 3), rng.integers(170, 256, 3)
        if np.linalg.norm(lab(ink) - lab(plate)) < PLATE:
            return None
        whole = frame_HWC + (plate - frame_HWC.astype(np.float32)) * plate_HW1
        whole = whole + (ink - whole) * ink_HW1
    return opened(coded(np.clip(whole, 0, 255).astype(np.uint8)))


def coded(frame_HWC: np.ndarray) -> bytes:
    """A frame as the proxies' JPEG."""
    done, data = cv2.imencode(".jpg", frame_HWC[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert done
    return data.tobytes()


def opened(data: bytes) -> np.ndarray:
    """The frame of a JPEG, (H, W, 3) uint8."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert pixels is not None
    return pixels


def sampled(path: Path, most: int) -> list[bytes]:
    """Proxies of a clip: 2 a second with the first, at most `most` spread over it."""
    frames, due, last = [], 0.0, None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if float(frame.time or 0.0) + 1e-6 >= due or last is None:
                due, last = float(frame.time or 0.0) + 0.5, frame
                scale = min(1.0, 256 / min(frame.width, frame.height))
                size = round(frame.width * scale), round(frame.height * scale)
                pixels = cv2.resize(frame.to_ndarray(format="rgb24"), size, interpolation=cv2.INTER_AREA)
                frames.append(coded(pixels))
    if most and len(frames) > most:
        frames = [frames[k] for k in np.linspace(0, len(frames) - 1, most).round().astype(int)]
    return frames


def bounds(hits: int, of: int) -> list[float]:
    """The 95 % interval of a share (Clopper-Pearson)."""
    return [round(bound, 4) for bound in clopper_pearson(hits, of)]


def share(hits: Sequence[bool]) -> dict[str, object]:
    """How many of how many, and the interval."""
    count = sum(hits)
    return {"recall": round(count / max(1, len(hits)), 4), "of": len(hits), "interval": bounds(count, len(hits))}


class Looker:
    """The screen with the plain pictures of some signs as its references."""

    def __init__(self, inks: dict[str, np.ndarray], scratch: Path) -> None:
        """Write the references, cyan on black, and load them as a user would."""
        scratch.mkdir()
        for name, ink in inks.items():
            cv2.imwrite(str(scratch / f"{name}.png"), (ink[..., None] * CYAN[::-1]).astype(np.uint8))
        self.screen = Symbols(("hate",), references=str(scratch))

    def seen(self, frames_THWC: np.ndarray) -> dict[str, float]:
        """The signs that it finds, and how sure it is of each."""
        clip = Clip("c", 1, 1, len(frames_THWC), 1.0, tuple(np.arange(len(frames_THWC)) / 2))
        row = measure_row(self.screen, frames_THWC, clip)
        return dict(zip(row["found"], row["confidence"], strict=True))


def takes(footage: dict[str, list[bytes]], rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Frames of clips, any frame of any clip, without end; each eight times, since not every place will do."""
    names = sorted(footage)
    while True:
        coded_frames = footage[names[int(rng.integers(len(names)))]]
        frame = opened(coded_frames[int(rng.integers(len(coded_frames)))])
        yield from [frame] * 8


def recall(looker: Looker, inks: dict[str, np.ndarray], frames: Iterator[np.ndarray], count: int,
           rng: np.random.Generator) -> dict[str, object]:  # fmt: skip
    """Plant `count` signs, as many of each size and kind, and look for them."""
    ends = (*SIZES, 0.9)
    rows: list[tuple[int, str, str, bool, bool]] = []
    while len(rows) < count:
        bucket, kind = len(rows) % len(SIZES), KINDS[len(rows) // len(SIZES) % len(KINDS)]
        name = sorted(inks)[int(rng.integers(len(inks)))]
        size = float(rng.uniform(ends[bucket], ends[bucket + 1]))
        frame = planted(next(frames), inks[name], size, kind, rng)
        if frame is not None:
            seen = {sign for sign, sure in looker.seen(frame[None]).items() if sure >= THRESHOLD}
            rows.append((bucket, kind, name, name in seen, bool(seen - {name})))
    large = [row for row in rows if SIZES[row[0]] >= ENOUGH]
    return {
        "large": share([row[3] for row in large]),
        "by_size": {str(size): share([row[3] for row in rows if row[0] == k]) for k, size in enumerate(SIZES)},
        "large_by_kind": {kind: share([row[3] for row in large if row[1] == kind]) for kind in KINDS},
        "large_by_sign": {name: share([row[3] for row in large if row[2] == name]) for name in sorted(inks)},
        "taken_for_another": sum(row[4] for row in rows),
    }


def decoys(looker: Looker, frames: Iterator[np.ndarray], rng: np.random.Generator) -> dict[str, object]:
    """Plant every decoy in every kind; which are taken for a sign."""
    taken: list[str] = []
    surest, count = 0.0, 0
    for name in DECOYS:
        for kind in KINDS:
            frame = None
            while frame is None:
                frame = planted(next(frames), decoy(name), float(rng.uniform(ENOUGH, 0.8)), kind, rng)
            seen = looker.seen(frame[None])
            count, surest = count + 1, max([surest, *seen.values()])
            taken += [f"{name} ({kind}): {sign}" for sign, sure in seen.items() if sure >= THRESHOLD]
    return {"taken": taken, "of": count, "surest": round(surest, 3), "interval": bounds(len(taken), count)}


def false_alarms(looker: Looker, footage: dict[str, list[bytes]]) -> dict[str, object]:
    """Look at every clip as it is; intervals over frames, which resemble each other, and over clips."""
    count, surest, alarms = 0, 0.0, []
    for clip, proxies in footage.items():
        frames = np.stack([opened(data) for data in proxies])
        seen = looker.seen(frames)
        count, surest = count + len(frames), max([surest, *seen.values()])
        alarms += [f"{clip}: {sign}" for sign, sure in seen.items() if sure >= THRESHOLD]
    upper = {
        f"upper_bound_{kind}": bounds(len(alarms), of)[1] for kind, of in (("frames", count), ("clips", len(footage)))
    }
    return {"alarms": alarms, "frames": count, "clips": len(footage), "surest": round(surest, 3), **upper}


def cost(looker: Looker, frames: Iterator[np.ndarray]) -> float:
    """CPU milliseconds a frame, over 40 frames."""
    some = list(islice(frames, 0, 8 * 40, 8))
    start = time.process_time()
    for frame in some:
        looker.seen(frame[None])
    return round(1000 * (time.process_time() - start) / len(some), 1)


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=720, help="signs that are planted")
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--per-clip", type=int, default=40, help="frames of a clip that are searched for false alarms")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    clips = sorted(args.data.glob("**/*.mp4")) if args.data.is_dir() else []
    if not clips:
        print(f"skipped: {args.data} holds no clips; name a folder of them with --data")
        return
    cv2.setNumThreads(1)
    rng = np.random.default_rng(args.seed)
    footage = {path.name: sampled(path, args.per_clip) for path in clips}
    inks, frames = signs(), takes(footage, rng)
    with tempfile.TemporaryDirectory(prefix="rushes-symbols-") as scratch:
        looker = Looker(inks, Path(scratch) / "all")
        three = Looker({name: inks[name] for name in sorted(inks)[:3]}, Path(scratch) / "three")
        found = recall(looker, inks, frames, args.count, rng)
        taken, alarms = decoys(looker, frames, rng), false_alarms(looker, footage)
        spent = {str(len(some.screen.covers("hate"))): cost(some, frames) for some in (three, looker)}
    large = found["large"]
    show(
        "symbols", large["recall"], f"recall of signs from {ENOUGH} of the shorter side", ">= 0.95, no false alarm",  # type: ignore[index]
        **found, decoys=taken, false_alarms=alarms, cpu_ms_per_frame_by_references=spent, threshold=THRESHOLD,
        seed=args.seed,
    )  # fmt: skip


if __name__ == "__main__":
    main()
