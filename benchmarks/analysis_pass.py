"""What the one pass costs beside plain decoding, what its sandbox costs, and what its shortcuts change.

    python -m benchmarks.analysis_pass [--data FOLDER_OF_CLIPS] [--every N] [--detector fast] --json

CPU seconds of the whole analysis (scenes, motion, sharpness, exposure, borders, camera, perceptual hash, proxies)
divided by those of PyAV's decode() of the same files in the same run, both with one thread; the same pass in this
process; the same with the content hash, which reads every byte that is decoded; and the pass with every shortcut off,
whose cuts and scores are compared. Peers run on the same files.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.result import show
from benchmarks.yardsticks import Careful, InProcess, cpu_seconds, plain_decode, single_threaded
from curate.media.decode_pass import DecodePass, PassRequest
from curate.media.reader import Reader
from curate.registry import resolve

SHARED = Path(__file__).parents[2] / "shared" / "data" / "clips"
SCORES = ("motion", "sharpness", "exposure", "borders", "camera")
PEERS = ("ContentDetector", "AdaptiveDetector")
REACH = 1.5

Rows = dict[tuple[str, str], Any]


class Analysis:
    """The pass over files, one at a time, with one reader; its rows by (stage, file and place)."""

    def __init__(self, reader: Any, detector: Any, *, content_hash: bool = False) -> None:
        self._reader, self._detector = reader, detector
        self._content = None if content_hash else frozenset()
        self._scores = {name: resolve("score", name)() for name in SCORES}
        self._scores["phash"] = resolve("hash", "phash")()
        self.rows: Rows = {}

    def __call__(self, path: Path) -> None:
        """Analyse a file."""
        request = PassRequest(
            path.name, str(path), self._detector, 1.0, 20.0, self._scores,
            proxies=None, content=self._content, keep_truncated=True,  # type: ignore[arg-type]
        )  # fmt: skip
        for place, (stage, row) in enumerate(DecodePass(request, self._reader).run()):
            self.rows[stage, f"{path.name}:{row.get('clip_id', place)}"] = row


def spent(paths: list[Path], works: dict[str, Callable[[Path], Any]]) -> dict[str, float]:
    """CPU seconds of each work over all files. They take turns file by file: what slows the machine slows all."""
    seconds = dict.fromkeys(works, 0.0)
    for path in paths:
        for name, work in works.items():
            begun = cpu_seconds()
            work(path)
            seconds[name] += cpu_seconds() - begun
    return seconds


def compared(fast: Rows, careful: Rows) -> dict[str, Any]:
    """How often cuts agree to two frames, and how far scores of clips with equal spans are apart."""
    from scipy.stats import spearmanr

    cuts = [_cuts(rows) for rows in (fast, careful)]
    same = sum(any(abs(a - b) < 0.1 for b in cuts[1].get(name, ())) for name, found in cuts[0].items() for a in found)
    total = max(sum(map(len, found.values())) for found in cuts)
    report: dict[str, Any] = {"cuts": total, "cuts_same": same}
    for name in SCORES:
        keys = [key for key in fast if key[0] == name and key in careful]
        pairs = [(_value(fast[key]), _value(careful[key])) for key in keys]
        if not pairs or isinstance(pairs[0][0], str):
            if pairs:
                report[name] = {"equal": sum(a == b for a, b in pairs), "of": len(pairs)}
            continue
        one, two = np.array(pairs, float).T
        apart = np.abs(one - two) / np.maximum(np.abs(two), 0.05 * max(1e-9, float(np.abs(two).max())))
        report[name] = {
            "within_2_percent": round(float((apart <= 0.02).mean()), 3),
            "median_apart": round(float(np.median(apart)), 4),
            "mean_ratio": round(float(one.mean() / max(1e-9, two.mean())), 4),
            "rank_correlation": round(float(spearmanr(one, two)[0]), 4) if np.ptp(two) > 0 else None, "of": len(pairs),
        }  # fmt: skip
    return report


def _cuts(rows: Rows) -> dict[str, list[float]]:
    return {
        key[1].partition(":")[0]: [(b["start_s"] + b["end_s"]) / 2 for b in row["boundaries"]]
        for key, row in rows.items()
        if key[0] == "split"
    }


def _value(row: dict[str, Any]) -> Any:
    """The first column of a score."""
    return next(value for name, value in row.items() if name != "clip_id")


def peer(name: str) -> Callable[[Path], Any]:
    """PySceneDetect's own detect() with this detector."""
    import scenedetect

    return lambda path: scenedetect.detect(str(path), getattr(scenedetect, name)())


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--every", type=int, default=1, help="take every Nth file")
    parser.add_argument("--detector", default="fast")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not args.data.is_dir():
        print(f"skipped: {args.data} is not there; name a folder of clips with --data")
        return
    cv2.setNumThreads(1)
    paths = sorted(args.data.glob("*.mp4"))[:: args.every]
    detector = partial(resolve("detector", args.detector))
    reader = Reader()
    sandboxed, careful = Analysis(reader, detector), Analysis(InProcess(Careful()), detector)
    inside = Analysis(InProcess(), detector)
    works = {
        "plain": lambda path: plain_decode([path]), "pass": sandboxed, "in_process": inside,
        "with_content_hash": Analysis(InProcess(), detector, content_hash=True), "every_shortcut_off": careful,
        **{f"PySceneDetect {name}": peer(name) for name in PEERS},
    }  # fmt: skip
    for work in works.values():  # imports and caches are warm for everybody, and the worker is started
        work(paths[0])
    seconds = spent(paths, works)
    reader.close()
    over = {name: round(value / seconds["plain"], 3) for name, value in seconds.items()}
    found = {
        "over_plain": over, "sandbox_over_in_process": round(over["pass"] / over["in_process"], 3),
        "plain_cpu_s": round(seconds["plain"], 2), "compared": compared(sandboxed.rows, careful.rows),
        "files": len(paths),
    }  # fmt: skip
    if not args.json:
        print(found, file=sys.stderr)
    show("analysis_pass", over["pass"], "CPU of the pass / CPU of plain decode", f"<= {REACH}", **found)


if __name__ == "__main__":
    single_threaded()
    main()
