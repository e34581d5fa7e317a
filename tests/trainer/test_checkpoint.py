"""Checkpoints: whole or absent wherever a process is killed, of the step that they name, and what is kept of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from curate.errors import SpecError, StorageError
from trainer.checkpoint import Checkpoints
from trainer.config import TrainConfig
from trainer.optimizers import blank_states, make_optimizers, optimizer_tensors, restore_optimizers
from trainer.ranks import Ranks

PARTS = ("weights", "ema", "optimizer")
FILE = "shard-00000.safetensors"


def parts(value: float) -> dict[str, dict[str, torch.Tensor]]:
    return {name: {"w": torch.full((3, 2), value), "a.b/c": torch.tensor(value)} for name in PARTS}


def checkpoints(out: Path, key: str = "k", keep: int = 2, keep_every: int | None = None) -> Checkpoints:
    return Checkpoints(out, key, Ranks(), keep, keep_every)


def save(out: Path, *steps: int, key: str = "k", keep: int = 2, keep_every: int | None = None) -> None:
    with checkpoints(out, key, keep, keep_every) as made:
        for step in steps:
            made.save(step, parts(step))


def newest(out: Path) -> int | None:
    """The step of the newest whole checkpoint; its numbers must be that step's."""
    with checkpoints(out) as made:
        saved = made.newest()
        if saved is None:
            return None
        found = parts(-1)
        made.load(saved, found)
    wanted = parts(saved.step)
    assert all(torch.equal(found[part][name], wanted[part][name]) for part in PARTS for name in wanted[part])
    return saved.step


def damage(out: Path, step: int) -> None:
    path = out / "checkpoints" / f"step-{step:08d}" / FILE
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def names(out: Path) -> list[str]:
    return sorted(path.name for path in (out / "checkpoints").iterdir())


@pytest.mark.parametrize("keep", [1, 2])
def test_a_damaged_newest_checkpoint_costs_no_good_one(tmp_path, keep):
    save(tmp_path, 2, 9)
    damage(tmp_path, 9)
    assert newest(tmp_path) == 2
    assert names(tmp_path) == ["damaged-step-00000009", "step-00000002"]
    save(tmp_path, 4, keep=keep)
    assert newest(tmp_path) == 4
    assert names(tmp_path) == ["step-00000002", "step-00000004"][2 - keep :]


def test_what_was_just_written_is_never_removed(tmp_path):
    save(tmp_path, 9, keep=1)
    damage(tmp_path, 9)
    save(tmp_path, 4, keep=1)
    assert newest(tmp_path) == 4


def test_a_checkpoint_of_another_run_is_left_alone(tmp_path):
    save(tmp_path, 2, key="other")
    save(tmp_path, 9)
    damage(tmp_path, 9)
    with pytest.raises(SpecError, match="another config or dataset"):
        newest(tmp_path)
    assert names(tmp_path) == ["step-00000002", "step-00000009"]


def test_the_newest_are_kept_and_some_for_ever(tmp_path):
    save(tmp_path, *range(2, 21, 2), keep=2, keep_every=6)
    assert [int(name.removeprefix("step-")) for name in names(tmp_path)] == [6, 12, 18, 20]
    with pytest.raises(ValueError, match="keep_every 7 is no multiple of checkpoint_every 2"):
        TrainConfig(checkpoint_every=2, keep_every=7)


def test_nothing_and_only_damaged_ones(tmp_path):
    assert newest(tmp_path) is None
    save(tmp_path, 1, 2)
    damage(tmp_path, 1)
    (tmp_path / "checkpoints" / "step-00000002" / FILE).unlink()
    with pytest.raises(StorageError, match=r"every checkpoint in .* is damaged"):
        newest(tmp_path)


def test_an_older_format_is_refused_with_a_sentence(tmp_path):
    save(tmp_path, 2)
    path = tmp_path / "checkpoints" / "step-00000002" / "state.json"
    state = json.loads(path.read_bytes())
    del state["format"]
    path.write_text(json.dumps(state))
    with pytest.raises(SpecError, match=r"step-00000002 is of format 1, and this version reads 2: go on"):
        newest(tmp_path)


def test_what_does_not_fit_is_named(tmp_path):
    save(tmp_path, 2)
    with checkpoints(tmp_path) as made:
        saved = made.newest()
        assert saved is not None
        wanted = parts(0)
        wanted["ema"]["more"] = wanted["ema"].pop("w")
        wanted["weights"]["w"] = torch.zeros(2, 3)
        wanted["optimizer"]["w"] = torch.zeros(3, 2, dtype=torch.bfloat16)
        said = (
            r"is not of this model \(missing: ema\.more; unexpected: ema\.w; of another shape or type: optimizer\.w,"
            r" weights\.w\)"
        )
        with pytest.raises(SpecError, match=said):
            made.load(saved, wanted)


def test_the_numbers_are_those_of_the_step_though_training_goes_on(tmp_path):
    """The writing thread is held up until the tensors have been changed in place, twice."""
    held, moving = threading.Event(), parts(3)
    with checkpoints(tmp_path) as made:
        made._thread.submit(held.wait)
        made.save(3, moving)
        for tensors in moving.values():
            for tensor in tensors.values():
                tensor.fill_(77)
        assert not (tmp_path / "checkpoints").exists()
        held.set()
        made.wait()
        assert newest(tmp_path) == 3
        made.save(77, moving)
        for tensors in moving.values():
            tensors["w"].fill_(5)
    assert newest(tmp_path) == 77


def test_an_error_of_the_background_is_not_lost(tmp_path, capsys):
    (tmp_path / "checkpoints").touch()
    with checkpoints(tmp_path) as made:
        made.save(2, parts(2))
        with pytest.raises(StorageError, match=r"cannot write .*step-00000002"):
            made.save(3, parts(3))
    with pytest.raises(StorageError, match=r"cannot write .*step-00000002"), checkpoints(tmp_path) as made:
        made.save(2, parts(2))
    made = checkpoints(tmp_path)
    made.save(2, parts(2))
    with pytest.raises(ZeroDivisionError), made:
        raise ZeroDivisionError
    assert "cannot write" in capsys.readouterr().err


def killed_at(number: int, out: Path) -> bool:
    """Save step 4 in a child that ends by SIGKILL before its `number`th act in the folder; False when it lived."""
    child = os.fork()
    if child == 0:
        acts = 0

        def act(event: str, arguments: tuple) -> None:
            nonlocal acts
            if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"):
                acts += str(arguments[0]).startswith(str(out)) or event in ("os.remove", "os.rmdir")
                if acts == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(act)
            save(out, 4)
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def test_wherever_a_save_is_killed_a_whole_checkpoint_is_left(tmp_path):
    out, before, number, seen = tmp_path / "r", tmp_path / "before", 0, []
    save(before, 1, 2)
    (before / "checkpoints" / ".step-00000003.tmp").mkdir()
    (before / "checkpoints" / ".step-00000003.tmp" / FILE).touch()
    killed = True
    while killed:
        number += 1
        shutil.copytree(before, out)
        killed = killed_at(number, out)
        seen.append(newest(out))
        save(out, 5)
        assert names(out) in (["step-00000002", "step-00000005"], ["step-00000004", "step-00000005"])
        assert newest(out) == 5
        shutil.rmtree(out)
    assert number > 10
    assert seen == sorted(seen), "once it is there it stays"
    assert set(seen) == {2, 4}
    assert seen.count(4) > 2, "while old ones are removed, too"


def test_no_pickle_is_on_disk_and_a_file_is_plain_safetensors(tmp_path):
    save(tmp_path, 2)
    folder = tmp_path / "checkpoints" / "step-00000002"
    assert sorted(path.name for path in folder.iterdir()) == [FILE, "state.json"]
    with safe_open(folder / FILE, "pt") as file:
        assert sorted(file.keys()) == sorted(f"{part}.{name}" for part in PARTS for name in ("w", "a.b/c"))


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_optimizers_go_on_with_the_states_that_were_saved(tmp_path, kind):
    """The next step is bitwise the same; a parameter that was never used has no state then either."""
    config = TrainConfig(optimizer=kind)

    def made() -> tuple[dict[str, torch.nn.Parameter], dict]:
        torch.manual_seed(0)
        named = {name: torch.nn.Parameter(torch.randn(4, 3)) for name in ("used", "unused")}
        named["scale"] = torch.nn.Parameter(torch.randn(3))
        return named, make_optimizers(named, config)

    def step(named: dict[str, torch.nn.Parameter], optimizers: dict, seed: int) -> None:
        torch.manual_seed(seed)
        for optimizer in optimizers.values():
            optimizer.set_rate(0.1)
        for name in ("used", "scale"):
            named[name].grad = torch.randn_like(named[name])
        for optimizer in optimizers.values():
            optimizer.step()

    one, first = made()
    for seed in (1, 2):
        step(one, first, seed)
    two, second = made()
    with checkpoints(tmp_path) as writing:
        writing.save(2, {"weights": one, "optimizer": optimizer_tensors(first)})
        writing.wait()
        saved = writing.newest()
        assert saved is not None
        states = blank_states(second, saved.names("optimizer"))
        writing.load(saved, {"weights": two, "optimizer": states})
    restore_optimizers(second, states)
    assert not any("unused" in name for name in optimizer_tensors(second))
    step(one, first, 3)
    step(two, second, 3)
    assert all(torch.equal(one[name], two[name]) for name in one)
