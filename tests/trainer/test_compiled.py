"""Blocks compiled in place: the same names and numbers, and no new graphs for other lengths."""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.utils import counters

from tests.dataset.tiny import tiny_dataset
from tests.trainer.sharding_child import gradients, ready
from tests.trainer.test_packs import MIXED
from trainer.ranks import Ranks

# Dynamo looks at every input's gradient, and torch warns of that; rotations are complex, and stay as they are.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore:Torchinductor does not support code generation for complex"),
]
TASKS = {"t2v": 0.4, "extend": 0.3, "inpaint": 0.3}


def furthest(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> float:
    assert set(found) == set(wanted)
    return max(float((found[name] - value).abs().max()) for name, value in wanted.items())


@pytest.mark.parametrize("packed", [False, True])
def test_clips_of_other_lengths_are_no_reason_to_compile_again(tmp_path, packed):
    """Traced and guarded as ever, but not made machine code of, which would take minutes."""
    dataset = tiny_dataset(tmp_path / "d", MIXED).path
    plain, compiled = (ready(dataset, Ranks(), tasks=TASKS) for _ in range(2))
    plain.packed = compiled.packed = packed
    torch._dynamo.reset()
    counters.clear()
    for block in compiled.model.dit.blocks:
        block.compile(dynamic=True, backend="eager")
    graphs = []
    for step in range(6):
        groups = plain.made(step)
        assert furthest(gradients(compiled, step, groups), gradients(plain, step, groups)) <= 1e-5
        graphs.append(counters["stats"]["unique_graphs"])
    assert 0 < graphs[1] <= 12
    assert graphs[1:] == [graphs[1]] * 5
    assert len({tuple(group.clean_BCTHW.shape) for step in range(6) for group in plain.made(step)}) > 5


def test_compiled_blocks_give_the_same_gradients_in_float32(tmp_path):
    dataset = tiny_dataset(tmp_path / "d", ((9, 32),) * 8).path
    plain, compiled = (ready(dataset, Ranks(), compile=how, tasks={"t2v": 1}) for how in (False, True))
    assert compiled.names == plain.names
    assert list(compiled.model.state_dict()) == list(plain.model.state_dict())
    groups = plain.made(0)
    assert furthest(gradients(compiled, 0, groups), gradients(plain, 0, groups)) <= 1e-5
