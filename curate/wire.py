"""Messages between a process and the child that it watches: a length in four bytes, then JSON. Never frames."""

from __future__ import annotations

import json
import os
import selectors
import struct
import time
from typing import Any

_HEADER = struct.Struct(">I")


class Closed(Exception):
    """The other side is gone."""


class Wire:
    """One side of a pair of pipes, or of a pair of sockets, whose descriptor then serves both ways."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd, self._write_fd = read_fd, write_fd
        self._buffer = bytearray()
        self._selector = selectors.DefaultSelector()
        self._selector.register(read_fd, selectors.EVENT_READ)

    def send(self, message: dict[str, Any]) -> None:
        """Send one message whole.

        Raises:
            Closed: nobody reads any more.
        """
        data = json.dumps(message, separators=(",", ":")).encode()
        view = memoryview(_HEADER.pack(len(data)) + data)
        try:
            while view:
                view = view[os.write(self._write_fd, view) :]
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error

    def receive(self, timeout_s: float | None = None) -> dict[str, Any] | None:
        """The next message; None when none came within the time.

        Raises:
            Closed: the other side ended.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            if len(self._buffer) >= _HEADER.size:
                (length,) = _HEADER.unpack_from(self._buffer)
                end = _HEADER.size + length
                if len(self._buffer) >= end:
                    message = json.loads(bytes(self._buffer[_HEADER.size : end]))
                    del self._buffer[:end]
                    return message
            remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._selector.select(remaining):
                return None
            try:
                data = os.read(self._read_fd, 1 << 16)
            except ConnectionResetError as error:  # a socket whose other side died with something unread
                raise Closed from error
            if not data:
                raise Closed
            self._buffer += data

    def close(self) -> None:
        """Close both pipes."""
        self._selector.close()
        for fd in {self._read_fd, self._write_fd}:
            try:
                os.close(fd)
            except OSError:
                continue  # closed already
