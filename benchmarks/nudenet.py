"""Does the screen `nudenet` say what NudeNet's own detector says, and what does it say of ordinary footage?

    python -m benchmarks.nudenet [--data FOLDER_OF_CLIPS] [--per-clip 40] [--sheet FILE.jpg] --json

Every clip at 2 frames a second as proxies are (shorter side 256, through their JPEG), at most `--per-clip` of each,
spread over it. Each frame's values must be equal, bit for bit in float32, to the maxima over what a detector made by
the package itself finds in the frame and in its three crops, given BGR as the package reads files. Lists every clip
whose `explicit` reaches 0.5 or 0.3, with the class and the picture that did it, and what would be left if frames were
looked at whole alone; the sheet shows these frames, to be looked at. What is missed cannot be measured with ordinary
footage. `--swapped` counts the same for pictures with red and blue exchanged: the package exchanges them twice, so that
its model sees blue for red. Takes about 10 core-minutes, with `--swapped` 15.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.result import show
from benchmarks.yardsticks import InProcess, single_threaded
from curate.media.facts import Job
from curate.stage import PROXY, Clip, measure_row
from filters._crops import crops
from filters._nudenet import CLASSES, EXPLICIT, SUGGESTIVE
from filters.nudenet import NudeNet

SHARED = Path(__file__).parents[2] / "shared" / "data" / "clips"
LEVELS = (0.5, 0.3)  # of the policy that ships: `standard`, and `review`
VIEWS = ("whole", "first crop", "middle crop", "last crop")
FACES = ("FACE_FEMALE", "FACE_MALE")


def sampled(path: Path, most: int) -> tuple[np.ndarray, list[float]]:
    """Proxies of a file, (T, H, W, 3) uint8 RGB, at most `most` spread over it, and their times in seconds."""
    found = [(f.views[PROXY], f.time_s) for f in InProcess().frames(str(path), Job(views=(PROXY,))) if PROXY in f.views]
    if most and len(found) > most:
        found = [found[k] for k in np.linspace(0, len(found) - 1, most).round().astype(int)]
    return np.stack([coded(frame) for frame, _ in found]), [time_s for _, time_s in found]


def coded(frame_HWC: np.ndarray) -> np.ndarray:
    """A frame through the proxies' JPEG."""
    done, data = cv2.imencode(".jpg", frame_HWC[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert done
    return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)


def views(frame_HWC: np.ndarray) -> list[np.ndarray]:
    """A frame whole and, where it is not square, its crops."""
    height, width = frame_HWC.shape[:2]
    return [frame_HWC] if height == width else [frame_HWC, *crops(frame_HWC[None], min(height, width))[0]]


def own(detector: Any, frame_HWC: np.ndarray, flip: bool) -> list[dict[str, float]]:
    """The package's highest score of each class in each view of a frame."""
    found = []
    for picture in views(frame_HWC):
        best: dict[str, float] = {}
        for one in detector.detect(np.ascontiguousarray(picture[..., ::-1] if flip else picture)):
            best[one["class"]] = max(best.get(one["class"], 0.0), one["score"])
        found.append(best)
    return found


def highest(found: list[dict[str, float]], classes: tuple[str, ...]) -> float:
    """The highest score of some classes over views."""
    return max((view.get(name, 0.0) for view in found for name in classes), default=0.0)


def differing(row: dict[str, Any], found: list[list[dict[str, float]]]) -> int:
    """How many values of a row are not the package's."""
    expected = [(f"{name}_by_frame", [highest(frame, classes) for frame in found])
                for name, classes in (("explicit", EXPLICIT), ("suggestive", SUGGESTIVE))]  # fmt: skip
    expected += [(name.lower(), [max(highest(frame, (name,)) for frame in found)]) for name in CLASSES]
    return sum(int((np.float32(row[name]) != np.float32(values)).sum()) for name, values in expected)


def worst(name: str, times: list[float], found: list[list[dict[str, float]]]) -> dict[str, Any]:
    """The moment of a clip with the highest `explicit`."""
    levels = [highest(frame, EXPLICIT) for frame in found]
    at = int(np.argmax(levels))
    view, part = max(
        ((v, c) for v in range(len(found[at])) for c in EXPLICIT), key=lambda key: found[at][key[0]].get(key[1], 0.0)
    )
    whole = max(highest(frame[:1], EXPLICIT) for frame in found)
    return {"clip": name, "frame": at, "at_s": round(times[at], 2), "explicit": round(levels[at], 3), "class": part,
            "in": VIEWS[view], "whole_alone": round(whole, 3)}  # fmt: skip


def sheet(path: Path, alarms: list[tuple[dict[str, Any], np.ndarray]]) -> None:
    """The frames of the alarms, four a row, with what was found."""
    cells = []
    for alarm, frame in alarms:
        cell = np.zeros((300, 460, 3), np.uint8)
        scale = min(460 / frame.shape[1], 256 / frame.shape[0])
        small = cv2.resize(frame, (round(frame.shape[1] * scale), round(frame.shape[0] * scale)))
        cell[: small.shape[0], : small.shape[1]] = small[..., ::-1]
        says = f"{alarm['explicit']} {alarm['class'][:22]} {alarm['in']}"
        for line, text in enumerate((alarm["clip"][:48], says)):
            cv2.putText(cell, text, (2, 272 + 18 * line), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1)
        cells.append(cell)
    cells += [np.zeros_like(cells[0])] * (-len(cells) % 4)
    rows = [np.concatenate(cells[start : start + 4], axis=1) for start in range(0, len(cells), 4)]
    cv2.imwrite(str(path), np.concatenate(rows))


def counts(alarms: list[dict[str, Any]], key: str) -> dict[str, int]:
    """Clips that reach each level."""
    return {str(level): sum(alarm[key] >= level for alarm in alarms) for level in LEVELS}


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--per-clip", type=int, default=40, help="most frames of a clip; 0 takes them all")
    parser.add_argument("--sheet", type=Path, help="write a picture of the alarms here")
    parser.add_argument("--swapped", action="store_true", help="count with red and blue exchanged, too")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    data = args.data / "clips" if (args.data / "clips").is_dir() else args.data
    if not data.is_dir():
        print(f"skipped: {data} is not there; name a folder of clips with --data")
        return
    single_threaded()
    cv2.setNumThreads(1)
    from nudenet import NudeDetector

    detector = NudeDetector()
    screen = NudeNet(("explicit", "suggestive"))
    wrong = values = 0
    frames_seen, seconds = 0, 0.0
    clips, swapped, shown = [], [], []
    faces = {"as the screen": [0, 0.0], "swapped": [0, 0.0]}
    for path in sorted(data.glob("*.mp4")):
        frames, times = sampled(path, args.per_clip)
        start = time.process_time()
        row = measure_row(screen, frames, Clip(path.name, 1, 1, len(frames), 1.0, tuple(times)))
        seconds, frames_seen = seconds + time.process_time() - start, frames_seen + len(frames)
        found = [own(detector, frame, True) for frame in frames]
        other = [own(detector, frame, False) for frame in frames] if args.swapped else []
        wrong += differing(row, found)
        values += 2 * len(frames) + len(CLASSES)
        for key, result in (("as the screen", found), ("swapped", other)):
            scores = [highest(frame[:1], FACES) for frame in result]
            faces[key] = [faces[key][0] + sum(score > 0 for score in scores), faces[key][1] + sum(scores)]
        clips.append({**worst(path.name, times, found), "suggestive": round(row["suggestive"], 3)})
        if other:
            swapped.append(worst(path.name, times, other))
        if clips[-1]["explicit"] >= LEVELS[-1]:
            shown.append((clips[-1], frames[clips[-1]["frame"]]))
    if args.sheet and shown:
        sheet(args.sheet, sorted(shown, key=lambda one: -one[0]["explicit"]))
    alarms = sorted((clip for clip in clips if clip["explicit"] >= LEVELS[-1]), key=lambda clip: -clip["explicit"])
    show(
        "nudenet", wrong, f"of {values} values differ from the package's own detect", "0",
        cpu_ms_per_frame=round(1000 * seconds / max(1, frames_seen), 1), frames=frames_seen, clips=len(clips),
        explicit_alarms=counts(clips, "explicit"), whole_alone=counts(clips, "whole_alone"),
        suggestive_alarms=counts(clips, "suggestive"), swapped=counts(swapped, "explicit"),
        swapped_whole_alone=counts(swapped, "whole_alone"),
        frames_with_a_face={key: {"frames": n, "sum_of_scores": round(s, 1)} for key, (n, s) in faces.items()},
        alarms=alarms,
    )  # fmt: skip


if __name__ == "__main__":
    main()
