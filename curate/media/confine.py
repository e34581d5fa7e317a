"""What a process may not do once it has given it up: files, network, new privileges, core dumps, more memory or time.

Linux only; what a kernel does not offer is left out and named in the answer, so that nobody believes in it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_SYS_LANDLOCK_CREATE_RULESET, _SYS_LANDLOCK_RESTRICT_SELF = 444, 446  # the same number on every architecture
_LANDLOCK_GET_VERSION = 1
# Rights on files known to each version of Landlock, as the number of bits (linux/landlock.h).
_LANDLOCK_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_LANDLOCK_TCP_SINCE, _TCP_BIND_AND_CONNECT = 4, 3


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64)]


def die_with(parent: int) -> None:
    """Be killed when the parent ends, whatever ends it."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call above
        os._exit(0)


def limit(memory_gib: float, file_bytes: int, open_files: int) -> None:
    """Cap the process's address space, the size of a file that it writes, and its open files; no core dumps."""
    memory = int(memory_gib * 2**30)
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_NOFILE, open_files),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def limit_cpu(seconds: float) -> None:
    """Allow so many more seconds of CPU; the kernel ends the process that takes more."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime + seconds) + 1, hard))


def give_up_files_and_network() -> list[str]:
    """Open no file and reach no network from here on; the names of what this system really enforces.

    `files`: Landlock without any path. `tcp`: Landlock without any port. `network`: a network namespace of its own.
    """
    if sys.platform != "linux":
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    enforced = []
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return []
    if libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        enforced.append("network")
    version = libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, None, 0, _LANDLOCK_GET_VERSION)
    if version < 1:
        return enforced
    rights = _LANDLOCK_FILE_RIGHTS.get(version, max(_LANDLOCK_FILE_RIGHTS.values()))
    has_tcp = version >= _LANDLOCK_TCP_SINCE
    rules = _Ruleset((1 << rights) - 1, _TCP_BIND_AND_CONNECT if has_tcp else 0)
    size = ctypes.sizeof(rules) if has_tcp else ctypes.sizeof(ctypes.c_uint64)
    handle = libc.syscall(_SYS_LANDLOCK_CREATE_RULESET, ctypes.byref(rules), size, 0)
    if handle >= 0:
        if libc.syscall(_SYS_LANDLOCK_RESTRICT_SELF, handle, 0) == 0:
            enforced += ["files", "tcp"] if has_tcp else ["files"]
        os.close(handle)
    return enforced
