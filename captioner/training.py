"""Fine-tuning a captioner on a small labelled set: the loss is the likelihood of the caption, given frames and prompt.

Published (DALL-E 3, 2.1.1): from one base, a short captioner and, separately, a descriptive one.
Legend: B clips, S tokens.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from captioner._ahead import ahead
from captioner._vlm_model import VlmModel, quiet_peft
from captioner.labelled import Example, examples
from captioner.prompting import load_prompt, plain
from captioner.recipe import Recipe
from curate.errors import SpecError
from curate.extras import require
from curate.models import folder_sha256, model_folder

if TYPE_CHECKING:
    import torch

_IGNORED = -100  # the label that transformers leaves out of the loss
_LOWEST_LR = 0.05  # share of the rate at the end of the cosine


def train(recipe: Recipe, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Fine-tune, write the adapter or the model with its record, and return the record.

    Raises:
        SpecError: the recipe names something that is not there, or the output is.
    """
    out = Path(recipe.output)
    if out.exists() and any(out.iterdir()):
        raise SpecError(f"output: {out} is not empty; choose another folder")
    try:
        folder = model_folder(recipe.base)
        prompt = load_prompt(recipe.prompt or plain(recipe.kind), recipe.kind)
    except ValueError as error:
        raise SpecError(f"recipe: {error}") from error
    data = examples(recipe.data, Path(recipe.run), prompt, recipe.max_frames)
    import torch  # not before the recipe has been found to be right: it takes seconds

    model = VlmModel(
        folder, None, frames=recipe.frames, dtype="fp32" if recipe.method == "full" else "auto",
        device=recipe.device, alive=lambda: None,
    )  # fmt: skip
    torch.manual_seed(recipe.seed)
    _made_trainable(model, recipe)
    order = np.random.default_rng(recipe.seed).permutation(len(data))
    held = order[: round(recipe.held_out * len(data))]
    taught = [data[i] for i in order[len(held) :]]
    if not taught:
        raise SpecError(f"{recipe.data} has too few clips: none is left to learn from")
    out.mkdir(parents=True, exist_ok=True)
    losses = _steps(model, recipe, taught, out, say)
    record = {
        "recipe": recipe.model_dump(mode="json"), "base": folder_sha256(folder), "prompt": prompt.sha256,
        "data": hashlib.sha256(Path(recipe.data).read_bytes()).hexdigest(), "clips": len(taught),
        "loss": float(np.mean(losses[-10:])), "held_out_clips": len(held),
        "held_out_loss": _held_out(model, recipe, [data[i] for i in held]),
    }  # fmt: skip
    model.model.save_pretrained(out)
    if recipe.method == "full":
        model.processor.save_pretrained(out)
    (out / "training.json").write_text(json.dumps(record, indent=1) + "\n")
    return record


def _made_trainable(model: VlmModel, recipe: Recipe) -> None:
    if recipe.method == "full":
        model.model.requires_grad_(True)
        return
    require("peft", "vlm")
    from peft import LoraConfig, get_peft_model

    lora = recipe.lora
    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, task_type="CAUSAL_LM",
        target_modules=list(lora.targets) if lora.targets is not None else "all-linear",
    )  # fmt: skip
    with quiet_peft():
        model.model = get_peft_model(model.model, config)


def _steps(
    model: VlmModel, recipe: Recipe, data: Sequence[Example], out: Path, say: Callable[[str], None]
) -> list[float]:
    import torch

    weights = [weight for weight in model.model.parameters() if weight.requires_grad]
    optimizers = _optimizers(model.model, recipe)
    model.model.train()
    losses: list[float] = []
    batches = list(_batches([_frames(example) for example in data], recipe))
    with (out / "log.jsonl").open("w", buffering=1) as log:
        for step, (batch, prepared, _) in enumerate(
            ahead(batches, lambda rows: tensors(model, [data[i] for i in rows]), threads=1)
        ):
            if isinstance(prepared, Exception):
                clip = data[batch[0]].ask.clip_id
                raise SpecError(f"{recipe.data}: frames near {clip} cannot be prepared: {prepared}") from prepared
            for group in (group for optimizer in optimizers for group in optimizer.param_groups):
                group["lr"] = recipe.lr * _rate(step, recipe)
            loss = _loss(model, prepared, recipe)
            loss.backward()
            norm = float(torch.nn.utils.clip_grad_norm_(weights, recipe.clip_norm).detach())
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]) or not math.isfinite(norm):
                clips = ", ".join(data[i].ask.clip_id for i in batch[:4])
                raise SpecError(f"step {step}: the loss is not finite (clips {clips}, ...): lower `lr`")
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            log.write(json.dumps({"step": step + 1, "loss": losses[-1], "norm": norm}) + "\n")
            if (step + 1) % recipe.log_every == 0:
                say(f"step {step + 1} of {recipe.steps}: loss {np.mean(losses[-recipe.log_every :]):.4f}")
    model.model.eval()
    return losses


def _optimizers(model: torch.nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """AdamW for all, or for what is no matrix of a hidden layer (Jordan et al. 2024), beside Muon."""
    import torch

    maps = {
        f"{name}.weight" for name, layer in model.named_modules()
        if recipe.optimizer == "muon" and isinstance(layer, torch.nn.Linear) and not name.endswith("lm_head")
    }  # fmt: skip
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    matrices = [weight for name, weight in trained.items() if name in maps]
    rest = [weight for name, weight in trained.items() if name not in maps]
    kinds: dict[Any, list[torch.nn.Parameter]] = {
        partial(torch.optim.AdamW, betas=(0.9, 0.98)): rest,
        partial(torch.optim.Muon, momentum=0.95, adjust_lr_fn="match_rms_adamw"): matrices,
    }
    return [kind(weights, lr=recipe.lr, weight_decay=recipe.weight_decay) for kind, weights in kinds.items() if weights]


def _batches(shapes: Sequence[int], recipe: Recipe) -> Iterator[list[int]]:
    """Rows of each step, all of one shape: some models take no others. A pure function of the seed.

    Epochs are permutations; what does not fill a batch of its shape waits for the next one.
    """
    waiting: dict[int, list[int]] = {}
    made = epoch = 0
    while made < recipe.steps:
        for row in np.random.default_rng([recipe.seed, epoch]).permutation(len(shapes)).tolist():
            batch = waiting.setdefault(shapes[row], [])
            batch.append(row)
            if len(batch) == recipe.batch and made < recipe.steps:
                made += 1
                yield waiting.pop(shapes[row])
        epoch += 1


def _frames(example: Example) -> int:
    assert example.ask.pictures is not None
    return len(example.ask.pictures.jpeg)


def _rate(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine."""
    warm = max(1, round(recipe.warmup * recipe.steps))
    if step < warm:
        return (step + 1) / warm
    turn = (step - warm) / max(1, recipe.steps - warm)
    return _LOWEST_LR + (1 - _LOWEST_LR) * 0.5 * (1 + math.cos(math.pi * turn))


def tensors(model: VlmModel, data: Sequence[Example]) -> dict[str, Any]:
    """A batch: questions padded on the left, captions behind them padded on the right, labels at the captions alone."""
    import torch

    prepared = model.prepare([example.ask for example in data])
    words = model.processor.tokenizer
    end = model.model.generation_config.eos_token_id
    end = end[0] if isinstance(end, list) else end
    answers = [[*words(example.caption, add_special_tokens=False)["input_ids"], end] for example in data]
    longest = max(map(len, answers))
    written_BS = torch.tensor([answer + [words.pad_token_id] * (longest - len(answer)) for answer in answers])
    there_BS = torch.tensor([[1] * len(answer) + [0] * (longest - len(answer)) for answer in answers])
    asked_BS = prepared["input_ids"]
    behind = {"input_ids": written_BS, "attention_mask": there_BS}
    for name, value in prepared.items():
        if isinstance(value, torch.Tensor) and value.shape == asked_BS.shape:
            prepared[name] = torch.cat([value, behind.get(name, torch.zeros_like(written_BS)).to(value.dtype)], dim=1)
    labels_BS = written_BS.masked_fill(there_BS == 0, _IGNORED)
    prepared["labels"] = torch.cat([torch.full_like(asked_BS, _IGNORED), labels_BS], dim=1)
    return prepared


def _loss(model: VlmModel, prepared: dict[str, Any], recipe: Recipe) -> torch.Tensor:
    import torch

    inputs = {name: model.placed(value) for name, value in prepared.items()}
    with torch.autocast(model.device.type, torch.bfloat16, enabled=recipe.precision != "fp32"):
        return model.model(**inputs).loss


def _held_out(model: VlmModel, recipe: Recipe, data: Sequence[Example]) -> float | None:
    import torch

    with torch.inference_mode():
        losses = [
            float(_loss(model, tensors(model, data[i : i + recipe.batch]), recipe))
            for i in range(0, len(data), recipe.batch)
        ]
    return float(np.mean(losses)) if losses else None
