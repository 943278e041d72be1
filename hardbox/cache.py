"""The cache of compiled filters and sealed plans.

Run by: filters/__init__.py and seals.py. An entry must never weaken a run: it counts only if
the folder and the file belong to the caller, nobody else can write them, no symbolic link is
involved, and the entry carries the digest of its key and bytes. Anything else is as if there were
no entry. The folder itself must not be shown writable to a job (HostFacts.own_paths).
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Final

_MAGIC: Final = b"hardbox-filter/1\n"
_MOST_BYTES: Final = 1 << 16
MOST_ENTRIES: Final = 512


def cache_folder() -> str:
    """Give the folder's absolute path; "" if there is none: neither HOME nor XDG_CACHE_HOME."""
    if os.geteuid() == 0:
        return "/var/cache/hardbox"
    base = os.environ.get("XDG_CACHE_HOME", "")
    if base.startswith("/"):
        return os.path.join(base, "hardbox")
    home = os.environ.get("HOME", "")
    return os.path.join(home, ".cache", "hardbox") if home.startswith("/") else ""


def get(key: str) -> bytes | None:
    """Give the entry's bytes, None if there is no entry that can be trusted."""
    folder = _open_folder(cache_folder())
    if folder is None:
        return None
    try:
        file = os.open(key, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    finally:
        os.close(folder)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or not _own(found):
            return None
        raw = os.read(file, _MOST_BYTES)
    except OSError:
        return None
    finally:
        os.close(file)
    head = len(_MAGIC) + 64
    if not raw.startswith(_MAGIC) or raw[len(_MAGIC) : head] != _seal(key, raw[head:]):
        return None
    return raw[head:]


def put(key: str, content: bytes) -> None:
    """Keep an entry for `get`. That it cannot be kept is no error."""
    if len(content) + 128 <= _MOST_BYTES:
        store(key, _MAGIC + _seal(key, content) + content)


def store(name: str, content: bytes) -> str:
    """Keep a file in the folder as it is; give its path.

    A full disk, a foreign folder or no folder at all is no error: then nothing is kept, and "" given.
    """
    path = cache_folder()
    if not path:
        return ""
    temporary = f".{name}.{os.getpid()}"
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        folder = _open_folder(path)
        if folder is None:
            return ""
        try:
            _trim(folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(temporary, flags, 0o600, dir_fd=folder)
            try:
                whole = os.write(file, content) == len(content)
            finally:
                os.close(file)
            if not whole:
                os.unlink(temporary, dir_fd=folder)
                return ""
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            os.close(folder)
    except OSError:
        return ""
    return os.path.join(path, name)


def _open_folder(path: str) -> int | None:
    if not path:
        return None
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    if _own(os.fstat(folder)):
        return folder
    os.close(folder)
    return None


def _own(found: os.stat_result) -> bool:
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _seal(key: str, content: bytes) -> bytes:
    # The key is part of it: an entry that is moved to the name of a stricter filter is no entry.
    return hashlib.sha256(key.encode() + b"\n" + content).hexdigest().encode()


def names() -> tuple[str, ...]:
    """Name what the folder holds; empty if there is none that can be trusted."""
    folder = _open_folder(cache_folder())
    if folder is None:
        return ()
    try:
        return tuple(sorted(os.listdir(folder)))
    finally:
        os.close(folder)


def clear() -> int:
    """Remove every file of the folder; gives how many. Raises OSError."""
    folder = _open_folder(cache_folder())
    if folder is None:
        return 0
    try:
        return _empty(folder)
    finally:
        os.close(folder)


def _trim(folder: int) -> None:
    if len(os.listdir(folder)) >= MOST_ENTRIES:
        _empty(folder)


def _empty(folder: int) -> int:
    found = os.listdir(folder)
    for name in found:
        os.unlink(name, dir_fd=folder)
    return len(found)
