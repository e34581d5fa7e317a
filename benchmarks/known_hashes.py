"""Are copies of listed pictures found in video, and nothing else? The library of the known-material gate alone.

    python -m benchmarks.known_hashes [--seed N] [--count 120] [--pictures 500] [--data FOLDER_OF_CLIPS] --json

The list holds procedural pictures: textures, and scenes of shapes on textures, of five aspects. Copies of them are
shown for half a second to a second within other procedural footage: re-encoded by x264 at crf 18 to 35, scaled to 180
to 720 lines, cropped by up to 10 percent on each side or up to 8 on each side at random, 10 percent brighter or darker,
with black bars to another aspect, and all at once. A second list holds what has no content, black, plain, gradients and
white letters on black, and is shown the same frames through the same encoder. Both lists are compared with all frames
of the clips of real footage (skipped where there is none). `pdq_alone` says what a list without the perceptual hashes
finds, as lists of other makers are: PDQ of whole pictures, which no crop is near to.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import cv2
import numpy as np

from benchmarks.result import show
from benchmarks.yardsticks import InProcess, single_threaded
from curate.media.facts import Job
from curate.media.writer import write_mp4
from filters._hash_entries import entries_of_pictures
from filters._hash_lists import KINDS, LEAST_INFORMATION, LIMITS, Entry, HashLists, Match, read_lists, write_list
from filters.known_hashes import FrameHashes, KnownHashes, frame_hashes

SHARED = Path(__file__).parents[2] / "shared" / "data" / "clips"
TODAY = date(2026, 11, 1)
FPS = 12.0
ASPECTS = ((640, 360), (640, 480), (480, 480), (360, 640), (800, 340))
LINES = (180, 240, 360, 480, 720)
CHANGES = ("re-encoded", "cropped", "cropped off centre", "brighter or darker", "with bars", "all at once")
MOST_PAIRS = 2_000_000  # of unrelated hashes whose distances are looked at


def texture(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Noise at every scale, as photographs have it, (H, W, 3) uint8."""
    total = np.zeros((height, width, 3), np.float32)
    cells = 2
    while cells < min(width, height):
        noise = rng.standard_normal((cells, 2 * cells, 3)).astype(np.float32) / np.sqrt(cells)
        total += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        cells *= 2
    spread = rng.uniform(25, 60)
    return np.clip(rng.uniform(90, 160) + spread * (total - total.mean()) / total.std(), 0, 255).astype(np.uint8)


def scene(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A dozen shapes on a faint texture."""
    picture = (texture(rng, width, height) // 2 + int(rng.integers(0, 120))).astype(np.uint8)
    for _ in range(int(rng.integers(6, 16))):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        radius = int(min(width, height) * rng.uniform(0.06, 0.25))
        colour = [int(level) for level in rng.integers(0, 256, 3)]
        turn, step = int(rng.integers(90)), int(rng.choice([90, 72, 10]))
        corners = np.array(cv2.ellipse2Poly(centre, (radius, radius), turn, 0, 360, step))
        cv2.fillPoly(picture, [corners], colour, cv2.LINE_AA)
    return picture


def poor(rng: np.random.Generator) -> list[np.ndarray]:
    """Pictures without content: plain ones, gradients, white letters on black; (360, 640, 3) uint8."""
    y, x = np.mgrid[0:360, 0:640].astype(np.float32)
    far = np.hypot(x - 320, y - 180) / 367
    shades = [x / 639, y / 359, (x / 639 + y / 359) / 2, far, 1 - far, (x / 639) ** 2, 0.4 + 0.1 * y / 359]
    made = [np.full((360, 640, 3), level, np.uint8) for level in (0, 16, 90, 235, 255)]
    made += [np.repeat(np.rint(255 * shade).astype(np.uint8)[..., None], 3, axis=2) for shade in shades]
    letters = list("ABCDEFGHIKLMNOPRSTUVW abcdefghiklmnoprstu")
    for number in range(20):
        frame = np.zeros((360, 640, 3), np.uint8)
        scale = float(rng.uniform(0.6, 2.6))
        lines = int(rng.integers(1, 4))
        for line in range(lines):
            text = "".join(rng.choice(letters, int(rng.integers(4, 1 + round(30 / scale)))))
            thick = max(1, round((2, 3.5)[number % 2] * scale))
            (wide, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
            place = max(4, 320 - wide // 2), round(180 + (line - lines / 2 + 0.7) * 36 * scale)
            cv2.putText(frame, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255,) * 3, thick, cv2.LINE_AA)
        made.append(frame)
    return made


def changed(picture: np.ndarray, change: str, rng: np.random.Generator) -> np.ndarray:
    """A copy of a picture, (H, W, 3) uint8, before it is scaled and encoded."""
    everything = change == "all at once"
    if change.startswith("cropped") or everything:
        share = rng.uniform(0.0, 0.08, 4) if change != "cropped" else np.full(4, rng.uniform(0.02, 0.10))
        height, width = picture.shape[:2]
        top, bottom, left, right = np.rint(share * [height, height, width, width]).astype(int)
        picture = picture[top : height - bottom, left : width - right]
    if change == "brighter or darker" or everything:
        gain = float(rng.choice([0.9, 1.1]))
        picture = np.clip(picture * gain, 0, 255).astype(np.uint8)
    if change == "with bars" or everything:
        height, width = picture.shape[:2]
        thick = int(rng.uniform(0.06, 0.25) * max(height, width))
        across = [(0, 0), (thick, thick)] if height >= width or rng.random() < 0.3 else [(thick, thick), (0, 0)]
        picture = np.pad(picture, [*across, (0, 0)])
    return picture


def shown(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Footage in which a picture stands for half a second to a second, at a random size; (T, H, W, 3) uint8."""
    short = int(rng.choice(LINES))
    scale = short / min(picture.shape[:2])
    width, height = (2 * max(8, round(side * scale / 2)) for side in picture.shape[1::-1])
    still = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    wide = texture(rng, 2 * width, height)
    before, during, after = (int(rng.integers(*span)) for span in ((4, 12), (6, 13), (2, 8)))
    pan = [wide[:, 4 * t : 4 * t + width] for t in range(before + after)]
    return np.stack([*pan[:before], *[still] * during, *pan[before:]])


def read(path: Path) -> FrameHashes:
    """The hashes of a file on the score's grid."""
    grid = KnownHashes.frames
    frames = [frame for frame in InProcess().frames(str(path), Job(views=(grid,))) if grid in frame.views]
    if not frames:
        raise SystemExit(f"{path} gave no frame")
    pixels = [frame.views[grid] for frame in frames if frame.views[grid].shape == frames[0].views[grid].shape]
    times = [frame.time_s - frames[0].time_s for frame in frames][: len(pixels)]
    return frame_hashes(np.stack(pixels), times)


@dataclass(frozen=True)
class Listed:
    """Lists, and the number of the picture of each entry."""

    lists: HashLists
    picture_of: list[int]

    def finds(self, hashes: FrameHashes, number: int) -> Match | None:
        """The match, if it is the picture `number`."""
        match = self.lists.matches_frames(hashes)
        return match if match is not None and self.picture_of[match.entry] == number else None


def listed(folder: Path, name: str, made: Sequence[Sequence[Entry]], kinds: Sequence[str] = KINDS) -> Listed:
    """A list of the entries of some kinds of pictures, written and read."""
    entries = [(number, entry) for number, some in enumerate(made) for entry in some if entry.kind in kinds]
    write_list(folder / f"{name}.txt", name, [entry for _, entry in entries], TODAY)
    return Listed(read_lists([folder / f"{name}.txt"], 1, TODAY), [number for number, _ in entries])


def plant(
    folder: Path, pictures: Sequence[np.ndarray], count: int, rng: np.random.Generator
) -> Iterator[tuple[int, str, int, FrameHashes]]:
    """Number of the picture, what was done, crf, and the hashes of the video that shows it."""
    for case in range(count):
        number, change = int(rng.integers(len(pictures))), CHANGES[case % len(CHANGES)]
        crf = int(rng.integers(18, 36))
        write_mp4(folder / "a.mp4", shown(changed(pictures[number], change, rng), rng), FPS, crf=crf)
        yield number, change, crf, read(folder / "a.mp4")


def nearest_unrelated(lists_text: Path, clips: Sequence[FrameHashes], rng: np.random.Generator) -> int:
    """Bits of 256 between the nearest of pairs of unrelated perceptual hashes with content."""
    lines = [line.split() for line in lists_text.read_text().splitlines() if line.startswith("phash")]
    data = bytes.fromhex("".join(text for _, text, weight in lines if int(weight) >= LEAST_INFORMATION))
    known = np.frombuffer(data, np.uint64).reshape(-1, 4)
    rows = [np.ascontiguousarray(c.views[c.information >= LEAST_INFORMATION]).view(np.uint64) for c in clips]
    seen = np.concatenate(rows).reshape(-1, 4)
    seen = seen[rng.choice(len(seen), min(len(seen), max(1, MOST_PAIRS * 10 // len(known))), replace=False)]
    return min(int(np.bitwise_count(known ^ one).sum(axis=1).min()) for one in seen)


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    single_threaded()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(args.seed)
    pictures = [(texture, scene)[n % 2](rng, *ASPECTS[int(rng.integers(len(ASPECTS)))]) for n in range(args.pictures)]
    tallies: list[dict[str, int]] = [{change: 0 for change in CHANGES} for _ in range(3)]
    asked, found, by_pdq = tallies
    misses: list[dict] = []
    worst = {"pdq": 0, "phash": 0}
    with tempfile.TemporaryDirectory(prefix="rushes-known-") as scratch:
        folder = Path(scratch)
        begun = time.process_time()
        made = [entries_of_pictures([picture]) for picture in pictures]
        listing_ms = (time.process_time() - begun) * 1000 / args.pictures
        known, pdq = listed(folder, "pictures", made), listed(folder, "pdq", made, ("pdq",))
        for number, change, crf, hashes in plant(folder, pictures, args.count, rng):
            match, alone = known.finds(hashes, number), pdq.finds(hashes, number)
            asked[change] += 1
            found[change] += match is not None
            by_pdq[change] += alone is not None
            for one in (match, alone):
                if one is not None:
                    worst[one.kind] = max(worst[one.kind], one.distance)
            if match is None:
                misses.append({"picture": number, "change": change, "crf": crf})
        empty = poor(rng)
        nothing = listed(folder, "poor", [entries_of_pictures([picture]) for picture in empty]).lists
        sealed = [nothing.matches_frames(frame_hashes(picture[None])) for picture in empty]
        for crf in (18, 28, 35):
            write_mp4(folder / "poor.mp4", np.repeat(np.stack(empty), 3, axis=0), FPS, crf=crf)
            sealed.append(nothing.matches_frames(read(folder / "poor.mp4")))
        real = real_footage(args.data, [known.lists, pdq.lists, nothing], folder / "pictures.txt", rng)
    hits = sum(found.values())
    show(
        "known_hashes", round(hits / args.count, 4), f"of {args.count} planted copies found", "1.0, and nothing else",
        found={change: f"{found[change]} of {asked[change]}" for change in CHANGES}, misses=misses[:10],
        pdq_alone={change: f"{by_pdq[change]} of {asked[change]}" for change in CHANGES}, farthest_copy=worst,
        limits=LIMITS, poor_matched=sum(match is not None for match in sealed), poor_shown=len(sealed),
        entries=len(known.picture_of), listing_ms_per_picture=round(listing_ms, 1),
        **real, seed=args.seed,
    )  # fmt: skip


def real_footage(data: Path, lists: Sequence[HashLists], text: Path, rng: np.random.Generator) -> dict[str, object]:
    """What the lists find in real footage, and what hashing and matching cost."""
    if not data.is_dir():
        return {"real": f"skipped: {data} is not there; name a folder of clips with --data"}
    clips, grid, hashing_s, matching_s = [], KnownHashes.frames, 0.0, 0.0
    alarms: list[tuple[str, Match]] = []
    for path in sorted(data.glob("*.mp4")):
        pixels = [f.views[grid] for f in InProcess().frames(str(path), Job(views=(grid,))) if grid in f.views]
        frames = np.stack(pixels)
        begun = time.process_time()
        clips.append(frame_hashes(frames))
        hashed = time.process_time()
        matches = [lists[0].matches_frames(clips[-1])]
        hashing_s, matching_s = hashing_s + hashed - begun, matching_s + time.process_time() - hashed
        matches += [one.matches_frames(clips[-1]) for one in lists[1:]]
        alarms += [(path.name, match) for match in matches if match is not None]
    count = sum(len(clip.times_s) for clip in clips)
    return {
        "real_matched": f"{len(alarms)} of {len(clips)}", "alarms": [repr(alarm) for alarm in alarms[:10]],
        "real_frames": count, "hashing_ms_per_frame": round(hashing_s * 1000 / count, 3),
        "matching_ms_per_frame": round(matching_s * 1000 / count, 3),
        "nearest_unrelated": nearest_unrelated(text, clips, rng),
    }  # fmt: skip


if __name__ == "__main__":
    main()
