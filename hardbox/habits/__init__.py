"""What people type or write out of habit, understood in order to be refused well.

Run by: the Python front, only for words that hardbox itself does not know; pure. The habits are
those of docker, podman, bwrap, firejail, nsjail, unshare and Kubernetes. Case does not count, and
"_" is "-": a word that is refused in one spelling must not be merely unknown in another.
"""

from __future__ import annotations

from hardbox.habits.flags import flag
from hardbox.habits.keys import key

__all__ = ["flag", "key"]
