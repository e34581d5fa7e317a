"""A model shared out over two real processes against one that has it whole; blocks computed again, and compiled."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.dataset.tiny import tiny_dataset
from tests.trainer.sharding_child import gradients, ready, sampled, settings, several
from tests.trainer.test_packs import MIXED
from tests.trainer.test_planning import material
from tests.trainer.test_ranks import left_by_two, records, told
from trainer.exported import MODEL_FILE
from trainer.losses import pack_loss
from trainer.muon import orthogonalised
from trainer.planning import Hardware, forecast
from trainer.ranks import Ranks
from trainer.train import train

CPU = torch.device("cpu")
SAMPLE = Path("samples/step-00000001/000.png")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data") / "d", MIXED).path


@pytest.fixture(scope="module")
def alone(dataset, tmp_path_factory) -> Path:
    """The whole run of one process."""
    return train(dataset, tmp_path_factory.mktemp("alone") / "r", settings()).out_dir


@pytest.fixture(scope="module")
def left(dataset, alone, tmp_path_factory) -> Path:
    """What two ranks left: in `run` they took on, sharded, what one process had left after step 2."""
    gone = ["checkpoints/step-00000004", "checkpoints/step-00000006", "model", "refiner"]
    return left_by_two("sharding_child", dataset, alone, tmp_path_factory.mktemp("ranks"), gone)


@pytest.fixture(scope="module")
def said(left) -> list[dict]:
    return told(left)


def without_key_biases(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Where keys are not normalised their bias has no gradient but rounding, of which Adam makes whole steps."""
    cut = {name: [part for place, part in enumerate(bias.chunk(3)) if place != 1]
           for name, bias in tensors.items() if name.endswith("to_qkv.bias")}  # fmt: skip
    return {**tensors, **{name: torch.cat(parts) for name, parts in cut.items()}}


def alike(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], atol: float = 1e-5) -> None:
    assert set(found) == set(wanted)
    found, wanted = without_key_biases(found), without_key_biases(wanted)
    for name, value in wanted.items():
        assert torch.allclose(found[name], value, rtol=0, atol=atol), (name, float((found[name] - value).abs().max()))


@pytest.mark.parametrize("how", ["shared", "uneven", "recomputed"])
def test_the_gradients_are_those_of_one_process(left, dataset, how):
    trainer = ready(dataset, Ranks())
    wanted = gradients(trainer, 2, trainer.data.step(2))
    assert set(wanted) == set(trainer.names)
    assert max(float(value.abs().max()) for value in wanted.values()) > 1e-2
    alike(load_file(left / f"{how}.safetensors"), wanted)


def test_computing_blocks_again_changes_no_bit_of_the_gradients(left):
    alike(load_file(left / "recomputed.safetensors"), load_file(left / "shared.safetensors"), atol=0)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_losses_of_steps_and_validations_are_those_of_one_process(said, left, dataset, optimizer):
    trainer = ready(dataset, Ranks(), optimizer=optimizer)
    wanted = several(trainer)
    assert said[0][optimizer] == said[1][optimizer]
    for key in ("losses", "curve"):
        assert said[0][optimizer][key] == pytest.approx(wanted[key], rel=0, abs=1e-5)
    if optimizer == "muon":
        alike(load_file(left / "ema.safetensors"), dict(zip(trainer.names, trainer.ema, strict=True)))
        alike(load_file(left / "average.safetensors"), load_file(left / "ema.safetensors"), atol=0)
        assert [facts["average"] for facts in said] == [True, False]


def test_all_but_norms_and_tables_of_blocks_is_shared_out(said, dataset):
    trainer = ready(dataset, Ranks())
    whole = set(trainer.names) - set(said[0]["sharded"])
    in_blocks = [name for name in trainer.names if name.startswith("dit.blocks")]
    assert whole == {name for name in in_blocks if "norm" in name or "table" in name}
    sizes = dict(zip(trainer.names, (param.numel() for param in trainer.params), strict=True))
    total = sum(sizes[name] for name in said[0]["sharded"])
    assert sum(facts["numbers"] for facts in said) == total
    assert max(facts["numbers"] for facts in said) < 0.52 * total


def test_the_plan_knows_what_a_rank_holds(said, dataset):
    foreseen = forecast(settings(), material(dataset), Hardware.of(2, None, 1.0, 0.5))["stages"][0]["memory"]
    for name in ("weights", "optimizer"):
        assert foreseen[name] == max(facts["bytes"][name] for facts in said), name
    assert foreseen["gathered"] > 0
    whole = forecast(settings(sharding="none"), material(dataset), Hardware.of(2, None, 1.0, 0.5))
    assert whole["stages"][0]["memory"]["weights"] > 1.9 * foreseen["weights"]
    assert whole["stages"][0]["memory"]["gathered"] == 0


def test_in_bf16_linear_layers_travel_in_bf16_norms_and_masters_stay_float32(said, left, alone, dataset, tmp_path):
    assert said[0]["bf16"] == said[1]["bf16"]
    trainer = ready(dataset, Ranks(), "bf16")
    assert said[0]["types"] == ["torch.bfloat16", "torch.float32", "torch.float32"]
    assert said[0]["bf16"] == pytest.approx([trainer.step(step)["loss"] for step in range(2)], rel=2e-2)
    assert sampled(trainer, tmp_path, alone) is not None
    # Samples of it, although they are asked for in float32.
    found, wanted = (np.asarray(Image.open(path / SAMPLE), float) for path in (left / "half", tmp_path))
    assert np.abs(found - wanted).mean() < 2 < wanted.std()


def test_a_rank_that_ends_while_others_validate_is_told_as_lost(said):
    assert said[0]["lost"].startswith("ranks:lost: rank 0 of 2 cannot go on")


def test_matrices_dealt_out_by_unequal_rows_become_orthogonal_as_alone(left, said):
    matrices = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(2))
    found = [load_file(left / f"rows-{rank}.safetensors")["rows"] for rank in (0, 1)]
    assert [part.shape[1] for part in found] == [3, 2]
    assert torch.allclose(torch.cat(found, dim=1), orthogonalised(matrices), rtol=0, atol=1e-5)


def test_a_run_goes_on_sharded_and_then_whole_again(said, left, alone, dataset):
    assert [facts["steps"] for facts in said] == [6, 6]
    sharded, wanted = left / "run", load_file(alone / "model" / MODEL_FILE)
    alike(load_file(sharded / "model" / MODEL_FILE), wanted)
    shutil.rmtree(sharded / "checkpoints" / "step-00000006")
    assert train(dataset, sharded, settings(sharding="none")).steps == 6
    found = records(sharded)
    assert len(found) == 6
    for one, two in zip(records(alone), found, strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=0, abs=1e-5)
    alike(load_file(sharded / "model" / MODEL_FILE), wanted)


@pytest.mark.parametrize("changes", [{}, {"tasks": {"inpaint": 0.5, "t2v": 0.5}, "text_pad_to": 20, "objective": "x0"}])
def test_the_loss_of_a_pack_is_that_of_its_groups(dataset, changes):
    trainer = ready(dataset, Ranks(), **changes)
    for groups in ([g for g in trainer.data.step(0) if g.pack == pack] for pack in range(4)):
        assert groups
        found = pack_loss(trainer.model, groups, trainer.config.objective, "fp32", CPU)
        wanted = sum(trainer.group_loss(trainer.model, group)[0] for group in groups)
        count = sum(float(trainer.group_loss(trainer.model, group)[1]) for group in groups)
        assert float(found.detach()) / count == pytest.approx(float(wanted.detach()) / count, rel=0, abs=1e-5)
    nothing = pack_loss(trainer.model, [], "velocity", "fp32", CPU)
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert all(param.grad is not None and not param.grad.any() for param in trainer.params)


def test_computing_blocks_again_holds_less_and_changes_no_bit(dataset):
    kept, again = (ready(dataset, Ranks(), activation_checkpointing=how) for how in ("none", "full"))
    wanted, found = (gradients(trainer, 2, trainer.made(2)) for trainer in (kept, again))
    alike(found, wanted, atol=0)
    assert held(again) < 0.6 * held(kept)


def held(trainer) -> int:
    """Bytes that autograd keeps of a pass."""
    sizes: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    params = {param.untyped_storage().data_ptr() for param in trainer.params}
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        trainer.group_loss(trainer.model, trainer.made(2)[0])
    return sum(size for place, size in sizes.items() if place not in params)


def test_the_averaged_weights_are_there_within_and_gone_after(dataset):
    trainer = ready(dataset, Ranks())
    trainer.step(0)
    own, average = ([value.detach().clone() for value in values] for values in (trainer.params, trainer.ema))
    with trainer.averaged_weights():
        assert all(map(torch.equal, trainer.params, average))
    assert all(map(torch.equal, trainer.params, own))
    assert all(map(torch.equal, trainer.ema, average))
    assert not all(map(torch.equal, own, average))
