"""The sandbox: what a file does to its decoder ends the decoder alone, and the decoder can do nothing but decode."""

from __future__ import annotations

import gc
import os
import signal
import time
from pathlib import Path

import pytest

from curate.errors import InputRejected
from curate.media.facts import Fit, Job, Limits
from curate.media.sandbox import Sandbox
from curate.stage import Frames
from tests.conftest import write_clip


@pytest.fixture
def sandbox():
    made = Sandbox(Limits(seconds=5.0))
    yield made
    made.close()


@pytest.fixture
def clip(tmp_path) -> Path:
    return write_clip(tmp_path / "a.mp4", (1, 2, 3), frames=60)


def _read(sandbox: Sandbox, path: Path, job: Job | None = None) -> list:
    with path.open("rb") as file:
        return list(sandbox.frames(file, job or Job(digest=True)))


def test_the_worker_gives_up_files_and_network_where_the_system_allows_it(sandbox, clip):
    _read(sandbox, clip)
    assert set(sandbox.enforced) <= {"network", "files", "tcp"}
    assert sandbox._worker is not None
    process = sandbox._worker._process.pid
    if "network" in sandbox.enforced:
        assert os.readlink(f"/proc/{process}/ns/net") != os.readlink("/proc/self/ns/net")
    limits = Path(f"/proc/{process}/limits").read_text()
    assert "Max core file size        0" in limits
    assert os.getpgid(process) == process != os.getpgid(0)
    # Its environment holds no key, no token, no home.
    environment = Path(f"/proc/{process}/environ").read_bytes()
    assert b"HOME=" not in environment
    assert b"TOKEN" not in environment


def test_confinement_denies_files_and_sockets():
    """In a process of its own, as the worker does it."""
    import subprocess
    import sys

    code = (
        "import socket, sys\nfrom curate.media import confine\nenforced = confine.give_up_files_and_network()\n"
        "try:\n    open('/etc/hostname').read()\n    print('read' if 'files' in enforced else 'unsupported')\n"
        "except OSError:\n    print('denied')\n"
        "try:\n    socket.create_connection(('127.0.0.1', 9), 1)\n    print('connected')\n"
        "except OSError:\n    print('denied')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() in (["denied", "denied"], ["unsupported", "denied"])


def test_a_decoder_that_is_killed_is_one_rejected_file_and_the_next_goes_on(sandbox, clip):
    with clip.open("rb") as file:
        frames = sandbox.frames(file, Job(views=(Frames(0, 27),), fit=Fit(64, 2)))
        next(frames)
        assert sandbox._worker is not None
        os.kill(sandbox._worker._process.pid, signal.SIGKILL)
        with pytest.raises(InputRejected) as caught:
            list(frames)
    assert caught.value.reason == "decode:crash:signal:SIGKILL"
    assert len(_read(sandbox, clip)) == 180
    assert sandbox.started == 2


def test_a_decoder_that_hangs_is_killed_in_time(clip):
    sandbox = Sandbox(Limits(seconds=0.5))
    _read(sandbox, clip)
    assert sandbox._worker is not None
    os.kill(sandbox._worker._process.pid, signal.SIGSTOP)  # it ignores everything but SIGKILL now
    begun = time.monotonic()
    with pytest.raises(InputRejected) as caught:
        _read(sandbox, clip)
    assert caught.value.reason == "decode:timeout"
    assert time.monotonic() - begun < 2.5
    assert len(_read(sandbox, clip)) == 180
    sandbox.close()


@pytest.mark.parametrize(
    ("limits", "reason"),
    [(Limits(frames=100), "limit:frames"), (Limits(pixels=1000), "limit:pixels"), (Limits(memory_gib=0.6), None)],
)
def test_limits_end_in_their_own_reason(clip, limits, reason):
    sandbox = Sandbox(limits)
    if reason is None:  # enough for a small file
        assert len(_read(sandbox, clip)) == 180
    else:
        with pytest.raises(InputRejected) as caught:
            _read(sandbox, clip)
        assert caught.value.reason == reason
    sandbox.close()


def test_pictures_larger_than_the_shared_memory_make_it_grow(tmp_path, sandbox):
    import numpy as np

    from curate.media.writer import write_mp4

    noise = np.random.default_rng(0).integers(0, 256, (3, 1800, 2000, 3), np.uint8)
    write_mp4(tmp_path / "big.mp4", noise, 8.0)
    frames = _read(sandbox, tmp_path / "big.mp4", Job("full", fit=Fit(5000, 2)))
    assert [frame.fitted.shape for frame in frames] == [(1800, 2000, 3)] * 3
    assert not np.array_equal(frames[0].fitted, frames[1].fitted)


def test_frames_that_nobody_wants_any_more_leave_no_process(sandbox, clip):
    with clip.open("rb") as file:
        frames = sandbox.frames(file, Job(digest=True))
        next(frames)
        assert sandbox._worker is not None
        process = sandbox._worker._process.pid
        frames.close()
    gc.collect()
    assert not Path(f"/proc/{process}").exists()
    assert len(_read(sandbox, clip)) == 180


def test_a_worker_is_replaced_after_its_jobs(monkeypatch, sandbox, clip):
    monkeypatch.setattr("curate.media.sandbox._JOBS", 3)
    for _ in range(7):
        _read(sandbox, clip)
    assert sandbox.started == 3
