"""Known material through whole runs: every planted source sealed before anything of it is written, and nothing else.

    python -m benchmarks.sealing [--seed N] [--data FOLDER] --json

A list of procedural pictures (and of black, plain and title frames, which have too little content to seal anything);
sources that show one of them re-encoded, cropped, as half a second within other footage, or in one of 21 scenes; benign
footage beside them. Counts sources that were not sealed, files of the output that tell of one, and benign ones sealed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq

from benchmarks.gated import REPO, gated
from benchmarks.result import show
from curate.hashing import source_ids
from curate.media.writer import write_mp4
from filters._hash_entries import entries_of_pictures
from filters._hash_lists import write_list

SHARED = REPO.parent / "shared"
HEIGHT, WIDTH, FPS = 144, 256, 16.0
EACH = 10  # sources of every kind


def picture(rng: np.random.Generator) -> np.ndarray:
    """A colourful picture with structure at every scale, (H, W, 3) uint8."""
    total = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    for cells in (2, 4, 8, 16, 32):
        noise = rng.standard_normal((cells, 2 * cells, 3)).astype(np.float32) / np.sqrt(cells)
        total += cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 50 * (total - total.mean()) / total.std(), 0, 255).astype(np.uint8)


def poor(number: int) -> np.ndarray:
    """Black, plain and title frames."""
    frame = np.full((HEIGHT, WIDTH, 3), (0, 60, 255)[number % 3], np.uint8)
    if number >= 3:
        frame[:] = 0
        cv2.putText(frame, f"CHAPTER {number}", (30, 80), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255,) * 3, 2, cv2.LINE_AA)
    return frame


def scene(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Benign moving footage."""
    wide = np.concatenate([picture(rng)] * 2, axis=1)
    return np.stack([wide[:, 2 * t : 2 * t + WIDTH] for t in range(round(seconds * FPS))])


def planted(kind: str, known: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Frames that hold a known picture, and the quality at which they are encoded."""
    still = np.repeat(known[None], round(2 * FPS), axis=0)
    if kind == "re-encoded":
        return still, int(rng.integers(28, 36))
    if kind == "cropped":
        top, bottom, left, right = (int(share) for share in rng.uniform(0, 0.08, 4) * (HEIGHT, HEIGHT, WIDTH, WIDTH))
        cut = known[top : HEIGHT - bottom, left : WIDTH - right]
        return np.repeat(cut[: len(cut) // 2 * 2, : cut.shape[1] // 2 * 2][None], round(2 * FPS), axis=0), 22
    if kind == "sub-clip":
        return np.concatenate([scene(rng, 2.0), still[: round(0.5 * FPS)], scene(rng, 2.0)]), 22
    shots = [scene(rng, 1.0) for _ in range(20)]
    shots.insert(int(rng.integers(0, 21)), still[: round(FPS)])
    return np.concatenate(shots), 22


def traces(out: Path, names: set[str], sources: set[str]) -> list[str]:
    """Files of the output that hold the name of a sealed source, its id, or a row of it, but for its incident."""
    found = []
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        top = path.relative_to(out).parts[0]
        if top in ("sealed", "spec.yaml") or path.parent.name.startswith("sealed-"):
            continue  # what is locked away for those who must act; the user's own paths
        text = (
            json.dumps(pq.read_table(path).to_pylist(), default=repr) if path.suffix == ".parquet" else path.read_text()
        )
        if any(word in text for word in names | sources):
            found.append(str(path.relative_to(out)))
    return found


def measure(seed: int, data: Path | None, scratch: Path) -> dict[str, Any]:
    """Plant, run, and look through everything that was written."""
    rng = np.random.default_rng(seed)
    footage, listed = scratch / "footage", []
    footage.mkdir()
    kinds = ("re-encoded", "cropped", "sub-clip", "one of 21 scenes")
    for kind in kinds:
        for number in range(EACH if kind != "one of 21 scenes" else 2):
            known = picture(rng)
            listed.append(known)
            frames, crf = planted(kind, known, rng)
            write_mp4(footage / f"planted-{kind.replace(' ', '-')}-{number}.mp4", frames, FPS, crf=crf)
    for number in range(20):
        listed.append(poor(number))
        benign = np.concatenate([np.repeat(poor(number)[None], round(FPS), axis=0), scene(rng, 1.0)])
        write_mp4(footage / f"benign-{number}.mp4", benign, FPS)
    write_list(scratch / "known.txt", "procedural", entries_of_pictures(listed), datetime.now(UTC).date())
    sources = [{"path": str(footage)}, *([{"path": str(data)}] if data is not None else [])]
    spec = {
        "name": "sealing", "sources": sources,
        "stages": [
            {"split": {"detector": "fast", "min_s": 0.5}}, {"score": ["motion"]},
            {"screen": {"explicit": [], "violence": [], "hate": [], "known_hashes": str(scratch / "known.txt"),
                        "sealed": {"policy": "hold", "contact": "nobody@example.org"}}},
            {"dedup": {"exact": {}, "perceptual": {}}},
        ],
        "engine": {"workers": 2},
    }  # fmt: skip
    rows = gated(scratch / "run", spec)
    out = scratch / "run" / "out"
    notes = [json.loads(path.read_text()) for path in sorted((out / "sealed").glob("*.json"))]
    sealed = {url.rsplit("/", 1)[1] for note in notes for url in note["urls"]}
    wanted = {path.name for path in footage.glob("planted-*")}
    ids = source_ids([str(footage / name) for name in sorted(wanted)], scratch / "ids.json")
    found = {kind: sum(name in sealed for name in wanted if kind.replace(" ", "-") in name) for kind in kinds}
    ledger = [row["outcome"] for row in rows]
    return {
        "planted": len(wanted), "sealed": found, "not_sealed": sorted(wanted - sealed),
        "benign_sealed": sorted(sealed - wanted), "traces": traces(out, wanted, {str(i) for i in ids.values()}),
        "rows": {outcome: ledger.count(outcome) for outcome in sorted(set(ledger))}, "entries": len(listed),
    }  # fmt: skip


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "clips")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rushes-sealing-") as scratch:
        found = measure(args.seed, args.data if args.data.is_dir() else None, Path(scratch))
    wrong = len(found["not_sealed"]) + len(found["benign_sealed"]) + len(found["traces"])
    show("sealing", wrong, "sources not sealed, benign ones sealed, and traces", "0", seed=args.seed, **found)


if __name__ == "__main__":
    main()
