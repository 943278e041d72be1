"""A: the view of files.

Run by: hardbox/verify/corpus/__init__.py; data only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.verify.check import CALLER, EMPTY, FILTERED, HIDDEN, ROOT, SHUT, THROWAWAY, Check

if TYPE_CHECKING:
    from hardbox.verify.check import Facts

# What may stand in the root of a strict sandbox.
_EXPECTED: Final = frozenset(
    {"bin", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "probe", "proc", "run", "sbin", "srv"}
    | {"tmp", "usr", "var"}
)


def _strange_names(text: str, _facts: Facts) -> str:
    strange = set(text.split()) - _EXPECTED
    return f"also in the root: {sorted(strange)}" if strange else ""


def _host_root(text: str, facts: Facts) -> str:
    """Find a mount of a host's whole file system, or of a place where the old root may hang."""
    for line in text.splitlines():
        words = line.split()
        kind, root, point = words[words.index("-") + 1], words[3], words[4]
        if root == "/" and kind in ("ext4", "xfs", "btrfs", "overlay", "f2fs", "zfs"):
            return f"a whole file system of the host at {point}"
        if "old" in point or facts.places["base"] in point:
            return f"mounted: {point}"
    return ""


def elevated(text: str, _facts: Facts) -> str:
    """Find an id 0 or a capability in what `ids` printed."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name in ("Uid", "Gid") and "0" in value.split():
            return line
        if name in ("CapPrm", "CapEff", "CapAmb") and int(value, 16):
            return line
    return ""


_TREES: Final = ("tmp", "home", "var", "shm")
_BIG: Final = ("/root", "/boot", "/home", "/mnt", "/opt", "/media", "/sys", "/run", "/var/lib", "/var/log")
_WRITE_INTO: Final = (
    *("/", "/etc", "/usr", "/usr/bin", "/usr/lib", "/bin", "/sbin", "/lib", "/lib64", "/var", "/boot"),
    *("/dev", "/dev/pts", "/proc", "/sys", "/srv", "/home", "/probe", "/root", "/run"),
)
_NO_EXEC_IN: Final = ("/tmp", "/home/box", "/var/tmp", "/dev/shm", "/run")

CHECKS: Final = (
    *(
        Check(
            f"A1-read-{tree}",
            "read a world-readable file of the host that the job was not shown",
            ("read", f"{{secret_{tree}}}"),
            HIDDEN,
            "jailcheck read test",
        )
        for tree in _TREES
    ),
    *(
        Check(
            f"A1-write-{tree}",
            "write to a world-writable file of the host",
            ("write", f"{{victim_{tree}}}", "harmed"),
            HIDDEN,
            "jailcheck",
        )
        for tree in _TREES
    ),
    *(
        Check(
            f"A1-create-{tree}",
            "create a file in a world-writable directory of the host",
            ("open", f"{{folder_{tree}}}/new", "wr,creat"),
            HIDDEN | {"EROFS"},
            "jailcheck",
        )
        for tree in _TREES
    ),
    Check(
        "A1-dotdot",
        "climb from the shown directory to the canary beside it",
        ("read", "{probe}/../../../..{secret_tmp}"),
        HIDDEN,
        "evalbox filesystem.rs",
    ),
    Check(
        "A1-self-root",
        "read a file through /proc/self/root",
        ("read", "/proc/self/root{secret_tmp}"),
        HIDDEN,
        "CVE-2019-5736 class",
    ),
    Check(
        "A1-self-cwd",
        "read a file through /proc/self/cwd and ..",
        ("read", "/proc/self/cwd/../../../../../..{secret_tmp}"),
        HIDDEN,
        "CVE-2024-21626",
    ),
    *(
        Check(
            f"A1-list{path.replace('/', '-')}",
            f"list {path} of the host",
            ("list", path),
            EMPTY,
            "am-i-isolated, deepce",
            saw=(lambda text, _: "" if text.split() in (["box"], ["tmp"]) else f"names: {text.split()[:5]}"),
            vacuous="empty on some hosts" if path in ("/home", "/mnt", "/opt", "/media", "/boot") else "",
        )
        for path in _BIG
    ),
    *(
        Check(
            f"A2-shadow-{name}",
            "read the password hashes",
            ("read", path),
            HIDDEN,
            "bubblewrap test-run.sh",
            control=(ROOT,),
            outside=("read", path.replace("/1/", "/self/")),
            vacuous="the controls need root",
        )
        for name, path in (
            ("plain", "/etc/shadow"),
            ("group", "/etc/gshadow"),
            ("self-root", "/proc/self/root/etc/shadow"),
            ("init-root", "/proc/1/root/etc/shadow"),
            ("dotdot", "/usr/../etc/shadow"),
        )
    ),
    *(
        Check(
            f"A3-create-in{path.replace('/', '-').rstrip('-') or '-slash'}",
            f"create a file in {path}",
            ("create", f"{path}/hardbox-was-here"),
            SHUT,
            "runtime-tools root_readonly_true",
            outside=("create", f"{{scratch}}/in{path.replace('/', '-')}"),
            permit="ephemeral",
        )
        for path in _WRITE_INTO
    ),
    *(
        Check(
            f"A3-{name}",
            f"{name} a file of the shown system",
            ("sys", *words),
            SHUT,
            "runc read-only root",
            outside=outside,
            permit="ephemeral",
        )
        for name, words, outside in (
            ("unlink", ("@unlink", "s:/usr/bin/env"), ("create", "{scratch}/unlinked")),
            ("rename", ("@rename", "s:/usr/bin/env", "s:/usr/bin/env2"), ("open", "{scratch}/r", "wr,creat")),
            ("mkdir", ("@mkdir", "s:/usr/d", "0755"), ("sys", "@mkdir", "s:{scratch}/d", "0755")),
            ("link", ("@link", "s:/usr/bin/env", "s:/usr/e"), ("open", "{scratch}/l", "wr,creat")),
            ("truncate", ("@truncate", "s:/usr/bin/env", "0"), ("sys", "@truncate", "s:{victim_shm}", "0")),
            ("chmod", ("@chmod", "s:/usr/bin/env", "0777"), ("open", "{scratch}/c", "wr,creat")),
            ("write", ("@open", "s:/usr/bin/env", "1"), ("sys", "@open", "s:{victim_tmp}", "1")),
        )
    ),
    Check(
        "A6-whiteout",
        "make an overlay whiteout (character device 0:0), which hides a lower file",
        ("mknod", "{scratch}/whiteout", "c", "0", "0"),
        FILTERED | {"EACCES"},
        "overlayfs.rst",
    ),
    *(
        Check(
            f"A6-xattr-{name.replace('.', '-')}",
            "set the overlay attribute that redirects into another lower directory",
            ("sys", "@setxattr", "s:{scratch}", f"s:{name}", "buf", "1", "0"),
            FILTERED | {"EACCES", "EOPNOTSUPP"},
            "OVERLAY_FS_REDIRECT_ALWAYS_FOLLOW",
            control=(ROOT,),
            vacuous="the control needs root",
        )
        for name in ("trusted.overlay.redirect", "trusted.overlay.opaque")
    ),
    Check(
        "A6-file-capability",
        "give a file of the job's own a capability",
        ("file-capability", "{scratch}/file-cap"),
        FILTERED | {"EACCES", "EOPNOTSUPP"},
        "capabilities(7)",
        control=(THROWAWAY, ROOT),
    ),
    *(
        Check(
            f"A7-symlink-read-{tree}",
            "a symlink of the job's own to a host path, read through it",
            ("symlink-read", f"{{scratch}}/link-read-{tree}", f"{{secret_{tree}}}"),
            HIDDEN,
            "evalbox symlink escape",
        )
        for tree in _TREES
    ),
    *(
        Check(
            f"A7-symlink-write-{tree}",
            "a symlink of the job's own to a host path, written through it",
            ("symlink-write", f"{{scratch}}/link-write-{tree}", f"{{victim_{tree}}}", "harmed"),
            HIDDEN,
            "sandbox-runtime symlink escape",
        )
        for tree in _TREES
    ),
    *(
        Check(
            f"A9-handle{path.replace('/', '-').rstrip('-') or '-root'}",
            "open an inode by its handle, past every directory",
            ("handle", path),
            FILTERED,
            "shocker; CDK cap-dac-read-search",
            control=(ROOT,),
            vacuous="the control needs root",
        )
        for path in ("/", "/usr", "{probe}")
    ),
    Check(
        "A9-open-by-handle",
        "open_by_handle_at with a bad pointer",
        ("sys", "@open_by_handle_at", "-1", "bad", "0"),
        FILTERED,
        "shocker",
        control=(ROOT,),
        vacuous="the control needs root",
    ),
    Check(
        "A9-name-to-handle",
        "name_to_handle_at with a bad pointer",
        ("sys", "@name_to_handle_at", "-100", "bad", "bad", "bad", "0"),
        FILTERED,
        "shocker",
    ),
    Check(
        "A9-openat2", "openat2, whose flags no filter sees", ("openat2", "/"), frozenset({"ENOSYS"}), "runc"
    ),
    Check(
        "A10-chroot",
        "the double chroot",
        ("chroot-escape", "{scratch}"),
        FILTERED,
        "moby capabilities chroot; sandlock",
        control=(THROWAWAY, ROOT),
    ),
    Check("A10-chroot-call", "chroot, bad pointer", ("sys", "@chroot", "bad"), FILTERED, "moby"),
    Check(
        "A10-pivot",
        "pivot_root again",
        ("pivot", "{scratch}"),
        FILTERED,
        "moby",
        control=(THROWAWAY, ROOT),
        outside=("sys", "@pivot_root", "bad", "bad"),
    ),
    Check(
        "A11-names",
        "names in the root that belong to the host",
        ("list", "/"),
        frozenset(),
        "bubblewrap old root",
        saw=_strange_names,
    ),
    Check(
        "A11-mountinfo",
        "is a whole file system of the host, or the old root, still mounted?",
        ("read", "/proc/self/mountinfo"),
        frozenset(),
        "bubblewrap old root",
        saw=_host_root,
        permit="ephemeral",
    ),
    Check(
        "A11-climb",
        "climb above the root with .. through /proc",
        ("parent-root",),
        frozenset({"EXDEV"}),
        "CVE-2024-21626",
        vacuous="no kernel that works lets anybody above its root",
    ),
    *(
        Check(
            f"A12-{name}",
            "execute a program that carries privilege",
            ("exec-ids", f"{{probe}}/{name}"),
            FILTERED | {"EACCES"},
            "moby TestRunNoNewPrivSetuid",
            saw=elevated,
            vacuous="only root can make such a program",
        )
        for name in ("set-uid", "set-gid", "file-cap")
    ),
    *(
        Check(
            f"A13-set-id-{how}",
            "make a file with the set-user-ID bit",
            ("set-id", f"{{scratch}}/set-{how}", how),
            FILTERED | {"EACCES"},
            "sandbox-runtime special files",
            vacuous="fchmodat2 is of Linux 6.6" if how == "fchmodat2" else "",
        )
        for how in ("chmod", "fchmod", "open", "mknod", "fchmodat2")
    ),
    *(
        Check(
            f"A14-exec{path.replace('/', '-')}",
            f"execute a program dropped in {path}",
            ("drop-exec", path),
            SHUT,
            "jailcheck noexec test",
            outside=("drop-exec", "{scratch}"),
            permit="exec",
        )
        for path in _NO_EXEC_IN
    ),
    *(
        Check(
            f"A14-map{path.replace('/', '-')}",
            f"map code dropped in {path}, as the dynamic loader does",
            ("drop-exec", path, "map"),
            SHUT,
            "ld.so against noexec",
            outside=("drop-exec", "{scratch}", "map"),
            permit="exec",
        )
        for path in _NO_EXEC_IN
    ),
    Check(
        "A14-nameless",
        "execute an O_TMPFILE file by descriptor",
        ("memory-exec", "{scratch}"),
        FILTERED | {"EACCES"},
        "fexecve",
        permit="exec",
    ),
    Check(
        "A15-exec",
        "execute a memory file",
        ("memory-exec", "memfd"),
        FILTERED,
        "evalbox fileless memfd",
        permit="exec",
    ),
    *(
        Check(
            f"A15-memfd-{name}",
            "make a memory file",
            ("sys", "@memfd_create", "s:x", flags),
            FILTERED,
            "evalbox",
        )
        for name, flags in (
            ("plain", "0"),
            ("cloexec", "1"),
            ("sealing", "2"),
            ("no-exec", "8"),
            ("exec", "16"),
        )
    ),
    Check(
        "A15-memfd-secret",
        "make secret memory",
        ("sys", "@memfd_secret", "0"),
        FILTERED,
        "memfd_secret(2)",
        vacuous="off by default on some kernels (secretmem.enable)",
    ),
    Check(
        "A15-shm-file",
        "create a file in /dev/shm and map it executable",
        ("drop-exec", "/dev/shm", "map"),
        SHUT,
        "POSIX shared memory",
        control=(CALLER,),
        outside=("drop-exec", "{scratch}", "map"),
        permit="exec",
    ),
)
