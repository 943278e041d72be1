"""Keys and values of profiles in the words of other tools, answered.

Run by: the Python front, only for keys and values that hardbox does not know; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.habits.answers import (
    HOST_WORDS,
    NAMESPACES,
    OWN_WORDS,
    capability,
    fold,
    is_zero,
    namespace,
    said_differently,
    security_option,
)
from hardbox.places import guard, normal
from hardbox.rules import refuse
from hardbox.toml_text import toml

if TYPE_CHECKING:
    from hardbox.errors import HardboxError

# Last component of a key, folded and without "-", whatever the table: the rule if its value is a yes.
_SWITCHES: Final = {
    "privileged": "privileged",
    "hostnetwork": "host-network",
    "hostnet": "host-network",
    "sharenet": "host-network",
    "hostpid": "host-pid",
    "sharepid": "host-pid",
    "shareprocessnamespace": "host-pid",
    "hostipc": "host-ipc",
    "hostuts": "host-uts",
    "hostcgroup": "host-cgroup",
    "hosttime": "host-time",
    "hostusers": "host-user",
    "hostnamespaces": "host-pid",
    "allowprivilegeescalation": "new-privileges",
    "unconfined": "seccomp-unconfined",
    "runasroot": "root-inside",
    "disableapparmor": "lsm-unconfined",
}
# The same for keys whose "no" is the danger.
_SAFETIES: Final = {
    "nonewprivs": "new-privileges",
    "nonewprivileges": "new-privileges",
    "seccomp": "seccomp-unconfined",
    "seccompprofile": "seccomp-unconfined",
    "apparmor": "lsm-unconfined",
    "selinux": "lsm-unconfined",
    "runasnonroot": "root-inside",
}
# Asked for by the key itself, whatever the value but an empty one.
_WISHES: Final = {
    **dict.fromkeys(("device", "devices", "gpu", "gpus"), "host-devices"),
    **dict.fromkeys(("sysctl", "sysctls"), "sysctls"),
    **dict.fromkeys(("port", "ports", "publish", "hostport", "hostports"), "published-ports"),
    **dict.fromkeys(("cgroupparent", "cgrouppath", "cgroupspath"), "cgroup-parent"),
    **dict.fromkeys(("hook", "hooks", "runtime", "prestart", "poststart", "poststop"), "host-helpers"),
    **dict.fromkeys(("procmount", "unmask", "maskedpaths", "readonlypaths"), "unmasked-proc"),
    **dict.fromkeys(("socket", "sockets", "unixsocket", "unixsockets"), "unix-sockets"),
    **dict.fromkeys(("uidmap", "gidmap", "uidmappings", "gidmappings"), "host-root-mapped"),
    **dict.fromkeys(("apparmorprofile", "selinuxoptions"), "lsm-unconfined"),
    **dict.fromkeys(("volumesfrom", "join"), "joined-namespace"),
}
_UNCONFINED: Final = ("unconfined", "none", "off", "no", "false", "disabled", "")
_SHARING_TABLES: Final = ("share", "host")
_NAMESPACE_TABLES: Final = ("namespaces", "namespace", "ns", "unshare", *_SHARING_TABLES)
_OWN_NETWORK: Final = ("allow", "bridge", "dns", "join", "publish", "subnet")
_OWN_TABLES: Final = ("refuse", "loosen", "optional", "environment", "limits", "summary", "extends")


def key(dotted: str, value: object, origin: str) -> HardboxError | None:
    """Answer a key or value of a profile that hardbox does not know; None if it means nothing.

    dotted: "network.mode"; value: as TOML gave it, or one item of a list.
    """
    parts = [fold(part) for part in dotted.split(".")]
    if parts[0] in _OWN_TABLES or (parts[0] == "network" and parts[1:2] != ["mode"] and _own_key(parts)):
        return None
    shown = f"{dotted} = {toml(value)}"
    for answer in (_of_namespace, _of_switch, _of_capability, _of_user, _of_path, _of_wish):
        found = answer(parts, value, shown, origin)
        if found is not None:
            return found
    return None


def _own_key(parts: list[str]) -> bool:
    """Whether it is a key of ours that has another tool's name: a bad value of it is a slip, not a habit."""
    return "-".join(parts[1:]) in _OWN_NETWORK


def _bare(parts: list[str]) -> str:
    return parts[-1].replace("-", "")


def _is_yes(value: object) -> bool:
    return value is True or value == 1 or (isinstance(value, str) and value.strip().lower() in HOST_WORDS)


def _is_no(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in _UNCONFINED
    return value is False or value == 0


def _of_namespace(parts: list[str], value: object, shown: str, origin: str) -> HardboxError | None:
    if parts == ["network", "mode"]:
        word = value.strip().lower() if isinstance(value, str) else ""
        # A plain word may be a slip of the pen, for which the profile reader knows the nearest name.
        known = ":" in word or "/" in word or word.isdigit() or word in (*HOST_WORDS, *OWN_WORDS, "bridge")
        return namespace("host-network", word, shown, origin) if word and known else None
    if parts == ["identity", "ids"]:
        joins = isinstance(value, str) and value.strip().lower() in ("host", "root", "keep-id")
        return refuse("host-user", value=shown, origin=origin) if joins else None
    if parts[-1] in ("share", "namespaces") and isinstance(value, str | list | tuple):
        names = [value] if isinstance(value, str) else [name for name in value if isinstance(name, str)]
        rules = [rule for name in names if (rule := NAMESPACES.get(fold(name)))]
        return refuse(rules[0], value=shown, origin=origin) if rules else None
    table = parts[-2] if len(parts) > 1 else ""
    rule = NAMESPACES.get(parts[-1])
    if table in _NAMESPACE_TABLES:
        rule = rule or {"user": "host-user", "cgroup": "host-cgroup"}.get(parts[-1])
    elif table not in ("", "identity", "security", "sandbox", "container"):
        rule = None
    if rule is None:
        return None
    if isinstance(value, bool | int):
        # share.pid = true asks for the host's, and so do namespaces.pid = false and unshare.pid = false.
        shares = bool(value) if table in _SHARING_TABLES else not value
        return refuse(rule, value=shown, origin=origin) if shares else None
    return namespace(rule, value, shown, origin) if isinstance(value, str) else None


def _of_switch(parts: list[str], value: object, shown: str, origin: str) -> HardboxError | None:
    last = _bare(parts)
    rule = _SWITCHES.get(last, "") if _is_yes(value) else ""
    if _is_no(value):
        rule = "seccomp-unconfined" if parts == ["seccomp", "filter"] else _SAFETIES.get(last, "")
    if last == "type" and isinstance(value, str) and value.lower() == "unconfined":
        rule = "lsm-unconfined" if any("apparmor" in part for part in parts) else "seccomp-unconfined"
    return refuse(rule, value=shown, origin=origin) if rule else None


def _of_capability(parts: list[str], value: object, shown: str, origin: str) -> HardboxError | None:
    last = _bare(parts)
    names = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else []
    wanted = [name for name in names if isinstance(name, str) and name]
    if not wanted or last in ("drop", "capdrop"):
        return None
    if last in ("securityopt", "securityopts"):
        return security_option(wanted[0], shown, origin)
    if parts[-1] in ("capabilities", "caps", "cap-add") or {"capabilities", "caps"} & set(parts[:-1]):
        return capability(",".join(wanted), shown, origin)
    return None


def _of_user(parts: list[str], value: object, shown: str, origin: str) -> HardboxError | None:
    last = _bare(parts)
    text = str(value).lower() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if last in ("runasuser", "user", "uid") and is_zero(text):
        return refuse("root-inside", value=shown, origin=origin)
    if last in ("runasgroup", "group", "gid", "fsgroup") and is_zero(text):
        return refuse("root-group", value=shown, origin=origin)
    return None


def _of_path(parts: list[str], value: object, shown: str, origin: str) -> HardboxError | None:
    last = _bare(parts)
    if "propagation" in last:
        private = str(value).lower().startswith(("private", "rprivate", "none", "unbindable"))
        return None if private else refuse("shared-propagation", value=shown, origin=origin)
    if last not in ("hostpath", "volume", "volumes", "mounts", "bind", "binds"):
        return None
    for item in value if isinstance(value, list | tuple) else [value]:
        source = item.partition(":")[0] if isinstance(item, str) else ""
        found = guard(normal(source), write=True) if source.startswith("/") else ""
        # Whose home it is cannot be told from its name: with `read` or `write` it is looked at.
        if found and (found != "host-homes" or normal(source) in ("/home", "/root")):
            return refuse(found, value=shown, origin=origin)
    return said_differently(shown, '[filesystem] read = ["SRC:DST"] or write = ["SRC:DST"]', origin)


def _of_wish(parts: list[str], value: object, shown: str, origin: str) -> HardboxError | None:
    last = _bare(parts)
    if last in ("include", "includes", "import", "imports", "template"):
        return said_differently(shown, 'extends = "NAME", or a file; one parent', origin)
    rule = next((_WISHES[word] for part in reversed(parts) if (word := part.replace("-", "")) in _WISHES), "")
    if not rule or value in (None, "", False) or value in ([], {}):
        return None
    return refuse(rule, value=shown, origin=origin)
