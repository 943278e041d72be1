"""Files in memory: how one process of ours hands another its bytes, without a pipe that may block.

Run by: engines/namespaces.py, engines/keeper.py, verify/engine.py.
"""

from __future__ import annotations

import os


def memory_file(name: str, data: bytes) -> int:
    """Give a descriptor, closed on exec, of a memory file (memfd_create(2)) that is read from its start.

    name: for /proc alone. Raises OSError, and leaves nothing open then.
    """
    memory = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(memory, view) :]
        os.lseek(memory, 0, os.SEEK_SET)
    except BaseException:
        os.close(memory)
        raise
    return memory
