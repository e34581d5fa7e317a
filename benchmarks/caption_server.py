"""The captioner `server` against a server that fails (a): is every caption on its own clip? And how near is it to the
throughput of a server of fixed latency (d)?

    python -m benchmarks.caption_server [--clips 2000] [--json]

The server is a process of its own, benchmarks/chat_server.py; it reads from a clip's pixels which one it is. The
yardstick of (d) is the latency that the server is told to have: clips / in_flight * latency.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np

from benchmarks.result import show
from captioner.caption import Subject, describe
from captioner.server import Server
from curate.captioning import Asking, Pictures
from curate.stage import Left

IN_FLIGHT, TRIES = 64, 10
FAULTS = {
    "429": 0.08, "500": 0.06, "503": 0.04, "cut": 0.06, "no_json": 0.04, "other_form": 0.02, "wrong_schema": 0.04,
    "no_ref": 0.02, "swapped": 0.02, "swapped_body": 0.02,
}  # fmt: skip
STEP, SIDE = 5, 50  # levels of two channels, far enough apart for JPEG: 2500 clips that pixels tell apart
LATENCY_S, ROUNDS = 0.5, 24


@contextmanager
def serving(**options: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """A server's URL, and what it says of itself when it is ended."""
    command = [sys.executable, "-m", "benchmarks.chat_server", json.dumps(options)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said: dict[str, Any] = {}
    try:
        yield process.stdout.readline().strip(), said
        said |= json.loads(process.communicate(timeout=30)[0])
    finally:
        process.kill()
        process.wait()


def subject(number: int) -> Subject:
    """A clip whose colour says its number."""
    frame = np.zeros((64, 64, 3), np.uint8)
    frame[..., 1], frame[..., 2] = STEP * (number // SIDE), STEP * (number % SIDE)
    jpeg = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
    return Subject(f"clip-{number:05d}", {"duration_s": 2.0}, Pictures((jpeg,) * 4, (0.0, 0.5, 1.0, 1.5)))


def number_of(text: str) -> int:
    """The clip that a caption speaks of."""
    found = re.search(r"levels (\d+) and (\d+)", text)
    assert found is not None, text
    green, red = (round(int(level) / STEP) for level in found.groups())
    return green * SIDE + red


def integrity(clips: int, seed: int) -> dict[str, Any]:
    """Captions of clips by a server that answers in random order and fails a third of the time."""
    subjects = [subject(number) for number in range(clips)]
    with serving(faults=FAULTS, latency_s=(0.0, 0.1), worst=TRIES - 1, seed=seed) as (url, said):
        captioner = Server("tiny", url, in_flight=IN_FLIGHT, tries=TRIES, timeout_s=30.0)
        rows, turns = [], 0
        while subjects:  # as a run does: what was left is asked about by the next one
            found = list(describe(captioner, Asking(again=3), subjects, lambda: None))
            rows += [row for row in found if not isinstance(row, Left)]
            left = {row.id for row in found if isinstance(row, Left)}
            subjects, turns = [s for s in subjects if s.clip_id in left], turns + 1
    wrong = sum(
        row[kind] is None or number_of(row[kind]) != int(row["clip_id"][5:])
        for row in rows for kind in ("short", "dense")
    )  # fmt: skip
    ids = [row["clip_id"] for row in rows]
    return {
        "clips": clips, "wrong": wrong, "lost": clips - len(set(ids)), "doubled": len(ids) - len(set(ids)),
        "runs": turns, "most requests for one answer": said["requests"][-1], "faults": sum(said["given"].values()),
        "requests": sum(said["requests"]), "most in flight": said["most_open"],
    }  # fmt: skip


def throughput() -> dict[str, Any]:
    """Share of the ideal throughput at a fixed latency."""
    subjects = [subject(number) for number in range(IN_FLIGHT * ROUNDS)]
    with serving(latency_s=(LATENCY_S, LATENCY_S)) as (url, said):
        captioner = Server("tiny", url, in_flight=IN_FLIGHT)
        begun = time.perf_counter()
        count = sum(1 for _ in describe(captioner, Asking(kinds=("short",)), subjects, lambda: None))
        wall_s = time.perf_counter() - begun
    assert count == len(subjects)
    assert said["most_open"] <= IN_FLIGHT
    return {"wall_s": round(wall_s, 2), "ideal_s": ROUNDS * LATENCY_S, "share": round(ROUNDS * LATENCY_S / wall_s, 4)}


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    joined, rate = integrity(options.clips, options.seed), throughput()
    bad = joined["wrong"] + joined["lost"] + joined["doubled"]
    show("caption_server", bad, "captions wrong, lost or doubled", "0", integrity=joined, throughput=rate)


if __name__ == "__main__":
    main()
