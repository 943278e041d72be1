"""The broker's program, as far as it is more than its parts: what it imports before it loses its files."""

from __future__ import annotations

import dns.message
from support.brokers import wanted

from hardbox.net import broker
from hardbox.net.addresses import Addresses
from hardbox.net.bucket import Bucket
from hardbox.net.stub import Stub


def test_the_samples_ask_for_every_kind_of_answer() -> None:
    told = wanted("index.example.org:443")
    stub = Stub(told.allow, Addresses(told.allow), ipv6=True)
    answers = []
    for query in broker._SAMPLES:  # noqa: SLF001 (what is tested)
        wire = stub.answer(query, datagram=True).wire
        assert wire is not None
        answers.append(dns.message.from_wire(wire))
    assert [[str(rrset) for rrset in answer.answer] for answer in answers] == [
        ["localhost. 30 IN A 127.0.0.1"],
        ["localhost. 30 IN AAAA ::1"],
        ["1.0.0.127.in-addr.arpa. 30 IN PTR localhost."],
        [],
    ]
    assert all(answer.edns == 0 for answer in answers)
    assert answers[3].options, "the extended error"


def test_importing_everything_leaves_the_name_server_to_be_made() -> None:
    program = broker.Broker(wanted("index.example.org:443"))
    program.import_all()
    program.service.ipv6 = True
    query = dns.message.make_query("index.example.org", "AAAA").to_wire()
    wire = program.service.stub().answer(query, datagram=True).wire
    assert wire is not None
    assert dns.message.from_wire(wire).answer


def test_a_bucket_gives_twice_its_rate_at_once_and_then_its_rate() -> None:
    bucket = Bucket(10, 100.0)
    assert [bucket.take(100.0) for _ in range(21)] == [True] * 20 + [False]
    assert [bucket.take(100.15), bucket.take(100.15)] == [True, False]
    assert sum(bucket.take(1000.0) for _ in range(100)) == 20
