"""Answers that flags and profile keys share: namespaces, capabilities, security options.

Run by: the Python front; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.errors import Usage
from hardbox.rules import BASELINE_CAPABILITIES, refuse

if TYPE_CHECKING:
    from hardbox.errors import HardboxError

# What stands in both vocabularies: the flags are these with "--" in front.
NAMESPACES: Final = {
    "pid": "host-pid",
    "ipc": "host-ipc",
    "net": "host-network",
    "network": "host-network",
    "netns": "host-network",
    "uts": "host-uts",
    "userns": "host-user",
    "user-ns": "host-user",
    "usernamespace": "host-user",
    "cgroupns": "host-cgroup",
    "cgroup-ns": "host-cgroup",
    "time": "host-time",
    "timens": "host-time",
    "mount": "host-mounts",
    "mnt": "host-mounts",
}
COMMAND_LINE: Final = "command line"
HOST_WORDS: Final = ("host", "shared", "share", "keep", "inherit", "true", "yes", "1")
OWN_WORDS: Final = ("", "none", "private", "new", "own", "unshare", "false", "no", "0", "auto", "default")


def fold(word: str) -> str:
    """Give the spelling under which a word is looked up."""
    return word.strip().lower().replace("_", "-")


def said_differently(typed: str, instead: str, origin: str = COMMAND_LINE) -> Usage:
    """Make the answer to something that hardbox has under another name, or always."""
    return Usage("HB006", "hardbox says this differently", value=typed, origin=origin, instead=instead)


def namespace(rule: str, text: str, typed: str, origin: str) -> HardboxError:
    """Answer a request for a namespace: the host's, another's, or the own one that is there anyway."""
    word = text.strip().strip("\"'").lower()
    if word in HOST_WORDS or word.split(":", 1)[0] == "host":
        return refuse(rule, value=typed, origin=origin)
    if word in OWN_WORDS:
        if rule != "host-network":
            return said_differently(typed, "leave it out: the job always has a namespace of its own", origin)
        return said_differently(typed, _own_network(origin), origin)
    if rule == "host-network" and word.split(":", 1)[0] in (
        "bridge",
        "slirp4netns",
        "pasta",
        "loopback",
        "lo",
    ):
        return said_differently(typed, _own_network(origin), origin)
    # container:x, ns:/path, pod:x, service:x, /proc/1/ns/net, a name or a process id: all are joins.
    return refuse("joined-namespace", value=typed, origin=origin)


def _own_network(origin: str) -> str:
    """Say how a network of its own is asked for, where the request came from."""
    if origin.startswith("-") or origin == COMMAND_LINE:
        return "--network none or loopback, or --profile net-client --allow HOST:PORT"
    return 'network.mode = "none", "loopback" or "allow": the job always has a network of its own'


def capability(text: str, typed: str, origin: str) -> HardboxError:
    """Answer a wish for capabilities, one name or several with commas, in any spelling."""
    names = [fold(name).replace("-", "_").upper().removeprefix("CAP_") for name in text.split(",")]
    if "ALL" in names:
        return refuse(
            "powerful-capabilities", value=typed, origin=origin, what="all capabilities are asked for"
        )
    if all(name in BASELINE_CAPABILITIES for name in names):
        if names == ["NET_BIND_SERVICE"]:
            return said_differently(
                typed,
                'a profile with [capabilities] keep = ["NET_BIND_SERVICE"] and its reason in [loosen]',
            )
        return refuse("added-capabilities", value=typed, origin=origin)
    return refuse("powerful-capabilities", value=typed, origin=origin)


def security_option(text: str, typed: str, origin: str) -> HardboxError:
    """Answer docker's --security-opt, "name=value" or "name:value"."""
    name, _, setting = text.replace(":", "=", 1).partition("=") if "=" not in text else text.partition("=")
    name, setting = fold(name), setting.strip().lower()
    if name == "seccomp":
        if setting == "unconfined":
            return refuse("seccomp-unconfined", value=typed, origin=origin)
        return said_differently(
            typed, "seccomp.filter in a profile; hardbox seccomp convert reads Docker's JSON"
        )
    if name == "no-new-privileges":
        if setting in ("false", "no", "0", "off"):
            return refuse("new-privileges", value=typed, origin=origin)
        return said_differently(typed, "leave it out: no_new_privs is always on")
    if name in ("systempaths", "unmask", "proc-opts", "mask"):
        return refuse("unmasked-proc", value=typed, origin=origin)
    return refuse("lsm-unconfined", value=typed, origin=origin)


def is_zero(text: str) -> bool:
    """Whether a user or group is 0 in some spelling."""
    return text == "root" or (text != "" and set(text.removeprefix("0x").removeprefix("+")) <= {"0"})
