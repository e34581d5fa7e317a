"""A two-node Ray cluster on loopback, in processes of its own, for tests and measurements."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from types import TracebackType

_UP_S = 90.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class LoopbackCluster:
    """`with LoopbackCluster() as cluster:` gives `address`, `jobs` (the job server) and `env` for its clients."""

    def __init__(self) -> None:
        # Socket paths must stay below 108 characters, so not under a test's own folder.
        self._folder = tempfile.mkdtemp(prefix="rr-", dir="/tmp")
        self._nodes: list[subprocess.Popen[bytes]] = []
        port, dashboard = _free_port(), _free_port()
        self.address, self.jobs = f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}"
        self.env = {
            **os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_ADDRESS": "", "RAY_USAGE_STATS_ENABLED": "0",
        }  # fmt: skip
        del self.env["RAY_ADDRESS"]
        common = ["--node-ip-address", "127.0.0.1", "--num-cpus", "2", "--object-store-memory", "200000000", "--block"]
        self._head = [
            "--head", "--port", str(port), "--temp-dir", self._folder, "--include-dashboard", "true",
            "--dashboard-host", "127.0.0.1", "--dashboard-port", str(dashboard), *common,
        ]  # fmt: skip
        self._worker = ["--address", self.address, *common]

    def _start(self, arguments: list[str]) -> None:
        ray = shutil.which("ray", path=os.path.dirname(sys.executable))
        assert ray is not None
        log = open(os.path.join(self._folder, f"node{len(self._nodes)}.log"), "wb")  # noqa: SIM115 the child's
        self._nodes.append(
            subprocess.Popen([ray, "start", *arguments], env=self.env, stdout=log, stderr=log, start_new_session=True)
        )
        log.close()

    def __enter__(self) -> LoopbackCluster:
        self._start(self._head)
        self._wait(1)
        self._start(self._worker)
        self._wait(2)
        return self

    def _wait(self, nodes: int) -> None:
        """Wait until the job server answers and so many nodes are alive."""
        code = (
            "import ray, sys; ray.init(address=sys.argv[1], logging_level='ERROR'); "
            "sys.exit(sum(n['Alive'] for n in ray.nodes()) < int(sys.argv[2]))"
        )
        deadline = time.monotonic() + _UP_S
        while time.monotonic() < deadline:
            done = subprocess.run(
                [sys.executable, "-c", code, self.address, str(nodes)], env=self.env, capture_output=True, check=False
            )
            if done.returncode == 0:
                return
            time.sleep(1.0)
        logs = [open(os.path.join(self._folder, f"node{i}.log")).read() for i in range(len(self._nodes))]  # noqa: SIM115
        self.__exit__(None, None, None)
        raise RuntimeError("the cluster did not come up:\n" + "\n".join(logs))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for node in reversed(self._nodes):
            try:
                os.killpg(node.pid, signal.SIGTERM)
                node.wait(timeout=20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
            try:
                os.killpg(node.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            node.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
