"""Valid TOML values for every key of a profile, as hypothesis strategies. Used by the profile tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from hardbox import rules
from hardbox.policy import (
    CAPABILITIES,
    DENIAL_MODES,
    DESTINATION_GRANTS,
    EXEC_MODES,
    FILE_MODES,
    FILTER_ORDER,
    GRANT_MODES,
    ID_MODES,
    NETWORK_LOGS,
    NETWORK_MODES,
    ROOT_MODES,
    SNI_MODES,
    SOCKET_MODES,
)
from hardbox.profile import layers, orders, units

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

NAMES = st.sampled_from(["a", "b", "c-d", "usr"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
BINDS = PATHS | st.tuples(PATHS, PATHS).map(":".join)
SIZES = st.integers(1 << 20, 1 << 41).map(units.size_text)
TIMES = st.integers(1, 10_000).map(lambda n: f"{n}s")
GROUPS = st.lists(st.sampled_from(["io-uring", "tracing", "memfd"]), max_size=3)
VARIABLES = st.sampled_from(["LANG", "TERM", "HOME", "A_1"])
# Few distinct values, so that parent and child are often equal, stricter, weaker and incomparable.
VALUES: dict[str, SearchStrategy[object]] = {
    "summary": st.sampled_from(["one", "two"]),
    "identity.user": st.sampled_from([0, 1, 1000]),
    "identity.group": st.sampled_from([0, 1, 1000]),
    "identity.hostname": st.sampled_from(["box", "x-1"]),
    "identity.ids": st.sampled_from(ID_MODES),
    "filesystem.root": st.just("host") | PATHS.map("dir:{}".format),
    "filesystem.mode": st.sampled_from(ROOT_MODES),
    "filesystem.changes": SIZES,
    "filesystem.show": st.lists(PATHS, max_size=3),
    "filesystem.read": st.lists(BINDS, max_size=2),
    "filesystem.write": st.lists(BINDS, max_size=2),
    "filesystem.scratch": st.dictionaries(PATHS, SIZES, max_size=3),
    "filesystem.exec": st.sampled_from(EXEC_MODES),
    "filesystem.grants": st.sampled_from(GRANT_MODES),
    "network.mode": st.sampled_from(NETWORK_MODES),
    "network.allow": st.lists(
        st.sampled_from(["a.example:443", "*.example.org:80", "[::1]:53", "192.0.2.1:80", "192.0.2.0/24:80"]),
        max_size=3,
    ),
    "network.from_lockfile": st.lists(PATHS, max_size=2),
    "network.grants": st.sampled_from(DESTINATION_GRANTS),
    "network.sni": st.sampled_from(SNI_MODES),
    "network.log": st.sampled_from(NETWORK_LOGS),
    "network.connections": st.integers(1, 99),
    "network.rate": st.integers(1, 99),
    "network.bytes": SIZES,
    "network.idle": TIMES,
    "network.bridge": st.sampled_from(["hbx0", "hbxab"]),
    "network.subnet": st.sampled_from(["10.210.0.0/16", "192.168.7.0/24"]),
    "network.dns": st.lists(st.sampled_from(["192.0.2.53", "192.0.2.54"]), max_size=2),
    "network.join": st.sampled_from(["", "team"]),
    "network.publish": st.lists(st.sampled_from(["127.0.0.1:8080:80", "192.0.2.1:53:53"]), max_size=2),
    "capabilities.keep": st.lists(st.sampled_from(CAPABILITIES), max_size=3),
    "seccomp.filter": st.sampled_from([*FILTER_ORDER, "/f/a.toml", "/f/b.toml"]),
    "seccomp.add": GROUPS,
    "seccomp.refuse": GROUPS,
    "seccomp.denials": st.sampled_from(DENIAL_MODES),
    "limits.memory": SIZES,
    "limits.swap": SIZES | st.just(0),
    "limits.tasks": st.integers(1, 100),
    "limits.cpu": st.integers(1, 8),
    "limits.cpu_bandwidth": st.sampled_from([1, 2, 0.25, 1.5, "0.01", "1024"]),
    "limits.cpu_time": TIMES,
    "limits.wall": TIMES,
    "limits.grace": TIMES,
    "limits.file_size": SIZES,
    "limits.open_files": st.integers(16, 99),
    "limits.locked": SIZES | st.just(0),
    "limits.scratch_files": st.integers(1, 99),
    "limits.output": SIZES,
    "streams.sockets": st.sampled_from(SOCKET_MODES),
    "streams.files": st.sampled_from(FILE_MODES),
    "environment.pass": st.lists(VARIABLES, max_size=3),
    "environment.set": st.dictionaries(VARIABLES, st.sampled_from(["", "x"]), max_size=3),
    "audit.file": st.sampled_from(["", "/a", "/b"]),
    "audit.argv": st.booleans(),
}
LIFTABLE = sorted(name for name, rule in rules.RULES.items() if not rule.floor)
KEYS = [*orders.ORDERS, *(f"refuse.{name}" for name in LIFTABLE)]
# A loaded machine is no failure.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
REASON = "a reason that is long enough"


@st.composite
def tables(draw: st.DrawFn, *, full: bool = False, reasons: bool = True) -> dict[str, object]:
    """A TOML document; `full` states every key, `reasons` gives reasons for some keys."""
    flat: dict[str, object] = {}
    for key, values in VALUES.items():
        if full or draw(st.booleans()):
            flat[key] = draw(values)
    for name in draw(st.lists(st.sampled_from(LIFTABLE), max_size=3, unique=True)) if not full else []:
        flat[f"refuse.{name}"] = draw(st.just(value=False) | st.lists(st.sampled_from(["ACME-7"])))
    document: dict[str, object] = {}
    for key, value in flat.items():
        table, _, name = key.partition(".")
        if not name:
            document[key] = value
            continue
        inner = document.setdefault(table, {})
        assert isinstance(inner, dict)
        inner[name] = value
    if reasons:
        document["loosen"] = dict.fromkeys(draw(st.sets(st.sampled_from(KEYS))), REASON)
    return document


def layer(table: dict[str, object], source: str = "child.toml") -> layers.Layer:
    """The layer of a document, which has to be free of problems."""
    made = layers.from_table(table, source, "/home")
    assert made.problems == [], [str(problem) for problem in made.problems]
    return made
