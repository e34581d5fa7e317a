"""The sandbox's outside: starts the decoding worker, gives it one file at a time, and ends it when it must be ended.

A worker is disposable. It is killed, with its whole process group, when it shows no sign of life for
`Limits.seconds` or takes more than `Limits.total_seconds`; it is replaced after every fault of a decoder, after
`_JOBS` jobs, and when it has grown. Every file ends in its frames or in one InputRejected.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from curate.errors import InputRejected, StageCrashed, Unreachable
from curate.media.decode import Frame
from curate.media.facts import Job, Limits, Probe
from curate.media.shared import Buffers, unpacked
from curate.wire import Closed, Wire

_JOBS = 200  # after so many files libav may have leaked, and starting anew costs less than one of them
_GROWN_BYTES = 512 * 1024 * 1024  # resident memory between jobs at which a worker is replaced
_START_S = 60.0
_DEATH_S = 1.0  # between a process's last byte and the kernel's word on how it ended
_WORDS_BYTES = 500
_PACKAGES = str(Path(__file__).parents[2])


class Sandbox:
    """One worker process at a time, started when it is needed. Not for use by several threads at once."""

    def __init__(self, limits: Limits, back_end: str = "pyav") -> None:
        self.limits, self.back_end = limits, back_end
        self.enforced: list[str] = []  # what the system really denies the worker; see `confine`
        self.started = 0
        self._worker: _Process | None = None
        self._jobs = 0

    def probe(self, file: BinaryIO) -> Probe:
        """The facts of an open file. Raises InputRejected."""
        (answer,) = self._run(file, None)
        return Probe(**answer["facts"])

    def frames(self, file: BinaryIO, job: Job, told: Callable[[Probe], None] | None = None) -> Iterator[Frame]:
        """The frames of an open file in presentation order; `told` hears the facts first. Raises InputRejected."""
        for message in self._run(file, job, facts=told is not None):
            if told is not None and "facts" in message:
                told(Probe(**message["facts"]))
                continue
            assert self._worker is not None
            made = unpacked(message, self._worker.buffers, job.views)
            self._worker.wire.send({"ack": True})
            yield from made

    def copy(self, file: BinaryIO, start_pts: int, end_pts: int, num_frames: int) -> bytes | None:
        """A span's packets as an mp4, None where they do not make exactly its frames. Raises InputRejected."""
        (answer,) = self._run(file, None, [start_pts, end_pts, num_frames])
        length = answer["copied"]
        if length is None:
            return None
        assert self._worker is not None
        if answer["size"] != self._worker.buffers.size:
            self._worker.buffers.resize(int(answer["size"]))
        return self._worker.buffers.array(0, 0, (length,)).tobytes()

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    # -- one job -----------------------------------------------------------------------------------------------

    def _run(
        self, file: BinaryIO, job: Job | None, copy: list[int] | None = None, facts: bool = False
    ) -> Iterator[dict[str, Any]]:
        worker = self._ready()
        done = False
        try:
            self._ask(worker, file, {"job": None if job is None else asdict(job), "copy": copy, "facts": facts})
            deadline = time.monotonic() + self.limits.total_seconds
            while True:
                message = self._answer(worker, file, deadline)
                if "end" in message:
                    done = True
                    return
                if "fault" in message:
                    reason, detail = message["fault"]
                    raise InputRejected(str(reason), str(detail))
                if "unreadable" in message:
                    raise Unreachable("source:unreadable", str(message["unreadable"]))
                yield message
        except (Closed, ValueError, KeyError, TypeError) as error:
            ended = worker.end(_DEATH_S)  # it died, or it said what no worker says
            detail = worker.last_words or f"{type(error).__name__}: {error}"
            raise InputRejected(f"decode:crash:{ended}", f"the decoder ended ({ended}); {detail}") from error
        finally:
            if not done:  # a fault, or frames that nobody wants any more: what it holds is not trusted
                self.close()

    def _ask(self, worker: _Process, file: BinaryIO, request: dict[str, Any]) -> None:
        handle = _descriptor(file)
        size = None
        if handle is None:
            try:
                size = file.seek(0, os.SEEK_END)
            except Exception as error:  # as in `_read`
                raise Unreachable("source:unreadable", f"{type(error).__name__}: {error}") from error
        else:
            os.lseek(handle, 0, os.SEEK_SET)
            socket.send_fds(worker.files, [b"f"], [handle])
        limits = asdict(self.limits)
        worker.wire.send({**request, "limits": limits, "backend": self.back_end, "size": size})

    def _answer(self, worker: _Process, file: BinaryIO, deadline: float) -> dict[str, Any]:
        """The next message that is not a question for bytes, which are read for it."""
        while True:
            patience = min(self.limits.seconds, deadline - time.monotonic())
            message = worker.wire.receive(max(0.0, patience))
            if message is None:
                worker.end()
                late = "in all" if patience < self.limits.seconds else "without a frame"
                raise InputRejected("decode:timeout", f"more than {min(self.limits.seconds, patience):.0f} s {late}")
            if "read" not in message:
                return message
            worker.wire.send({"bytes": _read(file, *message["read"]).hex()})

    # -- the process -------------------------------------------------------------------------------------------

    def _ready(self) -> _Process:
        if self._worker is not None and (self._jobs >= _JOBS or self._worker.resident_bytes() > _GROWN_BYTES):
            self.close()
        if self._worker is None:
            self._worker = _Process(self.limits, self.back_end)
            self.enforced = self._worker.enforced
            self.started += 1
            self._jobs = 0
        self._jobs += 1
        return self._worker


def _read(file: BinaryIO, offset: int, length: int) -> bytes:
    """Bytes of a file on another machine."""
    try:
        file.seek(offset)
        return file.read(length)
    except Exception as error:
        # The client libraries of object stores raise trees of their own.
        raise Unreachable("source:unreadable", f"{type(error).__name__}: {error}") from error


def _descriptor(file: BinaryIO) -> int | None:
    """The descriptor of a file of this machine, None for any other."""
    try:
        return file.fileno()
    except (AttributeError, OSError):
        return None


# Nothing of ours goes in; without a user base Python would look for one in the password file.
_ENVIRONMENT = {
    "PYTHONUSERBASE": "/", "PATH": "", "PYTHONPATH": _PACKAGES, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
}  # fmt: skip


class _Process:
    """A started worker."""

    def __init__(self, limits: Limits, back_end: str) -> None:
        ours, theirs = socket.socketpair()
        self.files, their_files = socket.socketpair()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 its stderr, capped by RLIMIT_FSIZE; closed by `end`
        memory = os.memfd_create("rushes-frames")
        handles = (theirs.fileno(), their_files.fileno(), memory)
        self._process = subprocess.Popen(
            [
                sys.executable, "-P", "-s", "-m", "curate.media.worker", *map(str, handles), str(os.getpid()),
                str(limits.memory_gib), back_end,
            ],
            pass_fds=handles, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._words,
            env=_ENVIRONMENT, cwd="/",
            start_new_session=True,
        )  # fmt: skip
        theirs.close()
        their_files.close()
        self.buffers = Buffers(memory)
        handle = ours.detach()
        self.wire = Wire(handle, handle)
        self.last_words = ""  # the end of its stderr, once it has ended
        held = (self.wire, self.files, self.buffers, self._words)
        self._finalizer = weakref.finalize(self, _release, self._process, held)
        try:
            ready = self.wire.receive(_START_S)
        except Closed:
            ready = None
        if ready is None:
            ended = self.end(_DEATH_S)
            raise StageCrashed("worker:start", f"the decoding worker did not start ({ended}): {self.last_words}")
        self.enforced: list[str] = ready["ready"]

    def resident_bytes(self) -> int:
        """Memory that it holds now."""
        with open(f"/proc/{self._process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def end(self, grace_s: float = 0.0) -> str:
        """Kill it and whatever it started; how it had ended, if it did by itself within the grace."""
        try:
            code = self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            code = None
        if self._finalizer.alive:
            self._words.seek(max(0, self._words.seek(0, os.SEEK_END) - _WORDS_BYTES))
            self.last_words = self._words.read().decode(errors="replace").strip().rpartition("\n")[2]
            self._finalizer()
        code = self._process.returncode if code is None else code
        return f"signal:{signal.Signals(-code).name}" if code < 0 else f"exit:{code}"


def _release(process: subprocess.Popen[bytes], held: tuple[Any, ...]) -> None:
    """Kill the process with its group, and give back what it shared with us."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for thing in held:
        thing.close()
