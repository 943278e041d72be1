"""verify/networks.py: what a plan promises of the network, and how /proc says it.  Run by: pytest."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest
from support import plans

from hardbox.plan import steps as s
from hardbox.verify import networks

if TYPE_CHECKING:
    from collections.abc import Callable

SIX: Final = replace(plans.USER, ipv6=True)
FOUR: Final = replace(plans.USER, ipv6=False)
ALLOW: Final = ("a.example.org:443", "10.0.3.7:22", "[2001:db8::1]:22")
LITTLE: Final = pytest.mark.skipif(sys.byteorder != "little", reason="the files below are of such a machine")

HEAD: Final = "  sl  local_address rem_address   st\n"
DEVICES: Final = "Inter-|   Receive\n face |bytes\n    lo: 0 0\n"
ROUTES: Final = "Iface\tDestination\tGateway\n"
TRIE: Final = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 host LOCAL
Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.0.3.7
        /32 host LOCAL
     +-- 127.0.0.0/8 2 0 2
        +-- 127.0.0.0/31 1 0 0
           |-- 127.0.0.0
              /8 host LOCAL
           |-- 127.0.0.1
              /32 host LOCAL
        |-- 127.255.255.255
           /32 link BROADCAST
     |-- 198.18.0.0
        /15 host LOCAL
"""
ZERO: Final = "0" * 32
ROUTES6: Final = "\n".join(
    (
        f"20010db8{'0' * 23}1 80 {ZERO} 00 {ZERO} 00000400 00000001 00000000 80200001       lo",
        f"{ZERO[:-1]}1 80 {ZERO} 00 {ZERO} 00000000 00000003 00000000 80200001       lo",
        f"fd6862786f78{'0' * 20} 40 {ZERO} 00 {ZERO} 00000400 00000001 00000000 80000001       lo",
        f"{ZERO} 00 {ZERO} 00 {ZERO} ffffffff 00000001 00000000 00200200       lo",
    )
)
FILES: Final = {
    "net/dev": DEVICES,
    "net/route": ROUTES,
    "net/fib_trie": TRIE,
    "net/ipv6_route": ROUTES6,
    "net/tcp": HEAD + "   0: 0100007F:0035 00000000:0000 0A\n   1: 0100007F:0C38 00000000:0000 0A\n",
    "net/tcp6": HEAD + f"   0: {ZERO}:01BB {ZERO}:0000 0A\n   1: {ZERO}:0016 {ZERO}:0000 0A\n",
    "net/udp": HEAD + "   0: 0100007F:0035 00000000:0000 07\n",
    **{f"net/{name}": HEAD for name in ("udp6", "raw", "raw6", "unix", "packet")},
}


def promised(mode: str, *allow: str, ipv6: bool = True) -> dict[str, str]:
    return networks.promised(plans.build(plans.policy(network=mode, allow=allow), SIX if ipv6 else FOUR))


def found(**changed: str) -> dict[str, str]:
    files = FILES | {f"net/{name}": content for name, content in changed.items()}
    return networks.found("/proc/7", reader(files))


def reader(files: dict[str, str]) -> Callable[[str], str]:
    return lambda path: files[path.removeprefix("/proc/7/")]


NOTHING: Final = {"interfaces": "lo", "routes": "none", "sockets": "none"}


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        ("none", {"loopback": "down", "own addresses": "none"}),
        ("loopback", {"loopback": "up", "own addresses": "127.0.0.0/8 ::1/128"}),
        ("bridge", {"loopback": "up", "own addresses": "127.0.0.0/8 ::1/128"}),
    ],
)
def test_modes_without_sockets(mode: str, more: dict[str, str]) -> None:
    assert promised(mode) == NOTHING | more


@LITTLE
def test_what_is_promised_is_what_such_a_job_shows() -> None:
    """Each of the two is read by its own code."""
    wanted = promised("allow", *ALLOW)
    assert wanted == found()
    assert wanted["sockets"] == (
        "tcp:127.0.0.1:3128 tcp:127.0.0.1:53 tcp:[::]:22 tcp:[::]:443 udp:127.0.0.1:53"
    )
    assert wanted["own addresses"] == (
        "10.0.3.7/32 127.0.0.0/8 198.18.0.0/15 2001:db8::1/128 ::1/128 fd68:6278:6f78::/64"
    )


def test_without_ipv6() -> None:
    wanted = promised("allow", *ALLOW, ipv6=False)
    assert "[::]" not in wanted["sockets"]
    assert "tcp:0.0.0.0:443" in wanted["sockets"]
    assert "2001:db8::1/128" not in wanted["own addresses"]


@LITTLE
@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("interfaces", {"dev": DEVICES + "  eth0: 0 0\n"}),
        ("routes", {"route": ROUTES + "eth0\t00000000\t0102000A\n"}),
        ("routes", {"ipv6_route": f"{ROUTES6}\n{ZERO} 00 {ZERO} 00 fe80{'0' * 27}1 400 1 0 3 eth0"}),
        ("sockets", {"tcp": FILES["net/tcp"] + "   2: 0100007F:1F90 00000000:0000 0A\n"}),
        ("sockets", {"tcp": HEAD}),
        ("sockets", {"udp6": HEAD + f"   0: {ZERO}:0035 {ZERO}:0000 07\n"}),
        ("sockets", {"raw": HEAD + "   1: 00000000:0001 00000000:0000 07\n"}),
        ("sockets", {"unix": HEAD + "0000: 00000002 00000000 00010000 0001 01 1 @x\n"}),
        ("sockets", {"packet": HEAD + "0000: 3 3 0003\n"}),
        ("own addresses", {"fib_trie": TRIE.replace("10.0.3.7", "10.0.3.8")}),
        ("own addresses", {"fib_trie": TRIE.replace("/15 host LOCAL", "/15 universe UNICAST")}),
        ("own addresses", {"fib_trie": TRIE + "     |-- 192.0.2.1\n        /32 host LOCAL\n"}),
        ("own addresses", {"ipv6_route": ROUTES6.replace("20010db8", "20010db9")}),
        ("own addresses", {"ipv6_route": ROUTES6.replace("80000001", "00000001")}),
    ],
)
def test_a_difference_is_seen(name: str, changed: dict[str, str]) -> None:
    seen, wanted = found(**changed), promised("allow", *ALLOW)
    assert {key for key in wanted if seen[key] != wanted[key]} == {name}


@LITTLE
def test_an_interface_that_is_down_is_seen() -> None:
    seen = found(fib_trie="", ipv6_route="")
    assert (seen["loopback"], seen["own addresses"]) == ("down", "none")


@LITTLE
def test_what_cannot_be_read_is_seen() -> None:
    """verify/record.py gives such words in the place of a file."""
    seen = networks.found("/proc/7", lambda _path: "not readable: EACCES")
    wanted = promised("allow", *ALLOW)
    assert all(seen[name] != wanted[name] for name in ("interfaces", "sockets", "loopback", "own addresses"))


@LITTLE
def test_sockets_of_a_plan_as_the_kernel_writes_them() -> None:
    plan = plans.build(plans.policy(network="allow", allow=ALLOW), FOUR)
    assert networks.listeners(plan) == [
        *("0100007F:0035", "0100007F:0035", "0100007F:0C38", "00000000:0016", "00000000:01BB"),
    ]
    assert networks.listeners(plans.build(plans.policy(network="bridge"), SIX)) == []


@pytest.mark.parametrize("kind", [s.LoopbackUp, s.Listen, s.LocalRoute])
def test_a_step_that_is_gone_is_told(kind: type[s.Step]) -> None:
    plan = plans.build(plans.policy(network="allow", allow=ALLOW), SIX)
    broken = replace(plan, steps=tuple(step for step in plan.steps if not isinstance(step, kind)))
    assert networks.promised(broken) != networks.promised(plan)
