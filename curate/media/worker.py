"""The sandbox's inside: a process that decodes, and can do nothing else. Started by `curate.media.sandbox`.

It gets the descriptor of an open file or asks its parent for bytes, and gives frames through shared memory. Before its
first job it gives up the network and every other file. Whatever a file does to libav ends at most this process.

Messages, JSON over one socket: in `job`, `ack`, `bytes`; out `ready`, `facts`, `frames`, `copied`, `end`, `fault`, and
`read` for bytes.
"""

from __future__ import annotations

import importlib
import io
import os
import pkgutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from curate.errors import InputRejected
from curate.media import confine
from curate.media.backends.pyav import PyAV
from curate.media.cutting import copied
from curate.media.decode import Frame, frames, probe, sniffed
from curate.media.facts import Fit, Job, Limits, Probe
from curate.media.frames import Frames
from curate.media.shared import LARGEST, Buffers, Packer, size_of
from curate.registry import resolve
from curate.wire import Closed, Wire

_CHUNK_FRAMES = 64  # a message costs about as much as one small frame
_CHUNK_SECONDS = 1.0  # the parent hears of a slow file as often
_OPEN_FILES = 64
_BLOCK = 256 * 1024  # bytes asked for at once


class _AskedFile(io.RawIOBase):
    """A file whose bytes the parent reads: one on another machine, whose name and keys stay outside."""

    def __init__(self, ask: Callable[[int, int], bytes], size: int) -> None:
        self._ask, self._size, self._at = ask, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._ask(self._at, len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


class Worker:
    """Serves jobs until its parent ends."""

    def __init__(self, wire: Wire, files: socket.socket, buffers: Buffers) -> None:
        self.wire, self._files, self._buffers = wire, files, buffers
        self._unread = 0  # buffers that the parent has not given back

    def serve(self) -> None:
        """Run jobs one after the other."""
        while True:
            message = self.wire.receive()
            assert message is not None
            if "job" in message:  # what else may come is left over from a job that failed
                self._job(message)

    def _job(self, message: dict[str, Any]) -> None:
        self._unread = 0
        limits = Limits(**message["limits"])
        confine.limit_cpu(limits.total_seconds)
        back_end = resolve("backend", message["backend"])()
        try:
            with self._file(message) as file:
                if message["copy"] is not None:
                    self._copy(file, message["copy"], limits)
                elif message["job"] is None:
                    self._tell(probe(back_end, file, limits))
                else:
                    job = _job(message["job"])
                    told = self._tell if message["facts"] else None
                    self._send(frames(back_end, file, job, limits, told), job)
            self.wire.send({"end": True})
        except InputRejected as error:
            self.wire.send({"fault": [error.reason, error.detail]})
        except OSError as error:  # the file's, since no other can be opened: a lost mount, a failing disk
            self.wire.send({"unreadable": str(error)})
        except MemoryError as error:
            self.wire.send({"fault": ["limit:memory", str(error) or "decoding needs more than the limit"]})

    def _tell(self, facts: Probe) -> None:
        self.wire.send({"facts": facts.as_row()})

    def _copy(self, file: BinaryIO, span: list[int], limits: Limits) -> None:
        with PyAV().open(file, sniffed(file), "full", limits) as opened:
            data = copied(opened, *span)
        if data is not None and len(data) > self._buffers.size:
            self._buffers.resize(len(data))
        if data is not None:
            self._buffers.array(0, 0, (len(data),))[...] = np.frombuffer(data, np.uint8)
        self.wire.send({"copied": None if data is None else len(data), "size": self._buffers.size})

    def _file(self, message: dict[str, Any]) -> BinaryIO:
        if message["size"] is None:
            _, handles, _, _ = socket.recv_fds(self._files, 1, 1)
            return os.fdopen(handles[0], "rb")
        return io.BufferedReader(_AskedFile(self._ask, message["size"]), _BLOCK)  # type: ignore[return-value]

    def _send(self, stream: Iterator[Frame], job: Job) -> None:
        packer = Packer(self._buffers, job.views)
        since = time.monotonic()
        for frame in stream:
            size = size_of(frame)
            if packer.count and not packer.has_room(size):
                self._flush(packer)
            packer.add(frame, size)
            if packer.count >= _CHUNK_FRAMES or time.monotonic() - since >= _CHUNK_SECONDS:
                self._flush(packer)
                since = time.monotonic()
        if packer.count:
            self._flush(packer)

    def _flush(self, packer: Packer) -> None:
        self.wire.send(packer.message())
        self._unread += 1
        while self._unread > 1:  # both buffers are full: wait for one
            self._hear()

    def _ask(self, offset: int, length: int) -> bytes:
        """Bytes of the file that the parent reads."""
        self.wire.send({"read": [offset, length]})
        while True:
            answer = self._hear()
            if "bytes" in answer:
                return bytes.fromhex(answer["bytes"])

    def _hear(self) -> dict[str, Any]:
        message = self.wire.receive()
        assert message is not None  # no time limit was given
        if "ack" in message:
            self._unread -= 1
        return message


def _job(given: dict[str, Any]) -> Job:
    fit = given["fit"]
    return Job(
        **{
            **given,
            "views": tuple(Frames(**view) for view in given["views"]),
            "fit": None if fit is None else Fit(fit["short_side"], fit["multiple"], tuple(fit["box"])),
        }
    )


def _import_all(libraries: tuple[str, ...]) -> None:
    """Import all of these libraries while files can be opened: they import parts of themselves on first use."""
    for name in libraries:
        library = importlib.import_module(name)
        for module in pkgutil.walk_packages(library.__path__, f"{name}."):
            if not module.name.rpartition(".")[2].startswith("_"):
                importlib.import_module(module.name)


def main() -> None:
    """Confine this process, then serve. Arguments: socket, socket for files, memory file, parent, memory in GiB."""
    import cv2

    control, files, memory, parent = (int(argument) for argument in sys.argv[1:5])
    confine.die_with(parent)
    cv2.setNumThreads(1)
    _import_all(resolve("backend", sys.argv[6]).libraries)
    confine.limit(float(sys.argv[5]), LARGEST, _OPEN_FILES)
    enforced = confine.give_up_files_and_network()
    wire = Wire(control, control)
    wire.send({"ready": enforced})
    try:
        Worker(wire, socket.socket(fileno=files), Buffers(memory)).serve()
    except Closed:
        return


if __name__ == "__main__":
    main()
