"""H: the network.

Run by: hardbox/verify/corpus/__init__.py; data only. Nothing is sent to another machine: where an
attempt would be, its control goes to the host's own service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox.verify.check import CALLER, EMPTY, FILTERED, HIDDEN, SHUT, THROWAWAY, Check

if TYPE_CHECKING:
    from hardbox.verify.check import Facts

_AWAY: Final = FILTERED | {
    *("ENETUNREACH", "EHOSTUNREACH", "ECONNREFUSED", "EACCES", "EADDRNOTAVAIL", "EAFNOSUPPORT", "ENOENT"),
    *("ENETDOWN", "ENODEV"),
}
_NO_IPV6: Final = "this host has no IPv6"
_TO_TCP: Final = ("connect", "stream", "4", "127.0.0.1", "{socket_tcp}")
_TO_UDP: Final = ("connect", "datagram", "4", "127.0.0.1", "{socket_udp}")


def _strange_interfaces(text: str, _facts: Facts) -> str:
    strange = set(text.split()) - {"lo"}
    return f"interfaces: {sorted(strange)}" if strange else ""


def _strange_devices(text: str, _facts: Facts) -> str:
    names = {line.partition(":")[0].strip() for line in text.splitlines() if ":" in line}
    return f"interfaces: {sorted(names - {'lo'})}" if names - {"lo"} else ""


def _rows(text: str, facts: Facts) -> str:
    """Find a row beneath the heading that is none of the sandbox's own sockets (network mode "allow")."""
    own = facts.places["listeners"].split()
    rows = (row for row in text.splitlines()[1:] if row.split()[1:2] not in ([name] for name in own))
    return next(rows, "")


def _own_address(text: str, facts: Facts) -> str:
    address = facts.places["own_address"]
    return address if address in text else ""


def _callers_network(text: str, facts: Facts) -> str:
    """Judge by the namespace: a listener in a network of the job's own is reached by nobody."""
    if not text.startswith("net:["):
        return "listens, in a network that it does not name"
    return f"listens in the caller's network, {text.strip()}" if text.strip() in facts.namespaces else ""


def _names_canary(text: str, facts: Facts) -> str:
    name = facts.places["socket_abstract"]
    return f"@{name}" if name in text else ""


_HOSTS: Final = (
    ("loopback", _TO_TCP, ()),
    ("loopback-other", ("connect", "stream", "4", "127.0.0.2", "{socket_tcp_any}"), ()),
    ("any", ("connect", "stream", "4", "0.0.0.0", "{socket_tcp}"), ()),  # noqa: S104 (a destination)
    ("own-address", ("connect", "stream", "4", "{own_address}", "{socket_tcp_any}"), ()),
    ("mapped", ("connect", "stream", "6", "::ffff:127.0.0.1", "{socket_tcp}"), ()),
    ("loopback-6", ("connect", "stream", "6", "::1", "{socket_tcp6}"), ()),
    ("metadata", ("connect", "stream", "4", "169.254.169.254", "80"), _TO_TCP),
    ("metadata-6", ("connect", "stream", "6", "fd00:ec2::254", "80"), _TO_TCP),
    ("dns", ("connect", "datagram", "4", "127.0.0.53", "53"), _TO_UDP),
    ("dns-tcp", ("connect", "stream", "4", "127.0.0.53", "53"), _TO_TCP),
    ("private-10", ("connect", "datagram", "4", "10.0.0.1", "53"), _TO_UDP),
    ("private-172", ("connect", "datagram", "4", "172.17.0.1", "53"), _TO_UDP),
    ("private-192", ("connect", "datagram", "4", "192.168.1.1", "53"), _TO_UDP),
    ("public", ("connect", "datagram", "4", "192.0.2.1", "9"), _TO_UDP),
    ("multicast", ("connect", "datagram", "4", "224.0.0.251", "5353"), _TO_UDP),
    ("broadcast", ("send", "datagram", "0", "4", "255.255.255.255", "9"), _TO_UDP),
    ("udp", _TO_UDP, ()),
    ("udp-send", ("send", "datagram", "0", "4", "127.0.0.1", "{socket_udp}"), ()),
    ("fast-open", ("send", "stream", "0x20000000", "4", "127.0.0.1", "{socket_tcp}"), _TO_TCP),
)

CHECKS: Final = (
    *(
        Check(
            f"H1-{name}",
            f"reach {' '.join(words[2:]).replace('{', '').replace('}', '')}",
            words,
            _AWAY,
            "sandbox-runtime; botb -metadata; CIS-5.10; 800-190-4.4.2",
            control=(CALLER,),
            outside=outside,
            vacuous=_NO_IPV6
            if name in ("loopback-6", "mapped")
            else "no second address"
            if name == "own-address"
            else "",
            permit="loopback" if name in ("udp-send", "udp", "dns") else "",
        )
        for name, words, outside in _HOSTS
    ),
    *(
        Check(
            f"H2-interfaces-{how}",
            "interfaces of the host",
            ("interfaces", how),
            FILTERED | {"EACCES", "ENODEV", "EAFNOSUPPORT"},
            "sandlock test_netlink_virt; firejail net_none.exp",
            saw=_strange_interfaces,
            control=(CALLER,),
            vacuous="a host with loopback alone",
        )
        for how in ("netlink", "ioctl")
    ),
    Check(
        "H2-devices",
        "interfaces of the host, through /proc",
        ("read", "/proc/net/dev"),
        EMPTY,
        "firejail net_none.exp",
        saw=_strange_devices,
        control=(CALLER,),
        vacuous="a host with loopback alone",
    ),
    *(
        Check(
            f"H2-{name}",
            f"the {name} table of the host, through /proc",
            ("read", f"/proc/net/{name}"),
            EMPTY,
            "CDK network_namespace.go",
            saw=_own_address if name == "fib_trie" else _rows,
            control=(CALLER,),
            vacuous="the host's table may be empty",
        )
        for name in ("route", "arp", "tcp", "udp", "unix", "fib_trie", "if_inet6", "packet")
    ),
    Check(
        "H3-abstract-listed",
        "abstract sockets of the host, through /proc",
        ("read", "/proc/net/unix"),
        EMPTY,
        "CVE-2020-15257",
        saw=_names_canary,
        control=(CALLER,),
    ),
    Check(
        "H3-abstract",
        "connect to an abstract socket of the host",
        ("connect", "stream", "abstract", "{socket_abstract}"),
        _AWAY,
        "CVE-2020-15257",
        control=(CALLER,),
    ),
    Check(
        "H3-abstract-datagram",
        "send to an abstract socket of the host",
        ("send", "datagram", "0", "abstract", "{socket_abstract_datagram}"),
        _AWAY,
        "landlock scoped_abstract_unix_test.c",
        control=(CALLER,),
    ),
    *(
        Check(
            f"H3-{name}",
            f"connect to {where}, which on some hosts is a way to root",
            ("connect", "stream", *address),
            _AWAY,
            "CVE-2020-15257; CIS-5.32",
            control=(CALLER,),
            outside=("connect", "stream", "abstract", "{socket_abstract}"),
        )
        for name, where, address in (
            ("x11", "the X server", ("abstract", "/tmp/.X11-unix/X0")),
            ("containerd", "containerd's shim", ("abstract", "/containerd-shim/moby/x/shim.sock")),
            ("docker", "docker", ("path", "/var/run/docker.sock")),
            ("containerd-path", "containerd", ("path", "/run/containerd/containerd.sock")),
            ("dbus", "the system bus", ("path", "/run/dbus/system_bus_socket")),
            ("systemd", "systemd", ("path", "/run/systemd/private")),
            ("nscd", "the name cache", ("path", "/var/run/nscd/socket")),
            ("syslog", "the log", ("path", "/dev/log")),
        )
    ),
    Check(
        "H3-path",
        "connect to a socket in a directory of the host",
        ("connect", "stream", "path", "{socket_path}"),
        _AWAY,
        "CIS-5.32",
        control=(CALLER,),
    ),
    Check(
        "H3-path-by-root",
        "connect to that socket through /proc/self/root",
        ("connect", "stream", "path", "/proc/self/root{socket_path}"),
        _AWAY,
        "CIS-5.32",
        control=(CALLER,),
    ),
    Check(
        "H4-ping",
        "an ICMP socket without privilege",
        ("sys", "@socket", "2", "2", "1"),
        FILTERED | {"EACCES"},
        "gVisor TestNetRaw",
        control=(CALLER, THROWAWAY),
        vacuous="net.ipv4.ping_group_range lets nobody have one",
    ),
    Check(
        "H5-add-address",
        "add an address by route netlink",
        ("add-address",),
        FILTERED | {"EACCES", "EAFNOSUPPORT"},
        "sandlock; CVE-2024-1086 class",
        control=(THROWAWAY,),
    ),
    *(
        Check(
            f"H9-own-{name}",
            "listen where others of the host would come to",
            ("listen", *address),
            _AWAY,
            "CIS-5.8; PSS-hostPorts",
            saw=_callers_network,
            control=(CALLER,),
            outside=("listen", "4", "127.0.0.1", "0"),
            permit="loopback" if name != "own-address" else "",
        )
        for name, address in (
            ("any", ("4", "0.0.0.0", "40123")),  # noqa: S104 (an attempt)
            ("own-address", ("4", "{own_address}", "40124")),
            ("loopback", ("4", "127.0.0.1", "40125")),
        )
    ),
    *(
        Check(
            f"H10-{name.replace('/', '-')}",
            "a parameter of the network, through /proc",
            ("open", f"/proc/sys/net/{name}", "wr"),
            SHUT,
            "CVE-2020-8558; PSS-sysctls",
            control=(THROWAWAY,),
            vacuous="not in every kernel",
        )
        for name in (
            *("ipv4/conf/all/route_localnet", "ipv4/conf/all/forwarding", "ipv4/conf/lo/rp_filter"),
            *("ipv4/ip_default_ttl", "ipv4/tcp_syncookies", "unix/max_dgram_qlen", "core/somaxconn"),
        )
    ),
    *(
        Check(
            f"H2-sys-{name}",
            "interfaces of the host, through /sys",
            ("list", f"/sys/class/{name}"),
            HIDDEN,
            "firejail net_none.exp",
            control=(CALLER,),
            vacuous="a host without /sys",
        )
        for name in ("net",)
    ),
)
