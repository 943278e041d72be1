"""Options of docker, podman, bwrap, firejail, nsjail and unshare, answered.

Run by: the Python front, only for options that hardbox does not have; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.habits.answers import (
    COMMAND_LINE,
    NAMESPACES,
    capability,
    fold,
    is_zero,
    namespace,
    said_differently,
    security_option,
)
from hardbox.places import guard, normal
from hardbox.rules import refuse

if TYPE_CHECKING:
    from hardbox.errors import HardboxError

# Flags that ask for one thing whatever their value.
_FLAGS: Final = {
    "privileged": "privileged",
    "share-net": "host-network",
    "share-network": "host-network",
    "share-pid": "host-pid",
    "share-ipc": "host-ipc",
    "share-uts": "host-uts",
    "share-cgroup": "host-cgroup",
    "keep-caps": "added-capabilities",
    "device": "host-devices",
    "device-cgroup-rule": "host-devices",
    "gpus": "host-devices",
    "dev-bind-try": "host-devices",
    "publish": "published-ports",
    "publish-all": "published-ports",
    "expose": "published-ports",
    "sysctl": "sysctls",
    "cgroup-parent": "cgroup-parent",
    "cgroup-path": "cgroup-parent",
    "cgroup-mount": "cgroup-parent",
    "runtime": "host-helpers",
    "hooks-dir": "host-helpers",
    "hook": "host-helpers",
    "volume-driver": "host-helpers",
    "volumes-from": "joined-namespace",
    "pod": "joined-namespace",
    "link": "joined-namespace",
    "join": "joined-namespace",
    "join-network": "joined-namespace",
    "userns-path": "joined-namespace",
    "userns2": "joined-namespace",
    "pidns": "joined-namespace",
    "target": "joined-namespace",
    "noprofile": "seccomp-unconfined",
    "no-seccomp": "seccomp-unconfined",
    "allow-debuggers": "seccomp-unconfined",
    "disable-no-new-privs": "new-privileges",
    "allow-new-privs": "new-privileges",
    "rootfs-propagation": "shared-propagation",
    "bind-propagation": "shared-propagation",
    "exec-label": "lsm-unconfined",
    "file-label": "lsm-unconfined",
    "disable-clone-newnet": "host-network",
    "disable-clone-newuser": "host-user",
    "disable-clone-newns": "host-mounts",
    "disable-clone-newpid": "host-pid",
    "disable-clone-newipc": "host-ipc",
    "disable-clone-newuts": "host-uts",
    "disable-clone-newcgroup": "host-cgroup",
    "hostnetwork": "host-network",
    "hostpid": "host-pid",
    "hostipc": "host-ipc",
}
# Those that take no value: the word behind them is the command's.
_BARE: Final = frozenset(
    (
        *(
            "privileged",
            "keep-caps",
            "publish-all",
            "noprofile",
            "no-seccomp",
            "allow-debuggers",
            "rm",
            "tty",
        ),
        *("interactive", "unshare-all", "die-with-parent", "new-session", "read-only", "clearenv", "detach"),
        "init",
        *(word for word in _FLAGS if word.startswith(("share-", "disable-", "allow-", "host"))),
    )
)
# Said differently here: what to type instead; "{DIR}" stands for the value that was typed.
_SAME: Final = {
    "rm": "leave it out: nothing is kept after a run",
    "interactive": "leave it out: the job has the caller's stdin, stdout and stderr",
    "tty": "leave it out: from a terminal the job has one of its own",
    "unshare-all": "leave it out: all namespaces are always new",
    "die-with-parent": "leave it out: the job always ends with hardbox",
    "new-session": "leave it out: injecting into the terminal is always refused",
    "read-only": 'leave it out: the root is read-only unless filesystem.mode = "ephemeral"',
    "read-only-root": "leave it out: the root is read-only",
    "tmpfs": 'scratch in a profile: [filesystem] scratch = { "{/tmp}" = "64M" }',
    "workdir": "--workdir {DIR}",
    "chdir": "--workdir {DIR}",
    "cwd": "--workdir {DIR}",
    "setenv": "--env {NAME=VALUE}",
    "env": "--env {NAME=VALUE}",
    "env-file": "--env NAME for each variable that the job needs, or --env NAME=VALUE",
    "memory-limit": "--memory {SIZE}",
    "pids-limit": "--tasks {N}",
    "cpus": "--set limits.cpu={N}",
    "time-limit": "--timeout {TIME}",
    "ulimit": "the keys of [limits] in a profile, or --set {limits.open_files=N}",
    "shm-size": '--set \'filesystem.scratch={"/dev/shm" = "{SIZE}"}\'',
    "init": "leave it out: the job always has an init, which reaps what it leaves",
    "dns": "leave it out: names of --allow are looked up outside; network.dns in a profile with a bridge",
    "platform": "leave it out: the job runs on this machine's own processor",
    "pull": "leave it out: there are no images; the job has the host's own /usr, read-only",
    "restart": "leave it out: a job runs once; repeat `hardbox run` in a script",
    "dev": "leave it out: the job has a minimal /dev",
    "proc": "leave it out: the job has its own /proc",
    "seccomp": "seccomp.filter in a profile",
    "cap-drop": "leave it out: every capability is dropped",
    "unsetenv": "leave it out: only the variables in [environment] reach the job",
    "clearenv": "leave it out: only the variables in [environment] reach the job",
    "name": "leave it out: runs have no names",
    "detach": "start it in the background: hardbox run -- COMMAND &",
    "entrypoint": "name the program as the command: hardbox run -- {PROGRAM} ARG...",
    "uid": "--set identity.user={1000}",
    "gid": "--set identity.group={1000}",
    "volume": "--read SRC:DST or --write SRC:DST",
}
_ALIASES: Final = {
    "memory": "memory-limit",
    "mem": "memory-limit",
    "timelimit": "time-limit",
}
# Names of docker's --ulimit, as setrlimit(2) has them.
_ULIMITS: Final = {
    "nofile": "limits.open_files",
    "nproc": "limits.tasks",
    "fsize": "limits.file_size",
    "data": "limits.memory",
    "memlock": "limits.locked",
}
_SHORT: Final = {
    "v": "volume",
    "p": "publish",
    "P": "publish-all",
    "u": "user",
    "e": "env",
    "w": "workdir",
    "m": "memory-limit",
    "t": "tty",
    "i": "interactive",
    "it": "interactive",
    "ti": "interactive",
    "d": "detach",
    "B": "bind",
    "R": "ro-bind",
    "N": "disable-clone-newnet",
}
_BINDS: Final = {
    "volume": "",
    "mount": "",
    "bind": "--write",
    "bind-try": "--write",
    "bindmount": "--write",
    "dev-bind": "--write",
    "rw-bind": "--write",
    "ro-bind": "--read",
    "ro-bind-try": "--read",
    "ro": "--read",
    "rw": "--write",
    "bindmount-ro": "--read",
    "overlay-src": "--read",
}
_LONG: Final = 20
_SHARED: Final = ("shared", "rshared", "slave", "rslave")


def flag(name: str, value: str | None) -> HardboxError | None:
    """Answer an option that hardbox does not have; None if it means nothing here either.

    name:  as typed, "--PID" or "-v/:/host".
    value: what stands behind "=", else the following word, else None.
    """
    word, value = _split_short(name, value)
    bare = word in _BARE or (value or "").startswith("-")
    typed = f"{name} {value}" if value and not bare else name
    text = (value or "").strip()
    if word in _BINDS:
        return _bind(word, text, typed)
    found = _of_namespaces(word, text, typed) or _of_privileges(word, text, typed)
    if found is not None:
        return found
    if word in _FLAGS:
        return refuse(_FLAGS[word], value=typed, origin=COMMAND_LINE)
    word = _ALIASES.get(word, word)
    return said_differently(typed, _filled(word, "" if bare else text)) if word in _SAME else None


def _filled(word: str, text: str) -> str:
    """Give what to type instead, with the value that was typed, in the spelling that hardbox reads."""
    before, brace, rest = _SAME[word].rpartition("{")
    if not brace:
        return _SAME[word]
    example, _, after = rest.partition("}")
    return before + (_value(word, text) or example) + after


def _value(word: str, text: str) -> str:
    """Give a value of another tool as hardbox writes it, "" if it cannot be told."""
    found = text
    if word in ("memory-limit", "shm-size"):
        found = _size(text)
    elif word == "time-limit":
        found = f"{text}s" if text.isdigit() else text
    elif word == "cpus":
        whole, _, part = text.partition(".")
        more = part.strip("0") != ""
        found = str(int(whole or "0") + more) if (whole + part).isdigit() and len(text) < _LONG else ""
    elif word == "ulimit":
        name, _, number = text.partition("=")
        number = number.partition(":")[0]
        found = f"{_ULIMITS[name]}={number}" if name in _ULIMITS and number.isdigit() else ""
    elif word == "setenv" and text and "=" not in text:
        found = f"{text}=VALUE"
    elif word == "tmpfs":
        found = text.partition(":")[0]
    return found


def _size(text: str) -> str:
    """Give "256M" for docker's "256m", "256mb" or "256MiB"."""
    number = text.upper().removesuffix("B").removesuffix("I")
    return number if number.rstrip("KMGT").isdigit() and len(number) < _LONG else ""


def _of_namespaces(word: str, text: str, typed: str) -> HardboxError | None:
    if word not in NAMESPACES or word in ("mount", "time"):
        return None
    return namespace(NAMESPACES[word], text, typed, COMMAND_LINE)


def _of_privileges(word: str, text: str, typed: str) -> HardboxError | None:
    lower = text.lower()
    if word in ("cap-add", "caps", "cap", "keep-cap", "caps-keep"):
        return capability(text, typed, COMMAND_LINE)
    if word in ("security-opt", "apparmor", "apparmor-profile", "selinux", "label"):
        return security_option(text if word == "security-opt" else f"{word}={text}", typed, COMMAND_LINE)
    if word == "user" or (word in ("uid", "gid") and text):
        return _user(word, text, typed)
    if word == "seccomp" and lower in ("unconfined", "off", "none", "no", "false"):
        return refuse("seccomp-unconfined", value=typed, origin=COMMAND_LINE)
    if word == "no-new-privileges" and lower in ("false", "no", "0", "off"):
        return refuse("new-privileges", value=typed, origin=COMMAND_LINE)
    return None


def _split_short(name: str, value: str | None) -> tuple[str, str | None]:
    """Give the long word of a flag, and its value: "-v/:/host" is "-v" with "/:/host"."""
    if name.startswith("--"):
        return fold(name[2:]), value
    short = name[1:]
    if short in _SHORT:
        return _SHORT[short], value
    # Attached to the letter, or to "=", which the caller has split off already.
    if short[:1] in ("v", "p", "u") and len(short) > 1 and (short[1] in "/.~" or short[1].isdigit()):
        return _SHORT[short[0]], short[1:]
    return fold(short), value


def _user(word: str, text: str, typed: str) -> HardboxError:
    user, _, group = text.lower().partition(":")
    if word == "gid":
        user, group = "", user
    if is_zero(user):
        return refuse("root-inside", value=typed, origin=COMMAND_LINE)
    if is_zero(group):
        return refuse("root-group", value=typed, origin=COMMAND_LINE)
    flags = [f"--set identity.user={user}"] if user.isdigit() else []
    flags += [f"--set identity.group={group}"] if group.isdigit() else []
    return said_differently(typed, " ".join(flags) or "--set identity.user=1000 --set identity.group=1000")


def _bind(word: str, text: str, typed: str) -> HardboxError:
    """Answer a bind mount: by the rule of its source, else with the option that does it here."""
    source, dest, options = _bind_parts(word, text)
    if set(options) & set(_SHARED):
        return refuse("shared-propagation", value=typed, origin=COMMAND_LINE)
    rest = ("ro", "readonly", "readonly=true", "ro=true")
    write = _BINDS[word] != "--read" and not set(options) & set(rest)
    found = ""
    if source.startswith("/"):
        path = normal(source)
        found = guard(path, write=write) or ""
        # Whose home it is cannot be told from its name: the same path with --read or --write is
        # looked at properly.
        found = "" if found == "host-homes" and path.count("/") > 1 else found
    elif source in ("~", "$HOME", "${HOME}"):
        found = "whole-home"
    if found:
        return refuse(found, value=typed, origin=COMMAND_LINE)
    option = _BINDS[word] or ("--write" if write else "--read")
    target = f"{source or 'SRC'}:{dest or 'DST'}" if dest or word not in ("ro", "rw") else source or "SRC"
    return said_differently(typed, f"{option} {target}")


def _bind_parts(word: str, text: str) -> tuple[str, str, list[str]]:
    if "=" in text and word == "mount":
        pairs = dict(part.partition("=")[::2] for part in text.split(","))
        source = pairs.get("source", pairs.get("src", ""))
        dest = pairs.get("target", pairs.get("dst", pairs.get("destination", "")))
        return source, dest, [part.lower() for part in text.split(",")] + [pairs.get("bind-propagation", "")]
    source, _, rest = text.partition(":")
    dest, _, options = rest.partition(":")
    return source, dest, options.lower().split(",")
