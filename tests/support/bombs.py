"""Ways to take memory, each until it has far more than a small limit.

Run by: tests/system, as `python3 -c SOURCE KIND MIB`, outside (the control) and inside. A bomb ends
with "took" on its output and status 0; memory is touched, so that it is really taken.
"""

from __future__ import annotations

from typing import Final

# Kinds, by whether the supervisor's watch counts them (docs/limits.md); "anonymous" is one process's
# private memory, which its own limit ends before the total is reached.
WATCHED: Final = ("forks", "shared", "memfd-mapped", "shm-mapped")
NOT_WATCHED: Final = ("memfd", "shm", "scratch", "pipes", "sockets")
SOURCE: Final = r"""
import ctypes, fcntl, mmap, os, signal, socket, sys, time
kind, mib = sys.argv[1], int(sys.argv[2])
MIB = 1 << 20
block = bytes(MIB)
kept = []

def touch(area):
    for at in range(0, len(area), 4096):
        area[at] = 1
    kept.append(area)

def fill(fd):
    os.set_blocking(fd, False)
    try:
        while True:
            os.write(fd, block[:65536])
    except BlockingIOError:
        pass

if kind == "anonymous":
    for _ in range(mib):
        touch(mmap.mmap(-1, MIB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
elif kind == "forks":
    # Many small ones: none is near the limit. Each says when it has its part.
    if os.getpgid(0) != os.getpid():
        os.setpgid(0, 0)
    read, write = os.pipe()
    count = mib // 8
    for _ in range(count):
        if os.fork() == 0:
            area = bytearray(8 * MIB)
            touch(area)
            os.write(write, b"x")
            time.sleep(60)
            os._exit(0)
    for _ in range(count):
        os.read(read, 1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3)
    print("took", flush=True)
    os.killpg(0, signal.SIGTERM)
    os._exit(0)
elif kind == "shared":
    touch(mmap.mmap(-1, mib * MIB))
elif kind in ("memfd", "memfd-mapped"):
    for _ in range(mib // 16):
        fd = os.memfd_create("bomb")
        if kind == "memfd":
            for _ in range(16):
                os.write(fd, block)
        else:
            os.ftruncate(fd, 16 * MIB)
            touch(mmap.mmap(fd, 16 * MIB))
elif kind in ("shm", "shm-mapped"):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    numbers = []
    failed = ""
    while len(numbers) < mib // 16 and not failed:
        number = libc.shmget(0, ctypes.c_size_t(16 * MIB), 0o1600)
        if number < 0:
            failed = "shmget: " + os.strerror(ctypes.get_errno())
            break
        numbers.append(number)
        at = libc.shmat(number, None, 0)
        if at is None or at == ctypes.c_void_p(-1).value:
            failed = "shmat: " + os.strerror(ctypes.get_errno())
            break
        ctypes.memset(at, 1, 16 * MIB)
        if kind == "shm":
            libc.shmdt(ctypes.c_void_p(at))
    # Outside nobody else would: no namespace of its own ends with it.
    for number in numbers:
        libc.shmctl(number, 0, None)  # IPC_RMID
    if failed:
        sys.exit(failed)
elif kind == "scratch":
    for number in range(mib // 16):
        folder = ("/tmp", "/home/box")[number % 2]
        with open(f"{folder}/bomb-{number}", "wb", buffering=0) as file:
            for _ in range(16):
                file.write(block)
elif kind == "pipes":
    while mib > 0:
        read, write = os.pipe()
        size = 65536
        for wanted in (MIB, 65536):
            try:
                size = fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, wanted)
                break
            except OSError:
                pass
        fill(write)
        kept.append((read, write))
        mib -= size / MIB
elif kind == "sockets":
    for _ in range(mib * 2):
        pair = socket.socketpair()
        for end in pair:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MIB)
            fill(end.fileno())
        kept.append(pair)
time.sleep(0.5)
print("took", flush=True)
os._exit(0)
"""
