"""A tiny CLIP model of open_clip that knows six colours: fitted to plain walls, saved and loaded as any other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import torch
from safetensors.torch import save_file

from curate.media.writer import write_mp4
from worlds.shapes.vocabulary import COLOURS

SIDE, WORDS = 16, 16
CONFIG = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": SIDE, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": WORDS, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


def says(colour: str) -> str:
    """The caption of a wall."""
    return f"A {colour} wall."


def save(folder: Path, model: open_clip.CLIP) -> Path:
    """As open_clip's models lie on a hub."""
    folder.mkdir(exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}}))
    weights = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "open_clip_model.safetensors")
    return folder


def fitted(folder: Path, steps: int = 60) -> Path:
    """Fit both towers by contrastive loss; three seconds on one core."""
    torch.manual_seed(0)
    model = open_clip.CLIP(**CONFIG)
    words = open_clip.SimpleTokenizer(context_length=WORDS)([says(colour) for colour in COLOURS])
    levels = torch.tensor(list(COLOURS.values())).float() / 255
    mean, std = torch.tensor(open_clip.OPENAI_DATASET_MEAN), torch.tensor(open_clip.OPENAI_DATASET_STD)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    truth = torch.arange(len(levels))
    for _ in range(steps):
        walls = (((levels + 0.04 * torch.randn_like(levels)).clamp(0, 1) - mean) / std)[:, :, None, None]
        seen = model.encode_image(walls.expand(-1, -1, SIDE, SIDE), normalize=True)
        logits = 20 * seen @ model.encode_text(words, normalize=True).T
        loss = torch.nn.functional.cross_entropy(logits, truth) + torch.nn.functional.cross_entropy(logits.T, truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return save(folder, model)


def walls(folder: Path, each: int = 2) -> list[tuple[str, str]]:
    """Files of one colour each, with noise, so that none is a duplicate: (name, caption)."""
    folder.mkdir(exist_ok=True)
    rows = []
    for number in range(each * len(COLOURS)):
        colour = list(COLOURS)[number % len(COLOURS)]
        noise = np.random.default_rng(number).integers(-8, 9, (8, 48, 64, 3))
        frames = (np.array(COLOURS[colour]) + noise).clip(0, 255).astype(np.uint8)
        write_mp4(folder / f"{number:02d}.mp4", frames, 8.0)
        rows.append((f"{number:02d}.mp4", says(colour)))
    return rows
