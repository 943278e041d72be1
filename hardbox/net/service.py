"""What all connections of a run share.

Run by: the broker.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardbox.net.addresses import Addresses
    from hardbox.net.bucket import Bucket
    from hardbox.net.copy import Room
    from hardbox.net.decide import Decider
    from hardbox.net.ledger import Ledger
    from hardbox.net.loop import Loop
    from hardbox.net.settings import Settings
    from hardbox.net.stub import Stub


@dataclass(slots=True)
class Service:
    """The parts of one broker.

    ipv6: whether the sandbox has IPv6: the name server gives such addresses only then.
    """

    loop: Loop
    settings: Settings
    ledger: Ledger
    decider: Decider
    addresses: Addresses
    room: Room
    queries: Bucket
    ipv6: bool = False
    _stub: Stub | None = field(default=None)

    def stub(self) -> Stub:
        """Give the name server; dnspython is imported with the first use (64 ms)."""
        if self._stub is None:
            from hardbox.net.stub import Stub  # noqa: PLC0415 (see above)

            self._stub = Stub(self.settings.allow, self.addresses, ipv6=self.ipv6)
        return self._stub
