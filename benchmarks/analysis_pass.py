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
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.result import show
from benchmarks.yardsticks import Careful, InProcess, cpu_seconds, plain_decode, single_threaded
from curate.media.decode_pass import DecodePass, PassRequest
from curate.media.reader import Reader
from curate.registry import names, resolve

SHARED = Path(__file__).parents[2] / "shared" / "data" / "clips"
SCORES = ("motion", "sharpness", "exposure", "borders", "camera")
REACH = 1.5

Rows = dict[tuple[str, str], Any]


def analysed(
    paths: list[Path],
    reader: Any,
    detector: Any,
    content: set[str] | None = frozenset(),  # type: ignore[assignment]
) -> tuple[float, Rows]:
    """CPU seconds of the pass over all files, and its rows by (stage, file and place)."""
    scores = {name: resolve("score", name)() for name in SCORES if name in names("score")}
    scores["phash"] = resolve("hash", "phash")()
    rows: Rows = {}
    begun = cpu_seconds()
    for path in paths:
        request = PassRequest(
            path.name, str(path), detector, 1.0, 20.0, scores, proxies=None, content=content, keep_truncated=True
        )
        for place, (stage, row) in enumerate(DecodePass(request, reader).run()):
            rows[stage, f"{path.name}:{row.get('clip_id', place)}"] = row
    reader.close()
    return cpu_seconds() - begun, rows


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


def peers(paths: list[Path]) -> dict[str, float]:
    """CPU seconds of PySceneDetect's own detect() on the same files."""
    from scenedetect import AdaptiveDetector, ContentDetector, detect

    spent = {}
    for detector in (ContentDetector, AdaptiveDetector):
        begun = cpu_seconds()
        for path in paths:
            detect(str(path), detector())
        spent[f"PySceneDetect {detector.__name__}"] = cpu_seconds() - begun
    return spent


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
    plain_decode(paths[:2])  # imports and caches are warm for everybody
    plain, played = plain_decode(paths)
    sandboxed, rows = analysed(paths, Reader(), detector)
    inside, _ = analysed(paths, InProcess(), detector)
    hashed, _ = analysed(paths, InProcess(), detector, content=None)
    plain_again, _ = plain_decode(paths)
    plain = (plain + plain_again) / 2
    careful_s, careful = analysed(paths, InProcess(Careful()), detector)
    others = {name: round(spent / plain, 2) for name, spent in peers(paths).items()}
    found = {
        "in_process": round(inside / plain, 3), "sandbox_over_in_process": round(sandboxed / inside, 3),
        "in_process_with_content_hash": round(hashed / plain, 3),
        "every_shortcut_off": round(careful_s / plain, 2), "plain_cpu_s_per_minute": round(plain / played * 60, 2),
        "peers_over_plain": others, "compared": compared(rows, careful), "files": len(paths),
    }  # fmt: skip
    if not args.json:
        print(found, file=sys.stderr)
    show("analysis_pass", round(sandboxed / plain, 3), "CPU of the pass / CPU of plain decode", f"<= {REACH}", **found)


if __name__ == "__main__":
    single_threaded()
    main()
