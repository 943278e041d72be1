"""The findings as a table for a terminal.

Run by: cli/verify.py; pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardbox.verify.check import ALLOWED, ESCAPED, TITLES, VACUOUS, VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardbox.verify.findings import Findings


def lines(found: Findings, *, verbose: bool = False) -> Iterator[str]:
    """Give the table per class, what did not hold, and the summary.

    verbose: every check too.
    """
    policy, plan = found.profile["policy sha256"][:16], found.profile["plan sha256"][:16]
    yield f"hardbox verify: profile {found.profile['name']} (policy sha256 {policy}, plan {plan})"
    yield f"Linux {found.host['kernel']}, as {found.host['caller']}, {found.seconds:.1f} s"
    yield ""
    width = max(len(title) for title in TITLES.values()) + 2
    yield f"{'class':<10}{'':<{width}}" + "".join(f"{word:>10}" for word in VERDICTS)
    for group in found.groups():
        counts = "".join(f"{found.count(word, group) or '-':>10}" for word in VERDICTS)
        yield f"{group:<10}{TITLES[group]:<{width}}{counts}"
    yield f"{'all':<10}{'':<{width}}" + "".join(f"{found.count(word):>10}" for word in VERDICTS)
    yield ""
    if verbose:
        for row in found.rows:
            yield f"{row.word:<8} {row.id}: {row.what}: {row.reason}"
        yield ""
    for word in (ALLOWED, ESCAPED):
        for row in found.of(word):
            yield f"{word}: {row.id}: {row.what}: {row.reason}"
    yield from found.summary().splitlines()
    if found.count(VACUOUS) and not verbose:
        yield "each of them: --verbose, --json or --html"
    yield (
        "nothing escaped"
        if found.held()
        else f"{found.count(ESCAPED)} ESCAPED: do not rely on this profile here"
    )
