"""Weights of Wan 2.1 T2V and Wan 2.2 TI2V to start a run from, under diffusers' names or Wan's own.

    FOLDER/config.json, diffusion_pytorch_model.safetensors, or its shards and their index.json
    FOLDER/model_index.json, transformer/...     a whole diffusers pipeline: its transformer

Nothing may be missing, left over or of another shape. Checkpoints that need more than text are refused by name.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from curate.errors import SpecError
from trainer.config import TEXT_PAD_TO
from trainer.dit import DitConfig, WanDit
from trainer.sizes import ModelConfig

FILE = "diffusion_pytorch_model.safetensors"
# Keys of branches that we do not have, and whose they are.
_FOREIGN = {
    "add_k_proj": "I2V or FLF2V, with the CLIP image branch", "k_img": "I2V or FLF2V, with the CLIP image branch",
    "img_emb": "I2V or FLF2V, with the CLIP image branch", "image_embedder": "I2V or FLF2V, with the CLIP image branch",
    "vace_blocks": "VACE", "face_adapter": "Animate", "motion_encoder": "Animate", "audio": "S2V",
}  # fmt: skip
# Wan's own names, part by part, and ours, which are diffusers'. norm3 is the affine norm before cross-attention.
_PREFIX = "model.diffusion_model."
_OUTER = {
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "head.modulation": "scale_shift_table",
    "head.head": "proj_out",
}
_INNER = {"self_attn": "attn1", "cross_attn": "attn2", "q": "to_q", "k": "to_k", "v": "to_v", "o": "to_out.0",
          "norm3": "norm2", "modulation": "scale_shift_table"}  # fmt: skip
_FFN = {"0": "net.0.proj", "2": "net.2"}


def load_wan(folder: Path, dims: ModelConfig, channels: int, features: int) -> WanDit:
    """Return Wan's transformer with its weights, float32.

    Raises SpecError when the checkpoint is not a T2V or TI2V one, its sizes are not `dims`, its latents are not of
    `channels` or its text not of `features` numbers, or its weights are not exactly those of the model.
    """
    folder = _transformer_folder(folder)
    config, own_names = _config(folder)
    found = ModelConfig(
        layers=config.num_layers, heads=config.num_attention_heads, head_dim=config.attention_head_dim,
        ffn_dim=config.ffn_dim, patch=config.patch_size, coordinates=False, refiner_layers=dims.refiner_layers,
        refiner_dim=dims.refiner_dim,
    )  # fmt: skip
    if found != dims:
        sizes = found.model_dump(exclude={"refiner_layers", "refiner_dim"}, mode="json")
        raise SpecError(f"train.init: {folder} has other sizes than `train: model`: it wants {json.dumps(sizes)}")
    if config.in_channels != channels:
        raise SpecError(
            f"train.init: {folder} was trained on latents of {config.in_channels} channels, the data have {channels}:"
            " encode with the codec of these weights"
        )
    if config.text_dim != features:
        raise SpecError(
            f"train.init: {folder} was trained on text of {config.text_dim} numbers, the data have {features}:"
            " encode with the text encoder of these weights"
        )
    tensors = _tensors(folder)
    if own_names:
        tensors = {diffusers_name(name): value for name, value in tensors.items()}
    with torch.device("meta"):
        model = WanDit(config)
    _refuse_unlike(folder, tensors, model)
    model.load_state_dict({name: value.float() for name, value in tensors.items()}, strict=True, assign=True)
    return model


def _transformer_folder(folder: Path) -> Path:
    """Return the folder of the transformer. Raises SpecError on a pipeline of two experts or with an image encoder."""
    folder = folder.resolve()  # `.` and links have no name of their own
    experts = ("high_noise_model", "low_noise_model")
    if folder.name in experts or any((folder / name).is_dir() for name in experts):
        raise SpecError(f"train.init: {folder} is a two-expert model (Wan 2.2 A14B), which is not supported")
    inside = folder.name in ("transformer", "transformer_2") and (folder.parent / "model_index.json").is_file()
    pipeline = folder.parent if inside else folder
    if not (pipeline / "model_index.json").is_file():
        return folder
    index = _json(pipeline / "model_index.json")
    if any(index.get("transformer_2") or []) or index.get("boundary_ratio") is not None:
        raise SpecError(f"train.init: {pipeline} is a two-expert model (Wan 2.2 A14B), which is not supported")
    if any(index.get("image_encoder") or []):
        raise SpecError(f"train.init: {pipeline} is Wan's I2V or FLF2V, with the CLIP image branch: not supported")
    return folder if inside else folder / "transformer"


def _config(folder: Path) -> tuple[DitConfig, bool]:
    """Read config.json, diffusers' or Wan's own; return it, and whether the weights have Wan's own names."""
    config = _json(folder / "config.json")
    kind = config.get("_class_name")
    own = kind == "WanModel"
    if not own and kind != "WanTransformer3DModel":
        raise SpecError(f"train.init: {folder} holds a {kind}, not a WanTransformer3DModel or Wan's own WanModel")
    try:
        made = _own_config(folder, config) if own else _diffusers_config(folder, config)
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise SpecError(
            f"train.init: {folder / 'config.json'} lacks a size ({type(error).__name__}: {error})"
        ) from error
    if made.in_channels != made.out_channels:
        raise SpecError(
            f"train.init: {folder} takes {made.in_channels} channels and gives {made.out_channels}: it is given images"
            " as channels (Wan's I2V), which is not supported"
        )
    if made.patch_size[0] != 1:
        raise SpecError(f"train.init: {folder} has patches of {made.patch_size[0]} latent frames; only 1 is supported")
    return made, own


def _diffusers_config(folder: Path, config: dict[str, Any]) -> DitConfig:
    if any(config.get(key) is not None for key in ("image_dim", "added_kv_proj_dim", "pos_embed_seq_len")):
        raise SpecError(f"train.init: {folder} is Wan's I2V or FLF2V, with the CLIP image branch: not supported")
    if not config.get("cross_attn_norm", True) or config.get("qk_norm", "rms_norm_across_heads") is None:
        raise SpecError(f"train.init: {folder} lacks Wan's norms (cross_attn_norm, qk_norm)")
    sizes = (
        "num_attention_heads",
        "attention_head_dim",
        "in_channels",
        "text_dim",
        "freq_dim",
        "ffn_dim",
        "num_layers",
    )
    return DitConfig(
        patch_size=tuple(config["patch_size"]), out_channels=config["out_channels"] or config["in_channels"],
        eps=config["eps"], rope_max_seq_len=config.get("rope_max_seq_len", 1024), text_pad_to=TEXT_PAD_TO,
        **{size: config[size] for size in sizes},
    )  # fmt: skip


def _own_config(folder: Path, config: dict[str, Any]) -> DitConfig:
    kind = config.get("model_type", "t2v")
    if kind not in ("t2v", "ti2v"):
        raise SpecError(f"train.init: {folder} is Wan's {kind}; only t2v and ti2v are supported")
    return DitConfig(
        patch_size=tuple(config.get("patch_size", (1, 2, 2))), num_attention_heads=config["num_heads"],
        attention_head_dim=config["dim"] // config["num_heads"], in_channels=config["in_dim"],
        out_channels=config["out_dim"], text_dim=config.get("text_dim", 4096), freq_dim=config["freq_dim"],
        ffn_dim=config["ffn_dim"], num_layers=config["num_layers"], eps=config["eps"], text_pad_to=TEXT_PAD_TO,
    )  # fmt: skip


def diffusers_name(own: str) -> str:
    """Translate a parameter's name in Wan's own files to diffusers'. What is not known stays as it is."""
    own = own.removeprefix(_PREFIX)
    module, _, field = own.rpartition(".")
    for whole, ours in ((own, ""), (module, f".{field}")):
        if whole in _OUTER:
            return _OUTER[whole] + ours
    parts = own.split(".")
    if parts[0] != "blocks" or len(parts) < 3:
        return own
    if parts[2] == "ffn":
        return ".".join([*parts[:3], _FFN.get(parts[3], parts[3]), *parts[4:]])
    return ".".join([*parts[:2], *(_INNER.get(part, part) for part in parts[2:])])


def _tensors(folder: Path) -> dict[str, Tensor]:
    """Read the weights from their one file, or from the shards that an index.json names."""
    index = folder / f"{FILE}.index.json"
    if index.is_file():
        shards = sorted(set(_json(index)["weight_map"].values()))
    elif (folder / FILE).is_file():
        shards = [FILE]
    else:
        raise SpecError(f"train.init: {folder} holds neither {FILE} nor {FILE}.index.json")
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        try:
            tensors |= load_file(folder / shard)
        except (OSError, SafetensorError) as error:
            raise SpecError(f"train.init: cannot read {folder / shard}: {error}") from error
    return tensors


def _refuse_unlike(folder: Path, tensors: dict[str, Tensor], model: WanDit) -> None:
    """Raise SpecError unless names and shapes are exactly the model's; a known foreign branch is named."""
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    for name in sorted(found.keys() - wanted.keys()):
        for part, whose in _FOREIGN.items():
            if part in name:
                raise SpecError(f"train.init: {folder} is Wan's {whose} (it has {name}): not supported")
    missing, more = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    other = [
        f"{name} {found[name]} for {wanted[name]}"
        for name in sorted(found)
        if found[name] != wanted.get(name, found[name])
    ]
    said = [
        f"{what} {names[0]} ({len(names)} in all)" for what, names in (("missing", missing), ("unknown", more)) if names
    ]
    if said or other:
        raise SpecError(f"train.init: {folder} is not this model: {'; '.join(said or other[:1])}")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SpecError(f"train.init: cannot read {path}: {error}") from error
    if not isinstance(value, dict):
        raise SpecError(f"train.init: {path} is not a JSON object")
    return value
