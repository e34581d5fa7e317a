"""`engine.resources.caption.serve: vllm`: each caption worker starts a server and takes it along when it ends."""

from __future__ import annotations

import json
import os
import stat
import sys
import time

import pytest

from captioner import serving
from curate.errors import StageCrashed
from tests.captioner.test_run import _check_levels, _rows, _spec, footage  # noqa: F401 a fixture
from tests.conftest import REPO, rushes

# Stands where vllm would: takes its command line, and serves the protocol.
STAND_IN = f"""#!{sys.executable}
import pathlib, sys, time
sys.path.insert(0, {str(REPO)!r})
from benchmarks.chat_server import ChatServer
word = {{sys.argv[i]: sys.argv[i + 1] for i in range(3, len(sys.argv), 2)}}
assert sys.argv[1] == "serve" and word["--host"] == "127.0.0.1", sys.argv
with pathlib.Path(__file__).with_name("started").open("a") as log:
    log.write(f"{{__import__('os').getpid()}} {{sys.argv[2]}}\\n")
with ChatServer(model=word["--served-model-name"], at=int(word["--port"])):
    time.sleep(600)
"""


@pytest.fixture
def vllm(tmp_path):
    """A folder with the stand-in, to stand first on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "vllm"
    program.write_text(STAND_IN)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder


def _is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_worker_starts_its_server_once_and_ends_it(tmp_path, footage, vllm):  # noqa: F811
    spec = _spec(tmp_path, footage, "-", resources={"caption": {"serve": "vllm"}})
    spec.write_text(spec.read_text().replace("url: '-'", "url: null"))
    done = rushes("run", spec, "--until", "caption", "--json", env={"PATH": f"{vllm}{os.pathsep}{os.environ['PATH']}"})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["computed"]["caption"] == 20
    _check_levels(_rows(tmp_path))
    started = (vllm / "started").read_text().split()
    assert started[1::2] == ["tiny"], "one worker, one server, of the model that the spec names"
    deadline = time.monotonic() + 10
    while _is_running(started[0]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _is_running(started[0])


def test_a_server_that_ends_at_once_is_said_to(tmp_path, vllm, monkeypatch):
    (vllm / "vllm").write_text("#!/bin/sh\nexit 3\n")
    monkeypatch.setenv("PATH", f"{vllm}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(StageCrashed, match="ended with code 3"):
        serving.served("tiny", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StageCrashed, match="vllm is not installed"):
        serving.served("tiny", lambda: None)


@pytest.fixture
def on_path(vllm, monkeypatch):
    """The stand-in, where this process looks; what it started ends with the test."""
    monkeypatch.setenv("PATH", f"{vllm}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(serving, "_running", {})
    yield vllm
    for process, _ in serving._running.values():
        process.kill()
        process.wait()


def test_a_server_on_loopback_is_asked_through_no_proxy(on_path, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # nobody is there
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setattr(serving, "_START_S", 20.0)
    monkeypatch.setattr(serving, "_LOOK_EVERY_S", 0.05)
    assert serving.served("tiny", lambda: None).startswith("http://127.0.0.1:")


def test_a_worker_that_ends_while_its_server_starts_takes_it_along(on_path):
    def closed():
        if (on_path / "started").exists():
            raise BrokenPipeError("the supervisor is gone")

    with pytest.raises(BrokenPipeError):
        serving.served("tiny", closed)
    pid = (on_path / "started").read_text().split()[0]
    assert not _is_running(pid)
