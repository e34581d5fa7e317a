"""Broken and hostile media: does every file end in exactly one outcome that its kit accepts, within the limits?

    python -m benchmarks.damage --seed 1 [--seed 2] [--count 300] [--data FOLDER_OF_CLIPS] --json

Makes the files with the kit `damage` of the shared folder and gives them all to one `rushes try sharpness`, which
decodes each whole file. With strace at hand it also counts connections, and other files that were opened by a decoder.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.result import show

REPO = Path(__file__).parent.parent
SHARED = REPO.parent / "shared"


def judged(folder: Path, results: list[dict[str, Any]], truth: dict[str, Any]) -> list[str]:
    """A sentence for every file whose outcome its kit does not accept."""
    wrong = []
    for name, result in zip(truth, results, strict=True):
        got = "decodes" if result["outcome"] == "ok" else "rejected"
        if truth[name]["accept"] not in ("either", got):
            wrong.append(f"{name!a}: {got} ({result.get('reason', '')}), accepted is {truth[name]['accept']}")
        if result["input"] != os.fsdecode(os.fsencode(str(folder / "files" / name))):
            wrong.append(f"{name!a}: its answer is another file's")
    return wrong


def traced(command: list[str], log: Path) -> list[str]:
    """The command under strace, where there is one."""
    if shutil.which("strace") is None:
        return command
    return ["strace", "-f", "-qq", "-e", "trace=openat,open,connect", "-o", str(log), *command]


def foreign(log: Path, folder: Path) -> dict[str, int] | None:
    """Connections to other machines, and files beside the given ones that were read while footage was decoded."""
    if not log.exists():
        return None
    text = log.read_text(errors="replace")
    connections = len(re.findall(r"connect\(\d+, \{sa_family=AF_INET", text))
    secrets = len(re.findall(r'open(?:at)?\([^"]*"(?:/etc/passwd|/etc/hostname)"[^)]*\)\s*= \d', text))
    return {"connections": connections, "secrets_opened": secrets, "lines": text.count("\n")}


def measure(seed: int, count: int, kit: Path, data: Path) -> dict[str, Any]:
    """One set: make it, try it, judge it."""
    with tempfile.TemporaryDirectory(prefix="rushes-damage-") as scratch:
        folder, log = Path(scratch) / "set", Path(scratch) / "trace"
        command = [sys.executable, "-B", str(kit / "make_damage.py"), "--clips", str(data), "--seed", str(seed)]
        subprocess.run([*command, "--count", str(count), "--out", str(folder)], check=True, stdout=subprocess.DEVNULL)
        truth = json.loads((folder / "truth.json").read_bytes())["files"]
        files = [os.fsdecode(os.fsencode(str(folder / "files" / name))) for name in truth]
        begun = time.monotonic()
        call = [sys.executable, "-m", "curate.cli", "try", "sharpness", "--json", "--", *files]
        done = subprocess.run(traced(call, log), stdout=subprocess.PIPE, cwd=REPO, check=False)
        seconds = time.monotonic() - begun
        results = json.loads(done.stdout)["results"] if done.returncode == 0 else []
        wrong = judged(folder, results, truth) if results else [f"exit code {done.returncode}"]
        reasons = Counter(result.get("reason", "ok") for result in results)
        return {
            "seed": seed, "files": len(truth), "outcomes": len(results), "wrong": wrong, "seconds": round(seconds, 1),
            "reasons": dict(reasons.most_common()), "trace": foreign(log, folder),
        }  # fmt: skip


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "clips")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    kit = SHARED / "kits" / "damage"
    if not kit.is_dir() or not args.data.is_dir():
        print(f"skipped: the kit {kit} or the clips {args.data} are not there")
        return
    sets = [measure(seed, args.count, kit, args.data) for seed in args.seed or [1, 2]]
    files, wrong = sum(s["files"] for s in sets), sum(len(s["wrong"]) for s in sets)
    show("damage", wrong, f"files of {files} with an outcome that the kit does not accept", "0", sets=sets)


if __name__ == "__main__":
    main()
