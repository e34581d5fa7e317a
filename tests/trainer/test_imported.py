"""Wan's weights as a start: read exactly, from every layout; what is not T2V or TI2V is refused by its name."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from curate.dataset.reader import Dataset
from curate.errors import RushesError, SpecError
from tests.dataset.tiny import ALLOW, tiny_dataset
from trainer import parity as parity_module
from trainer.config import ModelConfig, SampleConfig, SampleRequest, TrainConfig
from trainer.data import TrainingData
from trainer.exported import load_model
from trainer.imported import FILE, TEXT_PAD_TO, diffusers_name, load_wan
from trainer.inputs import opencv_frames, plan_job
from trainer.loop import Trainer
from trainer.normaliser import Normaliser
from trainer.parity import LIMIT, NOT_RUN, parity
from trainer.provenance import init_sha256
from trainer.sample import Run, denoise
from trainer.train import train

with warnings.catch_warnings():
    # diffusers' imports raise deprecation warnings of their own dependencies.
    warnings.simplefilter("ignore")
    from diffusers import WanTransformer3DModel
    from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers

DIMS = ModelConfig(layers=2, heads=2, head_dim=12, ffn_dim=32, coordinates=False)
CHANNELS, FEATURES = 8, 16  # of the tiny dataset
OWN = {
    "_class_name": "WanModel", "model_type": "t2v", "dim": 24, "ffn_dim": 32, "freq_dim": 256, "in_dim": CHANNELS,
    "out_dim": CHANNELS, "num_heads": 2, "num_layers": 2, "eps": 1e-6, "text_dim": FEATURES, "text_len": 512,
}  # fmt: skip
# What follows `self_attn` and the like in Wan's own files (wan/modules/model.py of Wan 2.1).
_LINEARS = ("q", "k", "v", "o")


def own_names(layers: int = 2) -> list[str]:
    """The parameters' names in Wan's own files, written out by hand."""
    outer = ["patch_embedding", "time_embedding.0", "time_embedding.2", "text_embedding.0", "text_embedding.2",
             "time_projection.1", "head.head"]  # fmt: skip
    names = [f"{name}.{field}" for name in outer for field in ("weight", "bias")] + ["head.modulation"]
    for place in range(layers):
        block = f"blocks.{place}."
        parts = [f"{kind}_attn.{linear}" for kind in ("self", "cross") for linear in _LINEARS]
        parts += ["ffn.0", "ffn.2", "norm3"]
        names += [f"{block}{part}.{field}" for part in parts for field in ("weight", "bias")]
        names += [f"{block}{kind}_attn.norm_{x}.weight" for kind in ("self", "cross") for x in "qk"]
        names.append(block + "modulation")
    return names


@pytest.fixture(scope="module")
def wan(tmp_path_factory) -> Path:
    """A random Wan of a tiny size, as diffusers writes it."""
    torch.manual_seed(0)
    model = WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=CHANNELS, out_channels=CHANNELS, text_dim=FEATURES,
        ffn_dim=32, num_layers=2,
    )  # fmt: skip
    state = {k: torch.randn_like(v) * 0.1 + (1.0 if "norm" in k else 0.0) for k, v in model.state_dict().items()}
    model.load_state_dict(state)
    folder = tmp_path_factory.mktemp("wan") / "transformer"
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data") / "d", ((9, 32), (5, 16), (9, 32))).path


def config(folder: Path, **changes: Any) -> TrainConfig:
    return TrainConfig.model_validate({
        "model": DIMS.model_dump(), "init": str(folder), "steps": 1, "batch": 2, "warmup": 0, "threads": 1,
        "precision": "fp32", "allow_unscreened": ALLOW, "captions": {"short": 1.0}, **changes,
    })  # fmt: skip


def edited(source: Path, target: Path, **changes: Any) -> Path:
    """A copy of a checkpoint with other values in its config."""
    shutil.copytree(source, target)
    said = json.loads((source / "config.json").read_bytes())
    (target / "config.json").write_text(json.dumps({**said, **changes}))
    return target


def rewritten(source: Path, target: Path, change) -> Path:
    """A copy of a checkpoint with other tensors."""
    shutil.copytree(source, target)
    tensors = load_file(source / FILE)
    change(tensors)
    save_file(tensors, target / FILE)
    return target


def test_own_names_are_translated_as_diffusers_does():
    names = own_names()
    theirs = convert_wan_transformer_to_diffusers({name: torch.full((1,), float(i)) for i, name in enumerate(names)})
    ours = {diffusers_name(name): float(i) for i, name in enumerate(names)}
    assert ours == {name: float(value) for name, value in theirs.items()}
    assert {diffusers_name(f"model.diffusion_model.{name}") for name in names} == set(ours)


def test_every_layout_gives_the_same_weights(wan, tmp_path):
    wanted = load_file(wan / FILE)
    (tmp_path / "pipeline").mkdir()
    shutil.copytree(wan, tmp_path / "pipeline" / "transformer")
    index = {"_class_name": "WanPipeline", "transformer_2": [None, None], "boundary_ratio": None}
    (tmp_path / "pipeline" / "model_index.json").write_text(json.dumps(index))
    digest = init_sha256(tmp_path / "pipeline")
    (tmp_path / "pipeline" / "text_encoder").mkdir()
    (tmp_path / "pipeline" / "text_encoder" / "model.safetensors").write_bytes(b"not what is trained")
    assert init_sha256(tmp_path / "pipeline") == digest
    WanTransformer3DModel.from_pretrained(wan).save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    backwards = {diffusers_name(name): name for name in own_names()}
    assert set(backwards) == set(wanted)
    (tmp_path / "own").mkdir()
    save_file({backwards[name]: value.to(torch.bfloat16) for name, value in wanted.items()}, tmp_path / "own" / FILE)
    (tmp_path / "own" / "config.json").write_text(json.dumps(OWN))
    for name in ("pipeline", "pipeline/transformer", "shards", "own"):
        model = load_wan(tmp_path / name, DIMS, CHANNELS, FEATURES)
        assert model.config.text_pad_to == TEXT_PAD_TO
        for key, value in model.state_dict().items():
            assert torch.equal(value, wanted[key].to(torch.bfloat16).float() if name == "own" else wanted[key])
        assert all(param.requires_grad and param.dtype == torch.float32 for param in model.parameters())


def test_a_loaded_model_gives_diffusers_numbers_with_its_padded_text(wan):
    model = load_wan(wan, DIMS, CHANNELS, FEATURES)
    said = parity(wan, model)
    assert isinstance(said, dict)
    assert said["max_difference"] < 1e-5
    assert said["limit"] < 2 * LIMIT
    model.blocks[1].ffn.net[2].get_parameter("bias").data[3] += 0.1
    with pytest.raises(RushesError, match=r"diffusers gives other numbers .* above 1"):
        parity(wan, model)


def test_a_run_starts_from_the_weights_and_exports_what_diffusers_opens(wan, dataset, tmp_path):
    settings = config(wan, steps=2, lr=1e-3)
    out = train(dataset, tmp_path / "r", settings).out_dir
    start, trained = load_file(wan / FILE), load_file(out / "model" / FILE)
    moved = [float((trained[name] - start[name]).abs().max()) for name in start]
    assert 0 < max(moved) < 0.02
    said = json.loads((out / "export.json").read_bytes())["parity"]
    assert said["max_difference"] < LIMIT
    run = Run.open(out)
    assert run.model.dit.config.text_pad_to == TEXT_PAD_TO
    assert not list(run.model.refiner.parameters())
    job = plan_job(SampleRequest(prompt="a"), 0, SampleConfig(), run.card, run.codec, opencv_frames)
    assert denoise(run, [job], SampleConfig(steps=2, threads=1)).shape[0] == 1
    assert not list(load_model(out).refiner.parameters())
    again = train(dataset, tmp_path / "r", settings)
    assert again.steps == 2
    # Other weights in the same folder are another run.
    other = rewritten(wan, tmp_path / "other", lambda tensors: tensors["proj_out.bias"].add_(1))
    with pytest.raises(SpecError, match="another config or dataset"):
        train(dataset, tmp_path / "r", settings.model_copy(update={"init": str(other)}))


def test_the_first_loss_is_that_of_the_loaded_model(wan, dataset):
    settings = config(wan)
    data = TrainingData(Dataset(dataset), settings)
    trainer = Trainer(data, settings, "fp32")
    start = load_file(wan / FILE)
    assert all(torch.equal(value, start[name]) for name, value in trainer.model.dit.state_dict().items())
    averaged = trainer.full_average().dit.state_dict()
    assert all(torch.equal(value, start[name]) for name, value in averaged.items())


def test_imported_weights_get_latents_as_their_codec_normalised_them():
    stats = {"latent_stats": {"mean": [1.0, 2.0], "std": [3.0, 4.0]}}
    kept = Normaliser.from_card({**stats, "codec": {"normalised": True}}, 0.5, imported=True)
    assert kept.mean_C.tolist() == [0, 0]
    assert kept.scale_C.tolist() == [1, 1]
    assert Normaliser.from_card({**stats, "codec": {"normalised": True}}, 0.5).mean_C.tolist() == [1, 2]
    with pytest.raises(SpecError, match="normalise: true"):
        Normaliser.from_card({**stats, "codec": {"normalised": False}}, 0.5, imported=True)


FOREIGN = {
    "CLIP": ({"image_dim": 1280, "added_kv_proj_dim": 24}, "I2V or FLF2V, with the CLIP image branch"),
    "image channels": ({"in_channels": 36}, r"images as channels \(Wan's I2V\)"),
    "another class": ({"_class_name": "WanVACETransformer3DModel"}, "holds a WanVACETransformer3DModel"),
    "other sizes": ({"num_layers": 3}, 'other sizes than `train: model`: it wants .*"layers": 3'),
    "time patches": ({"patch_size": [2, 2, 2]}, "only 1 is supported"),
    "no norms": ({"cross_attn_norm": False}, "lacks Wan's norms"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_config_that_is_not_ours_is_refused_by_name(name, wan, tmp_path):
    changes, sentence = FOREIGN[name]
    with pytest.raises(SpecError, match=sentence):
        load_wan(edited(wan, tmp_path / "w", **changes), DIMS, CHANNELS, FEATURES)


def test_the_sizes_of_the_data_are_held_against_the_weights(wan, tmp_path):
    with pytest.raises(SpecError, match="latents of 8 channels, the data have 16"):
        load_wan(wan, DIMS, 16, FEATURES)
    with pytest.raises(SpecError, match="text of 16 numbers, the data have 64"):
        load_wan(wan, DIMS, CHANNELS, 64)
    with pytest.raises(SpecError, match="cannot read"):
        load_wan(tmp_path, DIMS, CHANNELS, FEATURES)
    with pytest.raises(ValueError, match="coordinates: false"):
        config(wan, model="dit-xs")


@pytest.mark.parametrize(
    "change", [{"boundary_ratio": 0.875}, {"transformer_2": ["diffusers", "WanTransformer3DModel"]}]
)
def test_two_experts_are_refused_by_name(change, wan, tmp_path, monkeypatch):
    shutil.copytree(wan, tmp_path / "transformer")
    (tmp_path / "model_index.json").write_text(json.dumps(change))
    for folder in (tmp_path, tmp_path / "transformer"):
        with pytest.raises(SpecError, match=r"two-expert model \(Wan 2.2 A14B\)"):
            load_wan(folder, DIMS, CHANNELS, FEATURES)
    (tmp_path / "own" / "low_noise_model").mkdir(parents=True)
    with pytest.raises(SpecError, match=r"two-expert model \(Wan 2.2 A14B\)"):
        load_wan(tmp_path / "own", DIMS, CHANNELS, FEATURES)
    # An expert has Wan's config and names; by another name it is one still.
    shutil.copytree(wan, tmp_path / "a14b" / "high_noise_model")
    (tmp_path / "mine").symlink_to(tmp_path / "a14b" / "high_noise_model")
    monkeypatch.chdir(tmp_path / "a14b" / "high_noise_model")
    for folder in (tmp_path / "mine", Path(".")):
        with pytest.raises(SpecError, match=r"two-expert model \(Wan 2.2 A14B\)"):
            load_wan(folder, DIMS, CHANNELS, FEATURES)


def test_a_pipeline_that_names_what_it_lacks_is_read(wan, tmp_path):
    # As the index of Wan 2.2 TI2V has it.
    nothing = {"boundary_ratio": None, "transformer_2": [None, None], "image_encoder": [None, None]}
    shutil.copytree(wan, tmp_path / "transformer")
    (tmp_path / "model_index.json").write_text(json.dumps(nothing))
    for folder in (tmp_path, tmp_path / "transformer"):
        assert load_wan(folder, DIMS, CHANNELS, FEATURES).config.num_layers == 2


def test_weights_must_be_exactly_the_models(wan, tmp_path):
    changes = {
        "a": (lambda t: t.pop("proj_out.bias"), r"missing proj_out.bias \(1 in all\)"),
        "b": (lambda t: t.update({"more.weight": torch.zeros(1)}), "unknown more.weight"),
        "c": (lambda t: t.update({"proj_out.bias": torch.zeros(3)}), r"proj_out.bias \(3,\) for \(32,\)"),
        "d": (lambda t: t.update({"blocks.0.attn2.add_k_proj.weight": torch.zeros(1)}), "CLIP image branch"),
    }
    for name, (change, sentence) in changes.items():
        with pytest.raises(SpecError, match=sentence):
            load_wan(rewritten(wan, tmp_path / name, change), DIMS, CHANNELS, FEATURES)
    (tmp_path / "a" / FILE).write_bytes(b"no weights")
    with pytest.raises(SpecError, match="cannot read"):
        load_wan(tmp_path / "a", DIMS, CHANNELS, FEATURES)
    (tmp_path / "a" / FILE).unlink()
    with pytest.raises(SpecError, match="holds neither"):
        load_wan(tmp_path / "a", DIMS, CHANNELS, FEATURES)


def test_without_diffusers_the_export_says_that_nothing_was_compared(wan, monkeypatch):
    real = parity_module.importlib.util.find_spec
    monkeypatch.setattr(
        parity_module.importlib.util, "find_spec", lambda name: None if name == "diffusers" else real(name)
    )
    assert parity(wan, load_wan(wan, DIMS, CHANNELS, FEATURES)) == NOT_RUN
