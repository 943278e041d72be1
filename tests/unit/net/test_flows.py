"""Connections in the kernel's list: those of one address, by their first direction; and no list."""

from __future__ import annotations

import errno
import os
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, Self

import pytest

# No types are published.
from pyroute2.netlink.exceptions import NetlinkError  # type: ignore[import-untyped]
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, nfct_msg  # type: ignore[import-untyped]

from hardbox.net import flows
from hardbox.net.flows import flows_of, forget
from hardbox.net.trouble import Trouble

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = IPv4Address("10.210.0.2")
PING = {
    "saddr": "10.210.0.2",
    "daddr": "93.184.216.34",
    "proto": 1,
    "icmp_id": 28041,
    "icmp_type": 8,
    "icmp_code": 0,
}
BACK = PING | {"saddr": "93.184.216.34", "daddr": "192.0.2.2", "icmp_type": 0}
PUBLISHED = {"saddr": "192.0.2.9", "daddr": "192.0.2.2", "proto": 6, "sport": 49414, "dport": 8080}
BEHIND = {"saddr": "10.210.0.2", "daddr": "192.0.2.9", "proto": 6, "sport": 80, "dport": 49414}
OTHER = {"saddr": "10.210.0.22", "daddr": "93.184.216.34", "proto": 17, "sport": 42687, "dport": 443}
ANSWERED = {"saddr": "93.184.216.34", "daddr": "192.0.2.2", "proto": 17, "sport": 443, "dport": 42687}


def message(first: dict[str, Any], back: dict[str, Any], zone: int | None = None) -> Any:  # noqa: ANN401
    """Give the kernel's message of a flow, written and read as one."""
    more = {} if zone is None else {"zone": zone}
    made = nfct_msg.create_from(tuple_orig=NFCTAttrTuple(**first), tuple_reply=NFCTAttrTuple(**back), **more)
    made.encode()
    read = nfct_msg(made.data)
    read.decode()
    return read


class Table:
    """The kernel's side: lists what it is given, and answers deletions."""

    def __init__(self, listed: list[Any], *, listing: int = 0, deleting: int = 0) -> None:
        self.listed, self.listing, self.deleting = listed, listing, deleting
        self.deleted: list[Any] = []

    def __call__(self) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def dump(self) -> list[Any]:
        if self.listing:
            raise NetlinkError(self.listing, os.strerror(self.listing))
        return self.listed

    def entry(self, verb: str, **what: Any) -> None:  # noqa: ANN401
        if self.deleting:
            raise NetlinkError(self.deleting, os.strerror(self.deleting))
        self.deleted.append((verb, what["tuple_orig"].saddr, what.get("zone")))


def test_flows_are_found_in_both_directions_and_of_no_other_address() -> None:
    listed = [message(PING, BACK), message(PUBLISHED, BEHIND, zone=7), message(OTHER, ANSWERED)]
    assert flows_of(ADDRESS, listed) == [PING, PUBLISHED | {"zone": 7}]
    assert flows_of(IPv4Address("10.210.0.3"), listed) == []


def test_what_is_found_is_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table([message(PING, BACK), message(PUBLISHED, BEHIND, zone=7), message(OTHER, ANSWERED)])
    monkeypatch.setattr(flows, "NFCTSocket", table)
    forget(ADDRESS)
    assert table.deleted == [("del", "10.210.0.2", None), ("del", "192.0.2.9", 7)]


def test_a_flow_that_has_ended_meanwhile_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "NFCTSocket", Table([message(PING, BACK)], deleting=errno.ENOENT))
    forget(ADDRESS)


@pytest.mark.parametrize("failing", [{"listing": errno.EINVAL}, {"deleting": errno.EPERM}])
def test_what_cannot_be_forgotten_is_no_address_to_give(
    failing: dict[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "count").touch()
    monkeypatch.setattr(flows, "_TRACKING", str(tmp_path / "count"))
    monkeypatch.setattr(flows, "NFCTSocket", Table([message(PING, BACK)], **failing))
    with pytest.raises(Trouble, match=r"10\.210\.0\.2") as caught:
        forget(ADDRESS)
    assert "nf_conntrack_netlink" in caught.value.instead


def test_without_connection_tracking_there_is_nothing_to_forget(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(flows, "_TRACKING", str(tmp_path / "count"))
    monkeypatch.setattr(flows, "NFCTSocket", Table([], listing=errno.EINVAL))
    forget(ADDRESS)
