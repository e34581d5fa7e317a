"""Trains with several processes on this machine: `python -m trainer.launch --ranks 2 --dataset D --out O --config C`.

The processes are `python -m trainer.train` in the environment that torchrun would set, on loopback. torchrun itself is
not used: its own traceback and its exit code 1 would stand in the place of the error of the rank that failed.

To its caller it is as `trainer.train` is: a signal is passed on to every rank once, they save a checkpoint and end; the
last line on stderr is the error of the rank that failed first, and its exit code is ours. On Linux the ranks end with
this process, however it ends.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from types import FrameType

from curate.errors import RushesError
from trainer.stopping import Request

# How long the others may take once one has failed. On CPU they notice it at once; on GPUs they may wait for ever.
_GRACE_S = 30.0
_POLL_S = 0.05
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass
class Rank:
    """One process, and what it said last: its error, if it failed on purpose."""

    number: int
    process: subprocess.Popen[str]
    last: str = ""
    reader: threading.Thread | None = None
    killed: bool = False  # by us

    def relay(self) -> None:
        """Pass its stderr on until it closes; errors are held back, since one of them is the first."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.last = line.strip() or self.last
            if not line.startswith("error: "):
                sys.stderr.write(line)
                sys.stderr.flush()

    @property
    def lost_others(self) -> bool:
        """Whether it says that another one is gone, which will know better why."""
        return ": ranks:lost: " in self.last


class Launch:
    """The ranks of one run, from their start to their end."""

    def __init__(self, count: int, threads: int, arguments: list[str]) -> None:
        place = environment(count, threads)
        self.signal: int | None = None
        self._request = Request()
        self._before: dict[int, object] = {}
        self.failed: list[Rank] = []  # in the order in which they were seen to have failed
        self.ranks: list[Rank] = []
        try:
            for number in range(count):
                self.ranks.append(Rank(number, _start(number, place, arguments)))
        except OSError:
            self.kill()
            raise
        for rank in self.ranks:  # threads start after all processes: what ties these to us must run in a fork
            rank.reader = threading.Thread(target=rank.relay, daemon=True)
            rank.reader.start()

    def wait(self) -> None:
        """Return when every rank has ended; those that do not end after a failure are killed."""
        deadline = None
        running = list(self.ranks)
        while running:
            for rank in list(running):
                code = rank.process.poll()
                if code is None:
                    continue
                running.remove(rank)
                if code and rank.reader is not None:
                    rank.reader.join()
                    self.failed.append(rank)
            if self.failed and deadline is None:
                deadline = time.monotonic() + _GRACE_S
            if running and deadline is not None and time.monotonic() > deadline:
                self.kill()
            time.sleep(_POLL_S)
        for rank in self.ranks:
            if rank.reader is not None:
                rank.reader.join()

    def kill(self) -> None:
        """End what still runs, by its id."""
        for rank in self.ranks:
            if rank.process.poll() is None:
                rank.killed = True
                rank.process.kill()
                rank.process.wait()

    def end(self) -> tuple[int, str]:
        """Return the exit code and the error to show last, or nothing."""
        if self.signal is not None and all(self._stopped(rank) or rank.lost_others for rank in self.failed):
            return 128 + self.signal, ""
        if not self.failed:
            return 0, ""
        first = min(self.failed, key=lambda rank: (rank.killed, rank.lost_others, self.failed.index(rank)))
        code = first.process.returncode
        if code < 0:
            return RushesError.exit_code, f"error: rank {first.number}: ended by {signal.Signals(-code).name}"
        return code, first.last

    def _stopped(self, rank: Rank) -> bool:
        assert self.signal is not None
        return rank.process.returncode in (128 + self.signal, -self.signal)

    def __enter__(self) -> Launch:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._pass_on)
        return self

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        """Tell every rank; a second request has the signal's usual effect."""
        if self._request.again():
            signal.signal(number, self._before[number])  # type: ignore[arg-type]
            signal.raise_signal(number)
        if self.signal is not None:
            return  # an echo
        self.signal = number
        for rank in self.ranks:
            if rank.process.poll() is None:
                rank.process.send_signal(number)

    def __exit__(self, *exc: object) -> None:
        self.kill()
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]


def environment(count: int, threads: int) -> dict[str, str]:
    """Return what torchrun would set for every rank of a machine; what is set already is kept, but for the place."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    usual = {"OMP_NUM_THREADS": str(threads)}
    if sys.platform == "linux":
        usual |= {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return {**usual, **os.environ, **place, "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count)}


def _start(number: int, place: dict[str, str], arguments: list[str]) -> subprocess.Popen[str]:
    """Start a rank in a session of its own: a terminal's Ctrl-C reaches it through us, once."""
    parent = os.getpid()

    def tied() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it ended before the call above
                os._exit(1)

    return subprocess.Popen(
        [sys.executable, "-m", "trainer.train", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=tied,
        env={**place, "RANK": str(number), "LOCAL_RANK": str(number)},
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code of the rank that failed first, 128 + a signal that was passed on."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ranks", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1, help="of each rank, unless OMP_NUM_THREADS is set")
    args, arguments = parser.parse_known_args(argv)
    with Launch(args.ranks, args.threads, arguments) as launch:
        launch.wait()
    code, error = launch.end()
    if error:
        print(error, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
