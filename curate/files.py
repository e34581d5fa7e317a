"""Opening what a location names: local files by the operating system, everything else by fsspec.

A local name never goes through fsspec, whose syntax (`a::b`, `[..]`, `~`) is legal in file names. A url is local when
it starts with `file://`, or when it has no scheme. `file://` urls are not percent-decoded: `file:///a/b%20c.mp4` is the
file `b%20c.mp4`, as in fsspec, so that prefix and path always give the path back.
"""

from __future__ import annotations

import os
import re
import stat
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from curate.errors import InputRejected, RushesError

_FILE_SCHEME = "file://"
# `s3://bucket/key`, and fsspec's chains, which may start without `//`: `simplecache::https://host/a.mp4`.
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(://|::.*://)", re.DOTALL)


def is_local(url: str) -> bool:
    """Whether a url or path names a file of this machine's file systems."""
    return url.startswith(_FILE_SCHEME) or _REMOTE.match(url) is None


def local_path(url: str) -> str:
    """The path that a local url names, for the operating system."""
    return url.removeprefix(_FILE_SCHEME)


def file_url(path: str) -> str:
    """The url of an absolute local path."""
    return _FILE_SCHEME + path


def absolute_path(url: str) -> str:
    """A local path or url as an absolute path: `~` is the home folder; `..` stays, since it follows links."""
    return str(Path(os.path.expanduser(local_path(url))).absolute())


def open_url(url: str) -> BinaryIO:
    """Open a file for reading bytes; the caller closes it. It can seek when its file system can.

    Raises:
        InputRejected: `source:missing`, `source:not_a_file`, or `source:unreadable` with the reason in one sentence.
    """
    with rejecting(url):
        if is_local(url):
            # Without O_NONBLOCK a pipe without a writer would be waited for, for ever.
            handle = os.open(local_path(url), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                _check_regular(os.fstat(handle))
            except InputRejected:
                os.close(handle)
                raise
            return os.fdopen(handle, "rb")
        file_system, plain = remote(url)
        file = cast("BinaryIO", file_system.open(plain, "rb"))
        # An archive's file system closes the archive when it is collected: it must outlive its files.
        weakref.finalize(file, id, file_system).atexit = False
        return file


def stat_url(url: str) -> tuple[int, str]:
    """Size in bytes, and a stamp that changes when the file is written again ("" where there is none to be had).

    Raises:
        InputRejected: `source:missing`, `source:not_a_file`, or `source:unreadable`.
    """
    with rejecting(url):
        if is_local(url):
            facts = os.stat(local_path(url))
            _check_regular(facts)
            return facts.st_size, str(facts.st_mtime_ns)
        file_system, plain = remote(url)
        info = file_system.info(plain)
    if info["type"] != "file":
        raise InputRejected("source:not_a_file", f"the path is a {info['type']}")
    stamps = (info.get(name) for name in ("mtime", "LastModified", "ETag", "created"))
    # A file system that does not tell a size (some web servers) gives -1: such a file is hashed every time.
    size = info.get("size")
    return (-1, "") if size is None else (int(size), str(next((s for s in stamps if s), "")))


def _check_regular(facts: os.stat_result) -> None:
    """InputRejected for a folder, device, pipe or socket."""
    if not stat.S_ISREG(facts.st_mode):
        kind = "directory" if stat.S_ISDIR(facts.st_mode) else "device, pipe or socket"
        raise InputRejected("source:not_a_file", f"the path is a {kind}")


def remote(url: str) -> tuple[Any, str]:
    """The fsspec file system of a url that is not local, and the path on it."""
    import fsspec.core

    return fsspec.core.url_to_fs(url)


def remote_url(file_system: Any, plain: str, asked: str) -> str:
    """The url of a path that a listing of `asked` gave, in the chain that `asked` is (`zip://*::s3://b/a.zip`)."""
    url = file_system.unstrip_protocol(plain)
    first, mark, rest = asked.partition("::")
    if not mark:
        return url
    return f"{url}{mark}{rest}" if "://" in first else f"{first}{mark}{url}"


@contextmanager
def rejecting(url: str) -> Iterator[None]:
    """Every error of reading this one file becomes an InputRejected, so that it stops no other file."""
    try:
        yield
    except RushesError:
        raise
    except FileNotFoundError as error:
        raise InputRejected("source:missing", "the path does not exist") from error
    except (OSError, ValueError, ImportError) as error:  # unknown scheme, NUL in a path, s3:// without its library
        raise InputRejected("source:unreadable", str(error) or type(error).__name__) from error
    except Exception as error:
        if is_local(url):
            raise
        # The client libraries of object stores raise trees of their own.
        raise InputRejected("source:unreadable", f"{type(error).__name__}: {error}") from error
