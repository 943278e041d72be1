"""Which rule guards which host path: tables and pure functions on normalised absolute paths.

Run by: the Python front; pure. `refusals/` applies it to what a path really leads to, `habits/` to
what was typed.

Decisions:
* A single file below /etc that everybody may read is fine for reading; directories of keys and
  passwords there, and every write, are not.
* Below one's own home, projects are fine; keys, and for writing start-up files, are not. Names
  such as .ssh count wherever they stand.
* All of /run is refused, files too: what is not a socket there is a ticket, a token or a lock.
"""

from __future__ import annotations

import posixpath
from typing import Final

# The place itself and everything below it, for reading too.
_TREES: Final = (
    ("host-proc", ("/proc",)),
    ("cgroup-trees", ("/sys/fs/cgroup", "/cgroup", "/cgroups", "/cgroup2")),
    ("host-sys", ("/sys",)),
    ("host-devices", ("/dev",)),
    ("host-boot", ("/boot", "/efi")),
    ("kernel-modules", ("/lib/modules", "/usr/lib/modules")),
    ("credentials", ("/run/secrets", "/run/credentials", "/var/run/secrets")),
    ("socket-directories", ("/run", "/var/run", "/tmp/.X11-unix", "/tmp/.ICE-unix", "/tmp/.font-unix")),  # noqa: S108 (what is refused)
    ("swap", ("/swapfile", "/swap.img", "/swap", "/var/swap", "/var/swapfile")),
    (
        "host-state",
        (
            *("/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/kubelet"),
            *("/var/lib/rancher", "/var/lib/k0s", "/var/lib/crio", "/var/lib/cni", "/var/lib/etcd"),
            *("/var/lib/lxc", "/var/lib/lxd", "/var/lib/incus", "/var/lib/libvirt", "/var/lib/machines"),
            *("/var/lib/portables", "/var/lib/private", "/var/lib/systemd", "/var/lib/sudo"),
            *("/var/lib/AccountsService", "/var/lib/NetworkManager", "/var/lib/bluetooth", "/var/lib/iwd"),
            *("/var/lib/sss", "/var/lib/samba", "/var/lib/gdm3", "/var/lib/lightdm", "/var/lib/mysql"),
            *("/var/lib/postgresql", "/var/lib/redis", "/var/lib/vault", "/var/lib/tailscale"),
            *("/var/lib/snapd", "/var/spool/cron", "/var/spool/at", "/var/spool/mail", "/var/mail"),
            *("/var/backups", "/var/db/sudo"),
        ),
    ),
)
_SOCKET_NAMES: Final = (".sock", ".socket", "_socket", "-socket", "-sock", "/bus", "/X0", "/X1", "/wayland-0")
# The place itself only: what is below has its own answer.
_PLACES: Final = {
    "/": "host-root",
    "/etc": "host-etc",
    "/home": "host-homes",
    "/root": "host-homes",
    "/tmp": "socket-directories",  # noqa: S108 (what is refused)
    "/var/tmp": "socket-directories",  # noqa: S108 (what is refused)
    "/var": "host-state",
    "/var/lib": "host-state",
    "/var/spool": "host-state",
}
_ETC_SECRETS: Final = tuple(
    f"/etc/{name}"
    for name in (
        *("shadow", "shadow-", "gshadow", "gshadow-", "sudoers", "sudoers.d", "security/opasswd"),
        *("ssl/private", "pki/tls/private", "letsencrypt", "krb5.keytab", "wireguard", "openvpn", "ppp"),
        *("ipsec.secrets", "ipsec.d/private", "NetworkManager/system-connections", "netplan", "docker"),
        *("kubernetes", "rancher", "samba", "polkit-1", "cron.d", "crontab", "exim4/passwd.client"),
        *("mysql/debian.cnf", "ssh"),
    )
)
# In /etc/ssh everything but these may hold or name a key.
_SSH_OPEN: Final = (
    "/etc/ssh/ssh_config",
    "/etc/ssh/ssh_config.d",
    "/etc/ssh/ssh_known_hosts",
    "/etc/ssh/moduli",
)
_PROGRAMS: Final = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/snap", "/nix", "/gnu"),
)

# Names that hold keys wherever they stand, as a component of the path or directly in a directory.
KEY_NAMES: Final = frozenset(
    (
        *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".netrc", ".git-credentials", ".pgpass", ".my.cnf"),
        *(".vault-token", ".password-store", ".mozilla", ".thunderbird", ".Xauthority", ".ICEauthority"),
        *(".s3cfg", ".boto", ".oci", ".terraform.d", ".gcloud", ".smbcredentials", ".electrum", ".bitcoin"),
    )
)
# Below one's own home.
_HOME_KEYS: Final = (
    *(".docker", ".npmrc", ".yarnrc.yml", ".pypirc", ".gem/credentials", ".m2/settings.xml", ".gradle"),
    *(".cargo/credentials", ".cargo/credentials.toml", ".config/gcloud", ".config/gh", ".config/hub"),
    *(".config/op", ".config/rclone", ".config/sops", ".config/doctl", ".config/containers"),
    *(
        ".config/chromium",
        ".config/google-chrome",
        ".config/BraveSoftware",
        ".config/Signal",
        ".config/pulse",
    ),
    ".cache/keyring",
    *(".local/share/keyrings", ".local/share/containers", ".bash_history", ".zsh_history", ".python_history"),
    *(".psql_history", ".mysql_history", ".lesshst", ".viminfo", ".config/gnome-keyring", ".pki"),
)
_HOME_STARTUP: Final = (
    *(".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".profile", ".zshrc", ".zshenv"),
    ".zprofile",
    *(".zlogin", ".kshrc", ".cshrc", ".tcshrc", ".login", ".inputrc", ".oh-my-zsh", ".pam_environment"),
    *(".xinitrc", ".xprofile", ".xsession", ".xsessionrc", ".vimrc", ".vim", ".emacs", ".emacs.d"),
    ".gdbinit",
    *(".gitconfig", ".tmux.conf", ".screenrc", ".forward", ".procmailrc", ".rhosts", ".config", ".local/bin"),
    *(".local/lib", ".local/share/systemd", ".local/share/applications", ".local/share/dbus-1", "bin"),
    *(".cargo", ".rustup", ".nvm", ".pyenv", ".rbenv", ".asdf", ".mozilla", ".pythonrc", ".ipython"),
    ".vscode",
)
# Kernel file systems, wherever they are mounted.
MOUNT_RULES: Final = {
    "proc": "host-proc",
    "cgroup": "cgroup-trees",
    "cgroup2": "cgroup-trees",
    "devtmpfs": "host-devices",
    "devpts": "host-devices",
    **dict.fromkeys(
        (
            *("sysfs", "debugfs", "tracefs", "securityfs", "configfs", "bpf", "pstore", "efivarfs"),
            *("selinuxfs", "smackfs", "binfmt_misc", "fusectl", "resctrl", "nsfs"),
        ),
        "host-sys",
    ),
}
ENGINE_SOCKETS: Final = (
    *("/run/docker.sock", "/run/containerd/containerd.sock", "/run/podman/podman.sock"),
    *("/run/crio/crio.sock", "/run/dbus/system_bus_socket", "/run/systemd/private"),
    *("/run/libvirt/libvirt-sock", "/run/snapd.socket"),
)
# Places inside the sandbox that hardbox builds; nothing may be mounted at, below or (for a
# parent, "/") over them. /etc and the programs may be shown as they are, not covered.
_BUILT: Final = ("/proc", "/sys", "/dev", "/.changes")
_WRITTEN: Final = tuple(
    f"/etc/{name}" for name in ("passwd", "group", "hosts", "hostname", "nsswitch.conf", "resolv.conf")
)
_COVERED: Final = ("/etc", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/boot")


def normal(path: str) -> str:
    """Give the shortest spelling: no //, /./, /../ nor trailing slash; symlinks are not looked at."""
    return "/" + posixpath.normpath("/" + path).lstrip("/")


def within(path: str, place: str) -> bool:
    """Whether `path` is `place` or lies below it."""
    return path == place or path.startswith(place.rstrip("/") + "/")


def above(path: str) -> tuple[str, ...]:
    """Give the directories that an absolute path lies below, nearest first, "/" last.

    With thousands of places a look-up for each of these takes the place of `within` for every pair.
    """
    found = []
    while path not in ("", "/"):
        path = path.rpartition("/")[0]
        found.append(path or "/")
    return tuple(found)


# One look-up for each directory on the way up, instead of one comparison for each place.
_TREE_RULES: Final = {place: rule for rule, places in _TREES for place in places}
_ETC_SECRET: Final = frozenset(_ETC_SECRETS)
_SSH: Final = frozenset(_SSH_OPEN)
_PROGRAM: Final = frozenset(_PROGRAMS)
_SYSTEM: Final = _PROGRAM | {"/etc", "/proc", "/dev"}


def _upwards(path: str) -> tuple[str, ...]:
    """Give a normalised path and the directories above it, without "/"."""
    found = []
    while path not in ("", "/"):
        found.append(path)
        path = path.rpartition("/")[0]
    return tuple(found)


def guard(path: str, *, write: bool = False, home: str = "") -> str:
    """Give the name of the first rule that guards a normalised path, "" if none does."""
    return next(iter(guards(path, write=write, home=home)), "")


def guards(path: str, *, write: bool = False, home: str = "") -> tuple[str, ...]:
    """Give the names of all rules that guard a normalised path: lifting one leaves the others.

    write: the job would be able to change it.
    home:  the caller's own home, normalised; "" if unknown: every home is then another's.
    """
    place = _PLACES.get(path, "")
    above = _upwards(path)
    # The longest place counts: /sys/fs/cgroup before /sys.
    tree = next((_TREE_RULES[name] for name in above if name in _TREE_RULES), "")
    if tree == "socket-directories" and path.endswith(_SOCKET_NAMES):
        tree = "unix-sockets"
    keys = "" if KEY_NAMES.isdisjoint(path.split("/")) else "credentials"
    etc = _guard_etc(path, above, write=write) if within(path, "/etc") else ""
    homes = _guard_homes(path, write=write, home=home)
    programs = "system-trees" if write and not _PROGRAM.isdisjoint(above) else ""
    found = (place if not homes else "", tree, keys, *homes, etc, programs)
    return tuple(dict.fromkeys(rule for rule in found if rule))


def _guard_etc(path: str, above: tuple[str, ...], *, write: bool) -> str:
    if write or path == "/etc":
        return "host-etc"
    return "host-etc" if _SSH.isdisjoint(above) and not _ETC_SECRET.isdisjoint(above) else ""


def _guard_homes(path: str, *, write: bool, home: str) -> tuple[str, ...]:
    if path == "/":
        return ()
    # Service users have homes such as /usr/sbin, which make nothing there theirs.
    if home and home != "/" and not _SYSTEM.intersection(_upwards(home)):
        if path == home or (within(home, path) and path not in _PLACES):
            return ("whole-home",)
        if within(path, home):
            return _guard_own_home(path.removeprefix(home + "/"), write=write)
    return ("host-homes",) if within(path, "/home") or within(path, "/root") else ()


def _guard_own_home(inside: str, *, write: bool) -> tuple[str, ...]:
    keys = any(within(inside, name) or within(name, inside) for name in _HOME_KEYS)
    startup = write and any(within(inside, name) or within(name, inside) for name in _HOME_STARTUP)
    return ("credentials",) * keys + ("startup-files",) * startup


def holds_etc_secret(path: str) -> str:
    """Give the first place of secrets that lies below a directory in /etc, "" if none does."""
    return next((place for place in _ETC_SECRETS if place != path and within(place, path)), "")


def builds(dest: str, *, source: str = "", scratch: bool = False) -> bool:
    """Whether hardbox itself builds what stands at `dest` inside, so that nothing may cover it.

    source:  what would be shown there read-only, "" for anything else. A file of the host's /etc or
             /usr may be shown at its own place, unless hardbox writes that file.
    scratch: an empty tmpfs would stand there.
    """
    if dest == "/" or any(within(dest, place) for place in _BUILT):
        return not (scratch and dest == "/dev/shm")  # noqa: S108 (a path inside)
    if any(within(dest, place) for place in _COVERED):
        return dest != source or dest in _WRITTEN
    return False
