"""How a spec starts its training: what is possible, what is refused before anything runs, what the plan says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import RushesError, SpecError
from curate.forecast import forecast_of, lines_of
from curate.launching import command, described, ranks_of
from curate.plan import Plan
from curate.run import Run
from curate.spec import Spec
from curate.stages import learn
from tests.conftest import spec_dict

PACKS = {"tokens_per_pack": 64, "packs_per_step": 8}


def spec_of(tmp_path, resource: dict | None = None, train: dict | None = PACKS, **engine) -> Spec:
    resources = {} if resource is None else {"train": resource}
    raw = spec_dict(tmp_path, tmp_path / "out", engine={"resources": resources, **engine})
    return Spec.model_validate({**raw, **({} if train is None else {"train": train})})


@given(packs=st.integers(1, 48), bounds=st.tuples(st.integers(1, 16), st.integers(0, 16)))
def test_ranks_are_those_that_share_the_packs_the_most_first(tmp_path_factory, packs, bounds):
    fewest, more = bounds
    train = {**PACKS, "packs_per_step": packs}
    spec = spec_of(tmp_path_factory.getbasetemp(), {"workers": [fewest, fewest + more]}, train)
    wanted = {count for count in range(fewest, fewest + more + 1) if packs % count == 0}
    if not wanted:
        with pytest.raises(SpecError, match="packs_per_step"):
            ranks_of(spec)
        return
    assert set(ranks_of(spec)) == wanted
    assert ranks_of(spec) == sorted(wanted, reverse=True)


@pytest.mark.parametrize(
    ("resource", "said"),
    [
        ({"workers": [3, 3]}, r"workers: 3 ranks cannot share the 8 packs of a step evenly: set `train: {packs"),
        ({"workers": [5, 7]}, r"no number of ranks from 5 to 7 can share the 8 packs"),
        ({"gpus": 2}, r"gpus: 2 for a rank of the training, which has one or none"),
        ({"cpus": 0}, r"cpus: 0 and gpus: 0 leave a rank"),
    ],
)  # fmt: skip
def test_what_is_not_possible_is_refused_with_the_key(resource, said, tmp_path):
    with pytest.raises(SpecError, match=said) as found:
        Plan(spec_of(tmp_path, resource))
    assert found.value.key == ("engine", "resources", "train")


def test_each_engine_has_its_launch_and_says_so(tmp_path):
    two = {"cpus": 4, "workers": [2, 2]}
    assert command(spec_of(tmp_path)) == ["-m", "trainer.train"]
    assert command(spec_of(tmp_path, kind="ray")) == ["-m", "trainer.train"]
    assert command(spec_of(tmp_path, two)) == ["-m", "trainer.launch", "--ranks", "2", "--threads", "4"]
    on_ray = command(spec_of(tmp_path, {**two, "gpus": 1, "workers": [2, 8]}, kind="ray", address="auto"))
    assert on_ray[:3] == ["-m", "curate.engines.training", "--engine"]
    assert on_ray[-4:] == ["--ranks", "8", "4", "2"]
    assert described(spec_of(tmp_path)) == "by one process on this machine"
    assert described(spec_of(tmp_path, two)).startswith("by 2 processes on this machine, with 4 threads or a GPU each")
    sentence = described(spec_of(tmp_path, {**two, "gpus": 1}, kind="ray", address="auto"))
    assert sentence == "by Ray Train on 2 workers with 4 CPUs and 1 GPU each; cluster: auto"


def test_the_plan_says_how_training_is_started(tmp_path, footage):
    raw = spec_dict(footage, tmp_path / "out", engine={"resources": {"train": {"workers": [2, 4]}}})
    found = forecast_of(Run(Spec.model_validate({**raw, "train": PACKS})), None, None, None, None, print)
    assert found is not None
    assert found["launch"].startswith("by 4 processes")
    assert any("by 4 processes" in line for line in lines_of(found))


@pytest.mark.parametrize(("packs", "gpus"), [(1, 1), (12, 4), (16, 8)])
def test_the_plan_is_by_default_for_gpus_that_can_share_a_steps_packs(tmp_path, footage, monkeypatch, packs, gpus):
    train = {"tokens_per_pack": 64, "packs_per_step": packs, "steps": 3}
    job = Run(Spec.model_validate(spec_dict(footage, tmp_path / "out", train=train)))
    monkeypatch.setattr("curate.forecast._foreseen", lambda job, hardware, note: {"hardware": hardware})
    found = forecast_of(job, None, None, None, None, print)
    assert found is not None
    assert found["hardware"].count == gpus
    told = forecast_of(job, 3, None, None, None, print)
    assert told is not None
    assert told["hardware"].count == 3


def test_an_error_of_the_trainer_is_said_once(capsys):
    script = "import sys; print('error: one\\nstep 1', file=sys.stderr); sys.exit('error: too small')"
    with pytest.raises(RushesError, match="exit code 1: error: too small"):
        learn._run(["-c", script], "the trainer")
    assert capsys.readouterr().err == "error: one\nstep 1\n"
