"""The match rate of right captions and of captions on wrong clips, in the shapes world.

    python -m benchmarks.caption_match [--seed 1] [--steps 300] --json

A small CLIP model of open_clip is fitted to pictures of one world and tests the captions of another: as they are, with
a share of them passed round among their clips, and all moved on by one clip. Every figure is that of a whole run, as is
its exit code.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.result import show
from worlds.shapes import Shapes
from worlds.shapes.draw import render
from worlds.shapes.options import ShapesOptions
from worlds.shapes.plan import plan

FILES, SIDE, WORDS = 60, 32, 24
SHARES = (0.0, 0.1, 0.25, 0.5, 1.0)  # of the captions, on wrong clips
CONFIG = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": SIDE, "layers": 2, "width": 96, "head_width": 32, "patch_size": 4},
    "text_cfg": {"context_length": WORDS, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2},
}
YARDSTICK = "right captions: 0.95 or more; all moved on by one clip: at most 0.55 (chance is 0.5), exit code 4"


def pictures(seed: int) -> tuple[np.ndarray, list[str]]:
    """The middle frame of every shot of a world, (N, SIDE, SIDE, 3) uint8, and its caption."""
    options = ShapesOptions(files=500, size=(64, 64), exact_duplicates=0, near_duplicates=0, letterboxed=0, damaged=0)
    shots = [shot for file in plan(options, seed) for shot in file.shots]
    frames = [render(shot)[shot.frames // 2] for shot in shots]
    small = [frame.reshape(SIDE, 2, SIDE, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8) for frame in frames]
    return np.stack(small), [shot.look.short() for shot in shots]


def fitted(folder: Path, seed: int, steps: int) -> float:
    """Fit a model by contrastive loss and save it; the loss of the last steps."""
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    frames_NHWC, texts = pictures(seed + 1000)
    model = open_clip.CLIP(**CONFIG)  # type: ignore[arg-type]
    tokens = open_clip.SimpleTokenizer(context_length=WORDS)(texts)
    mean, std = torch.tensor(open_clip.OPENAI_DATASET_MEAN), torch.tensor(open_clip.OPENAI_DATASET_STD)
    levels = ((torch.from_numpy(frames_NHWC).float() / 255 - mean) / std).permute(0, 3, 1, 2)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    losses = []
    for _ in range(steps):
        some = torch.randint(len(texts), (64,))
        logits = 15 * model.encode_image(levels[some], normalize=True) @ model.encode_text(tokens[some], True).T
        truth = torch.arange(len(some))
        loss = sum(torch.nn.functional.cross_entropy(side, truth) for side in (logits, logits.T)) / 2
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    state = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return float(np.mean(losses[-20:]))


def moved(rows: list[dict[str, Any]], share: float, seed: int) -> list[dict[str, Any]]:
    """The manifest with this share of the captions passed on to the next of the chosen shots."""
    places = [(row, i) for row in rows if isinstance(row["original_caption"], list)
              for i in range(len(row["original_caption"]))]  # fmt: skip
    texts = [row["original_caption"][i]["text"] for row, i in places]
    chosen = sorted(np.random.default_rng(seed).permutation(len(places))[: round(share * len(places))].tolist())
    given = dict(zip(chosen, [*chosen[1:], *chosen[:1]], strict=True))
    for place, source in given.items():
        row, i = places[place]
        row["original_caption"][i]["text"] = texts[source]
    return rows


def run(root: Path, world: Path, model: Path, share: float, seed: int) -> dict[str, Any]:
    """A whole run over the world with these captions."""
    rows = [json.loads(line) for line in (world / "manifest.jsonl").read_text().splitlines()]
    path = world / "moved.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in moved(rows, share, seed)))
    spec = {
        "name": "match", "sources": [{"path": str(path)}], "output": str(root / "out"),
        "stages": [
            {"split": {}}, {"score": ["motion", "sharpness", "exposure", "borders", "gist"]},
            {"screen": {"explicit": [], "violence": [], "hate": []}}, {"dedup": {"exact": {}}},
            {"caption": {"kinds": ["short"], "match": {"model": str(model), "kinds": ["original"], "sample": 1000}}},
        ],
    }  # fmt: skip
    (root / "spec.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    command = [sys.executable, "-m", "curate.cli", "run", str(root / "spec.yaml"), "--until", "caption"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 4):
        raise SystemExit(f"a run ended with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    row = json.loads((root / "out" / "caption_match.json").read_bytes())["captions"]["original"]
    names = ("n", "match_rate", "match_rate_95", "clip_score", "clip_score_95")
    return {"on_wrong_clips": share, "exit_code": done.returncode, **{name: row[name] for name in names}}


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rushes-match-") as folder:
        root = Path(folder)
        loss = fitted(root / "clip", args.seed, args.steps)
        Shapes(files=FILES, size=(64, 64)).write(root / "world", args.seed)
        rows = [run(root, root / "world", root / "clip", share, args.seed) for share in SHARES]
    for row in rows:
        print(row)
    show(
        "caption_match", round(rows[0]["match_rate"], 4), "match rate of right captions", YARDSTICK,
        moved_on=round(rows[-1]["match_rate"], 4), seed=args.seed, loss=round(loss, 3), rows=rows,
    )  # fmt: skip


if __name__ == "__main__":
    main()
