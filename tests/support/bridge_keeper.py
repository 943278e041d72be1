"""The keeper of network mode "bridge" by itself, as `python3 -m hardbox.net` starts it.

Run by: tests/support/bridges.py. Arguments: descriptors of settings, sockets and events.
"""

from __future__ import annotations

import json
import os
import sys

from hardbox.net import bridge

if __name__ == "__main__":
    settings, sockets, events = (int(word) for word in sys.argv[1:])
    with os.fdopen(settings) as file:
        wanted = json.load(file)
    sys.exit(bridge.keep(wanted, sockets, events))
