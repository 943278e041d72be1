"""F: System V and POSIX IPC, keyrings.

Run by: hardbox/verify/corpus/__init__.py; data only. The canaries are held by the probe, outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.verify.check import CALLER, EMPTY, FILTERED, HIDDEN, ROOT, SHUT, THROWAWAY, Check

if TYPE_CHECKING:
    from hardbox.verify.check import Facts

_GONE: Final = FILTERED | {"ENOENT", "EINVAL", "EACCES", "EIDRM"}
_NO_KEY: Final = FILTERED | {"ENOKEY", "EACCES", "EINVAL"}
_NO_KEYRINGS: Final = "a container's own filter may refuse keyrings, and some kernels have none"
_OBJECTS: Final = (("shm", "shared memory"), ("sem", "a semaphore"), ("msg", "a message queue"))


def _canary_key(text: str, facts: Facts) -> str:
    """Find the canary's key in a list of keys: "key 123" or a row of /proc/sysvipc."""
    key = facts.places["ipc_key"]
    return f"key {key}" if key in text.split() else ""


def _any_row(text: str, _facts: Facts) -> str:
    rows = text.splitlines()[1:]
    return rows[0] if rows else ""


CHECKS: Final = (
    *(
        Check(
            f"F1-{kind}-by-key",
            f"open {name} of the host by its key",
            (kind, "{ipc_key}"),
            _GONE,
            "moby ipcmode; runc TestIPCPrivate; CIS-5.17",
            control=(CALLER,),
        )
        for kind, name in _OBJECTS
    ),
    *(
        Check(
            f"F1-{kind}-by-id",
            f"open {name} of the host by its id, without the key",
            (f"{kind}-id", f"{{{kind}_id}}"),
            _GONE,
            "sandlock test_sysv_shmget_denied",
            control=(CALLER,),
        )
        for kind, name in _OBJECTS
    ),
    Check(
        "F1-shm-scan",
        "list the shared memory that there is",
        ("shm-scan",),
        _GONE,
        "ipcs(1)",
        saw=_canary_key,
        control=(CALLER,),
    ),
    *(
        Check(
            f"F1-list-{kind}",
            "list what there is through /proc",
            ("read", f"/proc/sysvipc/{kind}"),
            EMPTY,
            "ipcs(1)",
            saw=_canary_key,
            control=(CALLER,),
        )
        for kind, _name in _OBJECTS
    ),
    Check(
        "F2-queue",
        "open a POSIX message queue of the host",
        ("mq", "{ipc_name}"),
        _GONE,
        "crun test_mqueue_mount",
        control=(CALLER,),
        vacuous="a kernel without POSIX message queues",
    ),
    Check(
        "F2-queue-listed",
        "list the message queues of the host",
        ("list", "/dev/mqueue"),
        EMPTY,
        "crun test_mqueue_mount",
        control=(CALLER,),
        vacuous="/dev/mqueue is not mounted everywhere",
    ),
    *(
        Check(
            f"F4-search-{name}",
            f"search a key of the caller in the {name} keyring",
            ("key-search", serial, "{ipc_name}"),
            _NO_KEY,
            "botb -pwnKeyctl; flatpak; CVE-2016-0728 class",
            control=(CALLER,),
            vacuous=_NO_KEYRINGS if name == "user" else "the canary hangs in the user keyring only",
        )
        for name, serial in (("user", "-4"), ("user-session", "-5"), ("session", "-3"))
    ),
    Check(
        "F4-read",
        "read a key of the caller by its serial number",
        ("key-read", "{key_id}"),
        _NO_KEY,
        "keyrings(7): possession is not namespaced",
        control=(CALLER,),
        vacuous=_NO_KEYRINGS,
    ),
    Check(
        "F4-request",
        "ask for a key of the caller by its name",
        ("key-request", "{ipc_name}"),
        _NO_KEY,
        "evalbox; isolate",
        control=(CALLER,),
        vacuous=_NO_KEYRINGS,
    ),
    Check(
        "F4-session",
        "join a new session keyring",
        ("key-session",),
        FILTERED,
        "crun test_keyring_creation",
        control=(CALLER,),
        vacuous=_NO_KEYRINGS,
    ),
    Check(
        "F4-add",
        "add a key",
        ("key-add", "{ipc_name}"),
        FILTERED,
        "moby default profile",
        control=(CALLER,),
        vacuous=_NO_KEYRINGS,
    ),
    Check(
        "F4-listed",
        "list the keys of the caller",
        ("read", "/proc/key-users"),
        EMPTY | {"EPERM"},
        "keyrings(7)",
        control=(CALLER, ROOT),
        vacuous=_NO_KEYRINGS,
    ),
    *(
        Check(
            f"F1-limit-{name}",
            "change a limit of IPC through /proc",
            ("open", f"/proc/sys/{name}", "wr"),
            SHUT,
            "PSS-sysctls",
            control=(THROWAWAY, ROOT),
            vacuous="not in every kernel",
        )
        for name in (
            "kernel/shmall",
            "kernel/shmmni",
            "kernel/msgmnb",
            "kernel/msgmni",
            "kernel/shm_rmid_forced",
        )
    ),
    Check(
        "F1-posix-shared-memory",
        "read POSIX shared memory of the host",
        ("read", "{secret_shm}"),
        HIDDEN,
        "shm_overview(7)",
        control=(CALLER,),
    ),
)
