"""What the job sees and may change: --read, --write, ephemeral roots, roots of one's own.

Run by: pytest.
"""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest
from support import faults

if TYPE_CHECKING:
    from conftest import Hardbox
    from support.callers import Caller
    from support.installed import Installed

pytestmark = pytest.mark.usefixtures("nothing_left")

NAMES = (
    *("a b", "quote'\"s", "comma,comma", "back\\slash", "new\nline", "tab\tx", "naïve ☃", "-dash", "--read"),
    *("$(id)", "*", "?", "[x]", "~", "#", "%s", "\x1b[31m", ".hidden", "...", "trailing ", " leading", "="),
    *("x" * 200, "'", "{a,b}", "<>", "|", ";", "&"),
)


@pytest.fixture
def tree(caller: Caller, place: str) -> str:
    """A tree of the caller's: file, script, dir/inner, link -> file, out -> /etc/passwd."""
    folder = faults.own_dir(caller, f"{place}/tree")
    faults.own(caller, f"{folder}/file", "content\n")
    faults.own(caller, f"{folder}/script", "#!/bin/sh\necho ran\n", 0o755)
    faults.own_dir(caller, f"{folder}/dir")
    faults.own(caller, f"{folder}/dir/inner", "inner\n")
    os.symlink("file", f"{folder}/link")
    os.symlink("/etc/passwd", f"{folder}/out")
    return folder


def read(path: str) -> str:
    """Read a file outside."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def test_a_read_tree_can_be_read_and_not_changed(hardbox: Hardbox, tree: str) -> None:
    shown = ("--read", f"{tree}:/w")
    script = "cd /w && cat file dir/inner link && ./script"
    faults.ran(hardbox("run", *shown, "--", "sh", "-c", script), "content\ninner\ncontent\nran\n")
    before = faults.listing(tree)
    for attempt in (
        "echo x >/w/new",
        "echo x >/w/file",
        "echo x >>/w/file",
        "rm /w/file",
        "mv /w/file /w/other",
        "mkdir /w/d",
        "ln /w/file /w/hard",
        "ln -s x /w/soft",
        "chmod 777 /w/file",
        "touch /w/file",
        "rmdir /w/dir",
        "truncate -s 0 /w/file",
        "mv /w /x",
    ):
        assert hardbox("run", *shown, "--", "sh", "-c", attempt).returncode != 0, attempt
    assert faults.listing(tree) == before
    assert read(f"{tree}/file") == "content\n"


def test_a_link_in_a_tree_leads_to_the_jobs_own_files(hardbox: Hardbox, tree: str) -> None:
    out = faults.ran(hardbox("run", "--read", f"{tree}:/w", "--", "cat", "/w/out"))
    assert out != read("/etc/passwd")
    assert "box:x:1000" in out


def test_a_tree_appears_at_its_own_path(hardbox: Hardbox, tree: str) -> None:
    faults.ran(hardbox("run", "--read", tree, "--", "cat", f"{tree}/file"), "content\n")
    faults.ran(hardbox("run", "--write", tree, "--", "sh", "-c", f"echo new >{tree}/new"))
    assert read(f"{tree}/new") == "new\n"


def test_what_the_job_writes_belongs_to_the_trees_owner(hardbox: Hardbox, caller: Caller, tree: str) -> None:
    script = """cd /w && echo x >new && mkdir d && echo y >d/deep && ln -s new l
id -u && stat -c %u:%g . file new d"""
    out = faults.ran(hardbox("run", "--write", f"{tree}:/w", "--", "sh", "-c", script))
    assert out == "1000\n" + "1000:1000\n" * 4
    for name in ("new", "d", "d/deep", "l"):
        found = os.lstat(f"{tree}/{name}")
        assert (found.st_uid, found.st_gid) == (caller.uid, caller.gid), name
    assert stat.S_IMODE(os.stat(f"{tree}/new").st_mode) == 0o644
    assert stat.S_IMODE(os.stat(f"{tree}/d").st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own a tree as somebody else")
def test_root_writes_for_the_trees_owner(program: Installed, caller: Caller, place: str) -> None:
    if caller.uid != 0:
        return  # an ordinary caller cannot show others' trees for writing; see the test below
    tree = f"{place}/foreign"
    os.mkdir(tree)
    os.chown(tree, 12345, 23456)
    done = caller.run(program.hardbox, "run", "--write", f"{tree}:/w", "--", "sh", "-c", "echo >/w/new")
    faults.ran(done, "")
    found = os.stat(f"{tree}/new")
    assert (found.st_uid, found.st_gid) == (12345, 23456)


def test_files_of_others_stay_closed(hardbox: Hardbox, caller: Caller, place: str) -> None:
    """Root's job is not root: what the tree's owner may not read, the job may not."""
    tree = faults.own_dir(caller, f"{place}/mixed")
    secret = f"{tree}/secret"
    with open(secret, "w", encoding="utf-8") as file:
        file.write("secret")
    os.chmod(secret, 0o600)
    if os.geteuid() != 0:
        return  # needs a second owner
    os.chown(secret, 54321, 54321)
    done = hardbox("run", "--write", f"{tree}:/w", "--", "cat", "/w/secret")
    assert done.returncode != 0
    assert "secret" not in done.stdout


def test_modes_in_a_written_tree_never_carry_privilege(hardbox: Hardbox, tree: str) -> None:
    script = (
        "cp /usr/bin/id /w/id; chmod u+s /w/id; chmod g+s /w/id; chmod 4755 /w/id; mknod /w/n c 1 3; true"
    )
    hardbox("run", "--write", f"{tree}:/w", "--", "sh", "-c", script)
    assert not os.stat(f"{tree}/id").st_mode & (stat.S_ISUID | stat.S_ISGID)
    assert "n" not in faults.listing(tree)


def test_a_single_file_can_be_shown(hardbox: Hardbox, tree: str) -> None:
    faults.ran(hardbox("run", "--read", f"{tree}/file:/x/y", "--", "cat", "/x/y"), "content\n")
    assert hardbox("run", "--read", f"{tree}/file:/x/y", "--", "sh", "-c", "echo >/x/y").returncode != 0
    faults.ran(hardbox("run", "--write", f"{tree}/file:/y", "--", "sh", "-c", "echo new >/y"))
    assert read(f"{tree}/file") == "new\n"
    faults.ran(hardbox("run", "--read", f"{tree}/script:/tool", "--", "/tool"), "ran\n")


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name.encode("unicode_escape").decode()[:20])
def test_any_name_works_as_source_and_destination(
    hardbox: Hardbox, caller: Caller, place: str, name: str
) -> None:
    folder = faults.own_dir(caller, f"{place}/{name}")
    faults.own(caller, f"{folder}/f", "found\n")
    out = hardbox("run", "--read", f"{folder}:/w/{name}", "--", "cat", f"/w/{name}/f")
    faults.ran(out, "found\n")
    relative = hardbox("run", "--write", f"./{name}:/w", "--", "sh", "-c", "cat /w/f >/w/g", cwd=place)
    faults.ran(relative, "")
    assert read(f"{folder}/g") == "found\n"
    # A hostile name must not drive the reader's terminal.
    plan = faults.ran(hardbox("plan", "--read", f"{folder}:/w/{name}", "--", "true"))
    assert not faults.CONTROL.search(plan)
    steps = plan.splitlines()[1:]
    assert all(line[:4].strip().isdigit() for line in steps), [
        s for s in steps if not s[:4].strip().isdigit()
    ]


def test_bytes_that_are_no_text_work_in_paths(caller: Caller, program: Installed, place: str) -> None:
    script = """
n=$(printf 'x\\377\\376y'); mkdir "$2/$n" && echo found >"$2/$n/f"
"$1" run --read "$2/$n:/w/$n" --report "$2/r.json" -- cat "/w/$n/f"
"$1" plan --read "$2/$n:/w" -- true >/dev/null
"""
    done = faults.shell(caller, script, program.hardbox, place)
    faults.ran(done, "found\n")
    assert faults.read_json(f"{place}/r.json")["exit_code"] == 0


def test_a_colon_in_a_source_is_refused(hardbox: Hardbox, caller: Caller, place: str) -> None:
    """It parts source and destination; what is meant must not be guessed."""
    folder = faults.own_dir(caller, f"{place}/a:b")
    faults.own(caller, f"{folder}/f", "found\n")
    for words in (folder, f"{folder}:/w"):
        faults.refusal(hardbox("run", "--read", words, "--", "true"), "HB008", says="colon")
    done = hardbox("run", "--read", f"{place}:/w", "--", "cat", "/w/a:b/f")
    faults.ran(done, "found\n")


def test_symlinked_sources_are_refused_and_their_ends_named(hardbox: Hardbox, tree: str, place: str) -> None:
    """An earlier job may have put the symlink there, to lead this one elsewhere."""
    os.symlink(tree, f"{place}/link")
    os.symlink("link", f"{place}/second")
    for flag in ("--read", "--write"):
        for name in (
            "link",
            "second",
            "link/",
            "link/dir",
            "./link",
            "../" + os.path.basename(place) + "/link",
        ):
            done = hardbox("run", flag, f"{place}/{name}:/w", "--", "true")
            faults.refusal(done, "HB225", says=tree)
        faults.refusal(hardbox("run", flag, f"{place}/link/..:/w", "--", "true"), "HB008", says="symlink")
    faults.ran(hardbox("run", "--read", f"{tree}:/w", "--", "cat", "/w/file"), "content\n")
    # One inside a shown tree leads nowhere but inside it.
    faults.ran(hardbox("run", "--read", f"{tree}:/w", "--", "cat", "/w/link"), "content\n")
    for name, target in (("circle", "circle"), ("shadow", "/etc/shadow"), ("root", "/")):
        os.symlink(target, f"{place}/{name}")
        faults.refusal(hardbox("run", "--read", f"{place}/{name}:/w", "--", "true"))


def test_a_read_tree_inside_a_written_one_stays_read_only(hardbox: Hardbox, tree: str) -> None:
    words = ("--write", f"{tree}:/w", "--read", f"{tree}/dir:/w/dir")
    for order in (words, words[2:] + words[:2]):
        script = "echo x >/w/new; echo x >/w/dir/no && exit 9; cat /w/dir/inner"
        done = hardbox("run", *order, "--", "sh", "-c", script)
        assert done.returncode == 0, (order, done)
        assert done.stdout == "inner\n"
    assert "new" in faults.listing(tree)
    assert "dir/no" not in faults.listing(tree)


def test_a_written_tree_inside_a_read_one_is_writable(hardbox: Hardbox, tree: str) -> None:
    words = ("--read", f"{tree}:/w", "--write", f"{tree}/dir:/w/dir")
    for order in (words, words[2:] + words[:2]):
        script = "echo x >/w/dir/new; echo x >/w/no && exit 9; rm /w/dir/new"
        done = hardbox("run", *order, "--", "sh", "-c", script)
        assert done.returncode == 0, (order, done)
    assert "no" not in faults.listing(tree)


def test_the_same_destination_twice_is_refused_or_the_same(
    hardbox: Hardbox, caller: Caller, tree: str, place: str
) -> None:
    other = faults.own_dir(caller, f"{place}/other")
    faults.refusal(hardbox("run", "--read", f"{tree}:/w", "--read", f"{other}:/w", "--", "true"))
    faults.refusal(hardbox("run", "--read", f"{tree}:/w", "--write", f"{other}:/w", "--", "true"))
    faults.refusal(hardbox("run", "--read", f"{tree}/file:/w", "--read", f"{other}:/w/deep", "--", "true"))
    faults.ran(hardbox("run", "--read", f"{tree}:/w", "--read", f"{tree}:/w", "--", "cat", "/w/file"))


@pytest.mark.parametrize(
    "dest", ["/new/deep/er/place", "/srv/x", "/opt/tool", "/home/box/in", "/tmp/in", "/var/tmp/x"]
)
def test_missing_parents_of_a_destination_are_made(hardbox: Hardbox, tree: str, dest: str) -> None:
    faults.ran(hardbox("run", "--read", f"{tree}:{dest}", "--", "cat", f"{dest}/file"), "content\n")
    faults.ran(hardbox("run", "--read", f"{tree}/file:{dest}", "--", "cat", dest), "content\n")


@pytest.mark.parametrize(
    "dest",
    [
        *(
            "/usr",
            "/usr/bin",
            "/usr/nowhere/x",
            "/etc",
            "/etc/passwd",
            "/proc",
            "/proc/1",
            "/dev",
            "/dev/null",
        ),
        *("/bin/x", "/lib", "/", "/dev/shm/../x", "//w", "/w/", "/w/../x", "/w/./x"),
    ],
)
def test_a_destination_that_hardbox_builds_itself_is_refused(hardbox: Hardbox, tree: str, dest: str) -> None:
    faults.refusal(hardbox("run", "--read", f"{tree}:{dest}", "--", "cat", "/etc/passwd"))


def test_sources_that_are_no_file_are_refused(hardbox: Hardbox, caller: Caller, place: str) -> None:
    os.mkfifo(f"{place}/fifo")
    os.chown(f"{place}/fifo", caller.uid, caller.gid)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{place}/socket")
    os.chown(f"{place}/socket", caller.uid, caller.gid)
    rows = (f"{place}/fifo", f"{place}/socket", f"{place}/missing", "/dev/null", "/dev/tty", "/dev/kmsg")
    for source in rows:
        for flag in ("--read", "--write"):
            faults.refusal(hardbox("run", flag, f"{source}:/w", "--", "true"))


def test_a_tree_that_the_caller_may_not_reach_is_refused(
    hardbox: Hardbox, caller: Caller, place: str
) -> None:
    if caller.uid == 0:
        return  # root reaches everything
    os.mkdir(f"{place}/shut", 0o700)
    os.mkdir(f"{place}/shut/inner")
    if os.geteuid() != 0:
        os.chmod(f"{place}/shut", 0)  # it is the caller's own
    for source in (f"{place}/shut/inner", f"{place}/shut/inner/x"):
        faults.refusal(hardbox("run", "--read", f"{source}:/w", "--", "true"))
