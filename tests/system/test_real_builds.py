"""Builds and tests under `build`: what has been compiled runs, in a tree that the caller keeps.

Run by: pytest. `build`, because `strict` executes nothing that the job wrote.
"""

from __future__ import annotations

import os
import shutil
import stat
from importlib import metadata
from typing import TYPE_CHECKING

import pytest
from support import faults

if TYPE_CHECKING:
    import subprocess

    from conftest import Hardbox
    from support.callers import Caller

pytestmark = pytest.mark.usefixtures("nothing_left")

MAIN_C = r"""
#include <pthread.h>
#include <stdio.h>
int one(void);
int two(void);
static void *thread(void *x) { return x; }
int main(void)
{
	pthread_t t;
	if (pthread_create(&t, NULL, thread, NULL) != 0 || pthread_join(t, NULL) != 0)
		return 1;
	printf("made %d\n", one() + two());
	return 0;
}
"""
MAKEFILE = """
CFLAGS = -O2 -g -Wall -pthread
program: main.o one.o two.o
\t$(CC) $(CFLAGS) -o $@ $^
%.o: %.c
\t@echo compiling $<
\t$(CC) $(CFLAGS) -c -o $@ $<
check: program
\t./program
clean:
\trm -f program *.o
.PHONY: check clean
"""
MULTIPROCESSING = """
import multiprocessing, os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.shared_memory import SharedMemory

def square(n):
    return n * n

if __name__ == "__main__":
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        with context.Pool(3) as pool:
            print(method, pool.map(square, range(5)))
    with ProcessPoolExecutor(2) as executor:
        print(sum(executor.map(square, range(100))))
    queue = multiprocessing.Queue()
    child = multiprocessing.Process(target=queue.put, args=("from a child",))
    child.start()
    print(queue.get())
    child.join()
    memory = SharedMemory(create=True, size=100)
    memory.buf[0] = 7
    print(memory.buf[0], os.listdir("/dev/shm") != [])
    memory.close()
    memory.unlink()
    with multiprocessing.Manager() as manager:
        print(manager.dict(a=1).copy())
"""
MULTIPROCESSING_SAYS = """\
fork [0, 1, 4, 9, 16]
spawn [0, 1, 4, 9, 16]
forkserver [0, 1, 4, 9, 16]
328350
from a child
7 True
{'a': 1}
"""
TESTS = """
import subprocess, threading
import pytest
from package import add

@pytest.mark.parametrize("n", range(20))
def test_add(n, tmp_path):
    (tmp_path / "x").write_text(str(n))
    assert add(n, 1) == n + 1

def test_child(capfd, monkeypatch):
    monkeypatch.setenv("A", "b")
    subprocess.run(["sh", "-c", "echo $A"], check=True)
    assert capfd.readouterr().out == "b\\n"

@pytest.mark.xfail(strict=True)
def test_fails():
    assert add(1, 1) == 3
"""


@pytest.fixture
def project(caller: Caller, place: str) -> str:
    """A small C project of the caller's."""
    tree = faults.own_dir(caller, f"{place}/project")
    faults.own(caller, f"{tree}/main.c", MAIN_C)
    faults.own(caller, f"{tree}/one.c", "int one(void) { return 40; }\n")
    faults.own(caller, f"{tree}/two.c", "int two(void) { return 2; }\n")
    faults.own(caller, f"{tree}/Makefile", MAKEFILE)
    return tree


def in_tree(hardbox: Hardbox, tree: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a tree that it may change."""
    return hardbox("run", "--profile", "build", "--write", f"{tree}:/tree", "--workdir", "/tree", "--", *argv)


def test_gcc_compiles_and_its_program_runs(hardbox: Hardbox) -> None:
    script = r"""
    cd /tmp
    printf '#include <stdio.h>\nint main(int c, char **v) { puts(v[1]); return c; }\n' > a.c
    gcc -O2 -g -Wall -Werror -o a a.c
    gcc -O2 -flto -static -o b a.c
    gcc -shared -fPIC -x c - -o libc1.so <<< 'int answer(void) { return 42; }'
    ./a run || echo "status $?"; ./b static || echo "status $?"
    python3 -c 'import ctypes; print(ctypes.CDLL("/tmp/libc1.so").answer())'
    """
    done = hardbox("run", "--profile", "build", "--", "bash", "-eu", "-c", script)
    faults.ran(done, "run\nstatus 2\nstatic\nstatus 2\n42\n")


def test_make_in_parallel(caller: Caller, hardbox: Hardbox, project: str) -> None:
    said = faults.ran(in_tree(hardbox, project, "make", "-j2", "check"))
    assert said.splitlines()[-1] == "made 42"
    for name in faults.listing(project):
        status = os.lstat(f"{project}/{name}")
        assert (status.st_uid, status.st_gid) == (caller.uid, caller.gid), name
    # It is the caller's to run, and up to date inside as well: times are the same.
    assert faults.ran(caller.run(f"{project}/program")) == "made 42\n"
    faults.ran(in_tree(hardbox, project, "make", "check"), "./program\nmade 42\n")
    faults.ran(in_tree(hardbox, project, "make", "-s", "clean"))
    assert faults.listing(project) == {"Makefile", "main.c", "one.c", "two.c"}


def test_write_of_the_working_directory_as_people_type_it(hardbox: Hardbox, project: str) -> None:
    # As the profile's own comment says; the tests stand below /tmp, which is scratch inside.
    script = "pwd; make -s check | tail -1"
    done = hardbox("run", "--profile", "build", "--write", ".", "--", "sh", "-c", script, cwd=project)
    faults.ran(done, f"{project}\nmade 42\n")
    assert os.access(f"{project}/program", os.X_OK)


def test_a_read_only_part_of_a_writable_tree(caller: Caller, hardbox: Hardbox, project: str) -> None:
    faults.own_dir(caller, f"{project}/vendor")
    faults.own(caller, f"{project}/vendor/two.c", "int two(void) { return 2; }\n")
    script = """
    make -s check CPPFLAGS=-Ivendor
    for file in vendor/two.c vendor/new; do echo x >> $file || echo "not $file"; done 2> /dev/null
    rm -rf vendor 2> /dev/null || echo "not removed"
    """
    trees = ("--write", project, "--read", f"{project}/vendor")
    done = hardbox("run", "--profile", "build", *trees, "--", "sh", "-c", script, cwd=project)
    assert faults.ran(done).splitlines()[-4:] == [
        "made 42",
        "not vendor/two.c",
        "not vendor/new",
        "not removed",
    ]
    assert faults.listing(f"{project}/vendor") == {"two.c"}


def test_sources_shown_read_only_and_built_elsewhere(hardbox: Hardbox, caller: Caller, project: str) -> None:
    out = faults.own_dir(caller, f"{os.path.dirname(project)}/out")
    before = faults.listing(project)
    script = "gcc -pthread -o /out/program /src/*.c && /out/program && touch /src/new"
    trees = ("--read", f"{project}:/src", "--write", f"{out}:/out")
    done = hardbox("run", "--profile", "build", *trees, "--", "sh", "-c", script)
    faults.ran(done, "made 42\n", status=1)
    assert "Read-only file system" in done.stderr
    assert (faults.listing(project), faults.listing(out)) == (before, {"program"})


def test_output_belongs_to_the_owner_of_the_tree(caller: Caller, hardbox: Hardbox, project: str) -> None:
    # Root may build in a tree of somebody else's, who can clean it up afterwards.
    owner = caller.uid or 12345
    for name in ("", *faults.listing(project)):
        os.chown(os.path.join(project, name), owner, owner if caller.uid == 0 else caller.gid)
    assert faults.ran(in_tree(hardbox, project, "make", "-s", "check")).endswith("made 42\n")
    assert "program" in faults.listing(project)
    assert {os.lstat(f"{project}/{name}").st_uid for name in faults.listing(project)} == {owner}


def test_nothing_is_installed_outside_of_the_tree(hardbox: Hardbox, project: str) -> None:
    places = ("/usr/local/bin", "/usr/bin", "/usr/lib", "/etc", "", "/home")
    script = """
    make -s > /dev/null
    for where in "$@"; do
        cp program $where/hardbox-test-program 2> /dev/null && echo "wrote $where"
    done
    echo end
    """
    faults.ran(in_tree(hardbox, project, "sh", "-c", script, "sh", *places), "end\n")
    assert not [where for where in places if os.path.lexists(f"{where}/hardbox-test-program")]


def test_a_set_user_id_program_cannot_be_installed(hardbox: Hardbox, project: str) -> None:
    script = """
    make -s > /dev/null
    install -m 4755 program su 2> /dev/null && echo installed
    chmod u+s program 2> /dev/null && echo set
    make -s check
    """
    faults.ran(in_tree(hardbox, project, "sh", "-c", script), "made 42\n")
    modes = [os.lstat(f"{project}/{name}").st_mode for name in faults.listing(project)]
    assert not any(mode & (stat.S_ISUID | stat.S_ISGID) for mode in modes)


def test_python_multiprocessing(caller: Caller, hardbox: Hardbox, place: str) -> None:
    # From a file: spawn and forkserver import it again.
    script = faults.own(caller, f"{place}/many.py", MULTIPROCESSING)
    done = hardbox("run", "--profile", "build", "--read", f"{script}:/many.py", "--", "python3", "/many.py")
    faults.ran(done, MULTIPROCESSING_SAYS)


@pytest.fixture(scope="module")
def pytest_copy(base: str) -> str:
    """The tests' own pytest, and what it imports, where every caller can read it."""
    target = os.path.join(base, "pytest-packages")
    if not os.path.isdir(target):
        os.mkdir(target, 0o755)
        for name in ("pytest", "pluggy", "iniconfig", "packaging", "pygments"):
            _copy_distribution(name, target)
    return target


def _copy_distribution(name: str, target: str) -> None:
    for file in metadata.distribution(name).files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            path = os.path.join(target, file)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            shutil.copyfile(str(file.locate()), path)


@pytest.mark.parametrize("profile", ["strict", "build"])
def test_pytest_of_a_small_package(
    caller: Caller, hardbox: Hardbox, place: str, pytest_copy: str, profile: str
) -> None:
    # Interpreted code runs under strict as well; build may leave its cache in the tree.
    tree = faults.own_dir(caller, f"{place}/tree")
    faults.own_dir(caller, f"{tree}/package")
    faults.own(caller, f"{tree}/package/__init__.py", "def add(a, b):\n    return a + b\n")
    faults.own(caller, f"{tree}/test_package.py", TESTS)
    before = faults.listing(tree)
    done = hardbox(
        "run",
        "--profile",
        profile,
        "--write" if profile == "build" else "--read",
        f"{tree}:/tree",
        "--read",
        f"{pytest_copy}:/pytest",
        "--env",
        "PYTHONPATH=/pytest:/tree",
        "--workdir",
        "/tree",
        "--",
        "python3",
        "-m",
        "pytest",
        "-q",
        *(() if profile == "build" else ("-p", "no:cacheprovider")),
    )
    assert "21 passed, 1 xfailed" in faults.ran(done), done.stderr
    assert (faults.listing(tree) == before) == (profile == "strict")
