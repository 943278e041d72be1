"""The map of the tests' internet: who has which address and name, and what listens where.

Run by: tests/support/internet.py and internet_servers.py, and the tests; data only. The addresses look
public because the broker judges them as such; they exist in a namespace of the tests' own.
"""

from __future__ import annotations

from typing import Final

ONE: Final = "93.184.216.34"
TWO: Final = "93.184.216.35"
RESOLVER: Final = "93.184.216.53"
SIX: Final = "2606:2800:220:1::34"
INWARDS: Final = "10.0.3.7"
METADATA: Final = "169.254.169.254"
INWARDS_6: Final = "fd00::7"
# Public, and the host's own.
OWN: Final = "93.184.218.34"
OWN_6: Final = "2606:2800:220:2::34"
# Public, and nobody's here: there is no way to it.
DARK: Final = "93.184.217.99"

V4: Final = (ONE, TWO, RESOLVER, INWARDS, METADATA, "100.64.0.1", "192.168.7.7", "172.16.0.9")
V6: Final = (SIX, INWARDS_6, "64:ff9b::a00:307", "2002:a00:307::1")

HTTP: Final = 80
HTTPS: Final = 443
HTTP_ODD: Final = 8080
ECHO: Final = 7000
# Says BANNER first, then echoes.
BANNER_PORT: Final = 7001
# Reads until the other side has ended, then says how many bytes came, and their digest.
COUNT: Final = 7002
SSH: Final = 2222
# Nothing listens there.
CLOSED: Final = 7099
BANNER: Final = "220 mail.example.org at your service\r\n"

# Name -> addresses, in the order of the answer. A name that is not here does not exist.
NAMES: Final[dict[str, tuple[str, ...]]] = {
    "index.example.org": (ONE,),
    "files.example.org": (TWO,),
    "a.files.example.org": (TWO,),
    "b.files.example.org": (ONE,),
    "deep.a.files.example.org": (ONE,),
    "blocked.example.org": (ONE,),
    "six.example.org": (SIX,),
    "both.example.org": (SIX, ONE),
    "xn--bcher-kva.example.org": (ONE,),
    "dark.example.org": (DARK,),
    "half-dark.example.org": (DARK, ONE),
    # A public name with an inward address beside a public one.
    "two.example.org": (INWARDS, ONE),
    # Names that lead inwards.
    "own.example.org": (OWN,),
    "own-6.example.org": (OWN_6,),
    "inwards.example.org": (INWARDS,),
    "metadata.example.org": (METADATA,),
    "loop.example.org": ("127.0.0.1",),
    "loop-other.example.org": ("127.9.9.9",),
    "private-172.example.org": ("172.16.0.9",),
    "private-192.example.org": ("192.168.7.7",),
    "carrier.example.org": ("100.64.0.1",),
    "zero.example.org": ("0.0.0.0",),  # noqa: S104 (a name's address)
    "benchmark.example.org": ("198.18.0.1",),
    "loop-6.example.org": ("::1",),
    "zero-6.example.org": ("::",),
    "unique.example.org": (INWARDS_6,),
    "mapped.example.org": ("::ffff:10.0.3.7",),
    "nat64.example.org": ("64:ff9b::a00:307",),
    "six-to-four.example.org": ("2002:a00:307::1",),
}
# Answers to A in turn: a public address first, then one that leads inwards, and again.
REBIND: Final = "rebind.example.org"
REBINDS: Final = (ONE, INWARDS)
# The name server never answers for this one.
MUTE: Final = "mute.example.org"

LEAD_INWARDS: Final = tuple(
    name
    for name in NAMES
    if name.partition(".")[0]
    in {
        *(
            "own",
            "own-6",
            "inwards",
            "metadata",
            "loop",
            "loop-other",
            "private-172",
            "private-192",
            "carrier",
            "zero",
        ),
        *("benchmark", "loop-6", "zero-6", "unique", "mapped", "nat64", "six-to-four"),
    }
)
CERTIFIED: Final = ("*.example.org", "*.files.example.org", "xn--bcher-kva.example.org")
