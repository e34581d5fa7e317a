"""Ray gives what `local` gives, poison included; a cluster of two nodes and a killed worker change nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from curate.media.writer import write_mp4
from tests.conftest import REPO, rushes, spec_dict, write_clip, write_spec
from tests.faults.conftest import poisoned  # noqa: F401 a fixture


@pytest.fixture(scope="module")
def footage_with_poison(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ray")
    for seed in range(1, 7):
        write_clip(folder / f"good{seed}.mp4", (seed,))
    write_mp4(folder / "black.mp4", np.zeros((16, 64, 96, 3), np.uint8), 8.0)
    return folder


def test_embedded_ray_equals_local_with_a_poison_row(footage_with_poison, poisoned, tmp_path):  # noqa: F811
    digests = []
    for kind in ("local", "ray"):
        raw = spec_dict(footage_with_poison, tmp_path / kind)
        raw["stages"][1]["score"].append("segfault")
        raw["engine"] = {"kind": kind, "workers": 2, "shard_rows": 2}
        spec = write_spec(tmp_path / f"{kind}.yaml", raw)
        done = rushes("run", spec, "--until", "export", "--json", env=poisoned, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        funnel = {row["reason"]: row["rows"] for row in json.loads(done.stdout)["funnel"]}
        assert funnel["crash:signal:SIGSEGV"] == 1
        digests.append(rushes("verify", tmp_path / kind, "--digest", env=poisoned, cwd=tmp_path).stdout)
    assert digests[0] == digests[1] != ""


@pytest.mark.slow
def test_cluster_job_and_killed_worker_equal_local():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.engines", "--json"], cwd=REPO, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


class _NotReady(BaseHTTPRequestHandler):
    """A job server that is there and takes no job."""

    def do_GET(self) -> None:
        self._answer(200, json.dumps({"version": "4", "ray_version": "2.60.0", "ray_commit": "x"}))

    def do_POST(self) -> None:
        self._answer(500, "No available agent to submit job, please try again later.")

    def _answer(self, code: int, text: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_submit_to_a_cluster_that_takes_no_job_is_one_sentence(footage_with_poison, tmp_path):
    spec = write_spec(tmp_path / "s.yaml", spec_dict(footage_with_poison, tmp_path / "out"))
    with ThreadingHTTPServer(("127.0.0.1", 0), _NotReady) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        done = rushes("submit", spec, "--address", address)
        server.shutdown()
        thread.join()
    assert done.returncode == 1
    assert f"{address} did not take the job: " in done.stderr
    assert "No available agent to submit job" in done.stderr
    assert "Traceback" not in done.stderr


def test_submit_without_a_cluster_is_one_sentence(footage_with_poison, tmp_path):
    spec = write_spec(tmp_path / "s.yaml", spec_dict(footage_with_poison, tmp_path / "out"))
    done = rushes("submit", spec, "--address", "http://127.0.0.1:1")
    assert done.returncode == 2
    assert "no Ray job server at http://127.0.0.1:1" in done.stderr.splitlines()[-1]
