"""A real C project from Debian's sources: configured, built and tested inside, under `build`.

Run by: pytest. zlib, because its own test suite says in words what has passed.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from support import debian_source, faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller

pytestmark = pytest.mark.usefixtures("nothing_left")

BUILD = """
cd /src
stat -c %u:%g configure
./configure > configure.out
make -j2 > make.out
make check
make install 2> /dev/null || echo "installed nothing"
find . ! -user 1000 -o ! -group 1000
"""
VERDICTS = ("*** zlib test OK ***", "*** zlib shared test OK ***", "*** zlib 64-bit test OK ***")
MADE = ("libz.a", "libz.so", "example", "minigzip", "configure.log")


@pytest.fixture(scope="session")
def zlib(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The files of zlib's source package: one download for all workers of pytest-xdist."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    return debian_source.fetch("zlib", str(shared / "debian"))


def test_zlib_passes_its_own_tests(
    caller: Caller, hardbox: Hardbox, place: str, zlib: tuple[str, ...]
) -> None:
    files = [faults.own(caller, f"{place}/{os.path.basename(path)}", read(path)) for path in zlib]
    tree = f"{place}/zlib"
    faults.ran(caller.run("dpkg-source", "--no-check", "-x", files[0], tree, cwd=place))
    before = state(place, leave_out=tree)
    installed = {
        path: state(path) for path in ("/usr/local/lib", "/usr/local/include", "/usr/local/share/man")
    }

    done = hardbox(
        "run", "--profile", "build", "--write", f"{tree}:/src", "--", "sh", "-eu", "-c", BUILD, timeout=300
    )

    lines = faults.ran(done).splitlines()
    assert lines[0] == "1000:1000"
    assert [line.strip() for line in lines if "test OK" in line] == list(VERDICTS)
    # Nothing after this line: every file of the tree is the inside user's.
    assert lines[-1] == "installed nothing"
    for name in MADE:
        assert os.path.getsize(f"{tree}/{name}") > 0, name
    foreign = {
        name: (status.st_uid, status.st_gid, oct(status.st_mode))
        for name in ("", *faults.listing(tree))
        if (status := os.lstat(os.path.join(tree, name))).st_uid != caller.uid
        or status.st_gid != caller.gid
        or (not stat.S_ISLNK(status.st_mode) and status.st_mode & 0o6000)
    }
    assert not foreign
    assert state(place, leave_out=tree) == before
    assert {path: state(path) for path in installed} == installed
    # What came out is the caller's: it runs, and can be removed.
    said = faults.ran(caller.run(f"{tree}/example", f"{place}/example.gz", env={"LD_LIBRARY_PATH": tree}))
    assert "inflate with dictionary: hello, hello!" in said
    faults.ran(caller.run("rm", "-r", tree))


def test_lists_of_both_formats_become_lists_of_sources() -> None:
    old = "# deb http://a.example b c\n"
    old += "deb [arch=amd64] http://a.example stable main\ndeb-src http://a.example stable main\n"
    assert (
        debian_source.source_list(old, deb822=False) == "deb-src [arch=amd64] http://a.example stable main\n"
    )
    new = "Types: deb deb-src\nURIs: http://a.example\n\nTypes: deb\nURIs: http://b.example\n"
    assert debian_source.source_list(new, deb822=True) == (
        "Types: deb-src\nURIs: http://a.example\n\nTypes: deb-src\nURIs: http://b.example\n"
    )


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def state(path: str, leave_out: str = "") -> dict[str, tuple[int, ...]]:
    """Give mode, owner, size and times of everything below a path."""
    found: dict[str, tuple[int, ...]] = {}
    for folder, folders, files in os.walk(path):
        folders[:] = [name for name in folders if os.path.join(folder, name) != leave_out]
        for name in (*folders, *files, "."):
            status = os.lstat(os.path.join(folder, name))
            found[os.path.join(folder, name)] = (
                status.st_mode,
                status.st_uid,
                status.st_gid,
                status.st_size,
                status.st_mtime_ns,
                status.st_ctime_ns,
            )
    return found
