"""A server of our own for a captioner: one vLLM per worker, on loopback, with the GPUs that the worker holds.

It is started when the first clip is asked about, and ends with the worker, whose process group it is in.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

from curate.captioning import Alive
from curate.errors import StageCrashed

_COMMAND = "vllm"
_START_S = 1800.0  # loading a large model from a cold disk takes minutes
_LOOK_EVERY_S = 1.0

_running: dict[str, tuple[subprocess.Popen[bytes], str]] = {}


def served(model: str, alive: Alive) -> str:
    """The URL of this worker's server of a model, which is started if it is not there.

    Raises:
        StageCrashed: it does not start.
    """
    if model in _running:
        process, url = _running[model]
        if process.poll() is None:
            return url
        del _running[model]
    program = _program()
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [program, "serve", model, "--host", "127.0.0.1", "--port", str(port), "--served-model-name", model],
        stdin=subprocess.DEVNULL,
    )
    try:
        _wait(process, url, alive)
    except BaseException:  # a worker that is told to end while its server loads takes it along
        process.kill()
        process.wait()
        raise
    _running[model] = process, f"{url}/v1"
    return f"{url}/v1"


def _program() -> str:
    program = shutil.which(_COMMAND)
    if program is None:
        raise StageCrashed("caption:serve", "vllm is not installed here: pip install vllm on the GPU workers")
    return program


def _wait(process: subprocess.Popen[bytes], url: str, alive: Alive) -> None:
    deadline = time.monotonic() + _START_S
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy of the environment is asked
    while time.monotonic() < deadline:
        alive()
        if process.poll() is not None:
            raise StageCrashed("caption:serve", f"vllm ended with code {process.returncode}; its message is above")
        try:
            with direct.open(f"{url}/health", timeout=5.0):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(_LOOK_EVERY_S)
    raise StageCrashed("caption:serve", f"vllm did not answer within {_START_S:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
