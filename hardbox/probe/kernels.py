"""Kernel series and when kernel.org stops mending them: a dated list.

Run by: hardbox.probe. Data only.
"""

from __future__ import annotations

from typing import Final

TAKEN: Final = "2026-11"
SOURCE: Final = "kernel.org/releases.html, longterm table as extended in March 2026"

# Series -> the month after which no fixes are promised, "YYYY-MM". Only longterm series:
# a distribution may keep others alive by itself, which cannot be read off a version number.
END_OF_LIFE: Final = {
    "4.14": "2024-01",
    "4.19": "2024-12",
    "5.4": "2025-12",
    "5.10": "2026-12",
    "5.15": "2026-12",
    "6.1": "2027-12",
    "6.6": "2027-12",
    "6.12": "2028-12",
    "6.18": "2028-12",
}
