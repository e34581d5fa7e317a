"""Is camera motion told right? Planted pans, tilts, zooms, rolls, shakes and still cameras, over real pictures.

    python -m benchmarks.camera_motion [--seed N] [--count 20] [--data FOLDER_OF_CLIPS] --json

A crop window moves over still pictures taken from the clips; half of them get a thing that crosses the picture, some
black bars, some a burned-in logo; all are encoded by x264 and read back through the pass's own reader.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks.result import show
from benchmarks.yardsticks import InProcess
from curate.media.facts import Job
from curate.media.writer import write_mp4
from curate.stage import Clip, measure_row
from filters.camera import Camera

SHARED = Path(__file__).parents[2] / "shared" / "data" / "clips"
KINDS = (
    "static", "pan_left", "pan_right", "tilt_up", "tilt_down", "zoom_in", "zoom_out", "roll_cw", "roll_ccw", "shaky",
)  # fmt: skip
WIDTH, HEIGHT = 480, 270


def picture(path: Path, rng: np.random.Generator) -> np.ndarray:
    """One frame of a clip, large enough to move a window over."""
    with av.open(str(path)) as container:
        frames = [frame for number, frame in enumerate(container.decode(video=0)) if number % 25 == 0]
    pixels = frames[int(rng.integers(len(frames)))].to_ndarray(format="rgb24")
    scale = 3 * HEIGHT / min(pixels.shape[:2])
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)


def planted(kind: str, pixels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Frames (T, H, W, 3) of one motion, and their rate."""
    fps = float(rng.choice([24, 25, 30, 50, 60]))
    count = int(fps * rng.uniform(2.0, 4.0))
    time = np.arange(count) / fps
    speed = rng.uniform(0.06, 0.5)
    shift, scale, turn = np.zeros((count, 2)), np.ones(count), np.zeros(count)
    if kind.startswith(("pan", "tilt")):
        axis, sign = {"pan_right": (0, 1), "pan_left": (0, -1), "tilt_down": (1, 1), "tilt_up": (1, -1)}[kind]
        shift[:, axis] = sign * speed * (time - time[-1] / 2)
    elif kind.startswith("zoom"):
        scale = np.exp((1 if kind == "zoom_in" else -1) * max(0.08, speed) * (time - time[-1] / 2))
    elif kind.startswith("roll"):
        turn = (1 if kind == "roll_cw" else -1) * np.deg2rad(max(6.0, 40 * speed)) * (time - time[-1] / 2)
    elif kind == "shaky":
        steps = cv2.GaussianBlur(rng.normal(0, 1, (count, 2)), (1, 0), sigmaX=0.1, sigmaY=fps / 25)
        shift = steps / steps.std() * rng.uniform(0.02, 0.05)
    thing = rng.random() < 0.5
    colour = [int(value) for value in rng.integers(0, 256, 3)]
    start, velocity = rng.uniform(0, 1, 2), rng.uniform(-0.4, 0.4, 2)
    bars = int(rng.choice([0, 0, 0, HEIGHT // 8]))
    logo = rng.random() < 0.25
    height, width = pixels.shape[:2]
    made = np.empty((count, HEIGHT, WIDTH, 3), np.uint8)
    for n in range(count):
        # The window's own axes: it moves right, grows smaller as the camera zooms in, and turns with the camera.
        zoom = scale[n] * 0.62
        cos, sin = np.cos(turn[n]) / zoom, np.sin(turn[n]) / zoom
        centre = np.array([width / 2, height / 2]) + shift[n] * HEIGHT / zoom
        matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
        matrix[:, 2] = centre - matrix[:, :2] @ np.array([WIDTH / 2, HEIGHT / 2])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        frame = cv2.warpAffine(pixels, matrix, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REFLECT)
        if thing:
            place = (start + velocity * time[n]) % 1.0 * np.array([WIDTH, HEIGHT])
            cv2.circle(frame, (int(place[0]), int(place[1])), HEIGHT // 8, colour, -1)
        if bars:
            frame[:bars] = frame[-bars:] = 0
        if logo:
            cv2.putText(frame, "LOGO", (WIDTH - 90, 30 + bars), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2)
        made[n] = frame
    noise = rng.normal(0, 2.0, made.shape[1:]).astype(np.int16)
    return np.clip(made.astype(np.int16) + np.roll(noise, 7, axis=1), 0, 255).astype(np.uint8), fps


def told(path: Path) -> dict:
    """What the score says of a file."""
    view = Camera.frames
    frames = [f for f in InProcess().frames(str(path), Job(views=(view,))) if view in f.views]
    times = tuple(frame.time_s for frame in frames)
    clip = Clip(path.name, WIDTH, HEIGHT, len(frames), times[-1], times)
    return measure_row(Camera(), np.stack([frame.views[view] for frame in frames]), clip)


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=20, help="videos of each motion")
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not args.data.is_dir():
        print(f"skipped: {args.data} is not there; name a folder of clips with --data")
        return
    rng = np.random.default_rng(args.seed)
    paths = sorted(path for path in args.data.glob("*.mp4") if path.stat().st_size < 3_000_000)
    answers: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="rushes-camera-") as scratch:
        for kind in KINDS:
            for _ in range(args.count):
                frames, fps = planted(kind, picture(paths[int(rng.integers(len(paths)))], rng), rng)
                path = Path(scratch) / "a.mp4"
                write_mp4(path, frames, fps, crf=int(rng.integers(20, 31)))
                row = told(path)
                answers[kind][row["motion"]] += 1
                if row["motion"] != kind and not args.json:
                    print(
                        kind,
                        {name: value if isinstance(value, str) else round(value, 3) for name, value in row.items()},
                    )
    right = {kind: round(answers[kind][kind] / args.count, 3) for kind in KINDS}
    main_kinds = [kind for kind in KINDS if kind.startswith(("pan", "tilt", "zoom"))]
    value = sum(right[kind] for kind in main_kinds) / len(main_kinds)
    wrong = {kind: {name: n for name, n in found.items() if name != kind} for kind, found in answers.items()}
    show(
        "camera_motion", round(value, 3), "share of planted pans, tilts and zooms told right", ">= 0.95", right=right,
        wrong={kind: found for kind, found in wrong.items() if found}, seed=args.seed, count=args.count,
    )  # fmt: skip


if __name__ == "__main__":
    main()
