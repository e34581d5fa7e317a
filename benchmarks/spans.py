"""Do spans that are reached by seeking hold exactly the frames of a decode of the whole file? And what does it cost?

    python -m benchmarks.spans [--seed N] [--data FOLDER_OF_CLIPS] --json

Clips are those of the split stage, over all files of the folder and over odd ones from the kit `damage` (variable rate,
edit lists, rotation, B-frames, late start, missing key frame) and of our own making (open GOPs). The oracle is PyAV's
own sequential decode with default flags. Random access: single frames by seek, against decoding up to them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import av

from benchmarks.result import show
from curate.errors import InputRejected
from curate.media.backends.pyav import _Picture  # the hash of a frame's samples
from curate.media.decode_pass import DecodePass, PassRequest
from curate.media.facts import Geometry, Job
from curate.media.reader import Reader
from curate.registry import resolve

SHARED = Path(__file__).parents[2] / "shared"
ODD = (
    "vfr",
    "gap",
    "edit",
    "rotated",
    "starts_mid",
    "late",
    "healthy",
    "frag",
    "10bit",
    "time_rest",
    "size_change",
    "odd",
)


def whole(path: str) -> list[bytes]:
    """A hash of every frame by PyAV alone, in presentation order."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        return [_Picture(frame, Geometry()).digest() for frame in container.decode(stream)]


def open_gops(path: Path, source: Path) -> Path:
    """Re-encode a clip with open GOPs and B-frames."""
    with av.open(str(source)) as given, av.open(str(path), "w") as made:
        stream = made.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.options = {"bf": "3", "g": "24", "x264-params": "open-gop=1:b-pyramid=normal"}
        for number, frame in enumerate(given.decode(video=0)):
            if number == 200:
                break
            made.mux(stream.encode(frame.reformat(320, 180, "yuv420p")))
        made.mux(stream.encode(None))
    return path


def files(seed: int, data: Path, scratch: Path) -> list[str]:
    """Everything to look at."""
    found = [str(path) for path in sorted(data.glob("*.mp4"))]
    kit = SHARED / "kits" / "damage" / "make_damage.py"
    if kit.is_file():
        command = [sys.executable, "-B", str(kit), "--clips", str(data), "--seed", str(seed), "--count", "200"]
        subprocess.run([*command, "--out", str(scratch / "odd")], check=True, stdout=subprocess.DEVNULL)
        truth = json.loads((scratch / "odd" / "truth.json").read_bytes())["files"]
        found += [
            os.fsdecode(os.fsencode(str(scratch / "odd" / "files" / name)))
            for name, facts in truth.items()
            if facts["accept"] == "decodes" and any(word in facts["kind"] for word in ODD)
        ]
    return [*found, str(open_gops(scratch / "open_gop.mp4", Path(found[0])))]


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "clips")
    parser.add_argument("--detector", default="fast")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not args.data.is_dir():
        print(f"skipped: {args.data} is not there; name a folder of clips with --data")
        return
    reader = Reader()
    spans = wrong = 0
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="rushes-spans-") as scratch:
        paths = files(args.seed, args.data, Path(scratch))
        for path in paths:
            expected = whole(path)
            request = PassRequest("s", path, resolve("detector", args.detector), 0.0, 3.0)
            try:
                clips = [clip for stage, row in DecodePass(request, reader).run() for clip in row["clips"]]
            except InputRejected as error:
                faults.append(f"{os.path.basename(path)!a}: {error}")
                continue
            place = 0
            pts = [frame.pts for frame in reader.frames(path, Job("full"))]
            for clip in clips:
                first = pts.index(clip["start_pts"])
                own = expected[first : first + clip["num_frames"]]
                got = [
                    f.digest for f in reader.frames(path, Job("full", clip["start_pts"], clip["end_pts"], digest=True))
                ]
                spans += 1
                if got != own or first < place:
                    wrong += 1
                    faults.append(f"{os.path.basename(path)!a}: {clip['start_s']:.2f} s")
                place = first + clip["num_frames"]
        chosen = random.Random(args.seed).sample([p for p in paths if Path(p).parent == args.data], 8)
        cost = {"seek": 0.0, "decode_through": 0.0}
        for path in chosen:
            pts = [frame.pts for frame in reader.frames(path, Job("full"))]
            for target in pts[len(pts) // 3 :: max(1, len(pts) // 3)][:2]:
                for how, start in (("seek", target), ("decode_through", None)):
                    fresh = Reader()
                    fresh.probe(path)  # the process is there; what follows is the reading alone
                    begun = _worker_cpu(fresh)
                    for _ in fresh.frames(path, Job("full", start, target + 1, digest=True)):
                        pass
                    cost[how] += _worker_cpu(fresh) - begun
                    fresh.close()
    reader.close()
    ratio = cost["seek"] / max(1e-9, cost["decode_through"])
    show(
        "spans", wrong, f"of {spans} spans whose frames are not those of a sequential decode", "0", files=len(paths),
        faults=faults, seek_over_decode_through=round(ratio, 3),
    )  # fmt: skip


def _worker_cpu(reader: Reader) -> float:
    """CPU seconds of a reader's worker so far."""
    (sandbox,) = reader._idle
    assert sandbox._worker is not None
    with open(f"/proc/{sandbox._worker._process.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
