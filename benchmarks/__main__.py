"""`make bench`: every benchmark, one after the other; the closing line of each."""

from __future__ import annotations

import subprocess
import sys

ALL = (
    "startup",
    "kill_resume",
    "engines",
    "resume_training",
    "mfu",
    "real_footage",
    "duplicates",
    "shapes_prompts",
    "analysis_pass",
    "shots",
    "spans",
    "damage",
    "pool",
    "borders",
    "camera_motion",
    "fail_closed",
    "sampling",
    "symbols",
    "heads",
    "known_hashes",
    "sealing",
    "nudenet",
    "terms",
    "caption_server",
    "caption_checks",
    "caption_engine",
    "caption_shapes",
    "caption_claim",
    "curation_claim",
    "vae_codec",
    "dct_codec",
    "caption_match",
    "loader",
    "packing",
)


def main() -> int:
    """Run them; the number that failed."""
    failed = 0
    for name in ALL:
        print(f"== {name}", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", "--json"], stdout=subprocess.PIPE, text=True, check=False
        )
        print(done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "no output", flush=True)
        failed += done.returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
