"""Seed profiles for the loader's fuzzer: the shipped ones, and one line for each key and rule.

Run by: tests/fuzz/test_fuzz_profile.py, into a temporary directory. tests/fuzz/profiles holds
what fuzzing found beyond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hardbox import data, profile, rules
from hardbox.policy import OPTIONAL
from hardbox.profile import schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REASON: Final = '"the build writes its cache there"'
VALUES: Final = (
    *("true", "false", "0", "-1", "1", "65535", "9223372036854775808", "1.5", "nan", '""', '"/"', '"none"'),
    *('"host"', '"dir:/nonexistent"', '"1G"', '"1e9G"', '"-1M"', '"5m"', '["/usr"]', '["/a:/b", "~"]'),
    *("[]", "{}", '{ "/tmp" = "1M" }', '{ A = "x" }', '["CAP_SYS_ADMIN"]', '["CIS-5.10"]', "1979-05-27"),
    *('"strict"', '"./f.toml"', '"a\\u0000b"', '"\\u001b[31m"', '"\\u202e"', '["192.0.2.1:80"]', "[[[]]]"),
    *('"../../etc"', '"/proc/self/root"', '["/run/docker.sock"]', '["LD_PRELOAD"]', '"range"', '"ephemeral"'),
)
HABITS: Final = (
    *("privileged = true", "[runtime]\nrootful = true", 'network.mode = "bridge"', "[host]\npid = true"),
    *('volumes = ["/:/host"]', "cap_add = ['ALL']", 'security_opt = ["seccomp=unconfined"]'),
    *(
        '[identity]\nuser = "root"',
        "[[filesystem.read]]\nsource = '/x'",
        "[filesystem]\ndevices = ['/dev/sda']",
    ),
)


def seeds() -> Iterator[tuple[str, str]]:
    """Give name and text of every seed."""
    for name in profile.shipped():
        with open(data.path("profiles", name), encoding="utf-8") as file:
            text = file.read()
        bare = "\n".join(line for line in text.split("\n") if line.strip() and not line.startswith("#"))
        yield f"shipped-{name}", bare
        yield f"child-{name}", f'extends = "{name}"\n[loosen]\n"limits.memory" = {REASON}\n'
        settings = f"limits.memory = 2G\n+filesystem.read = ['/srv']\n!limits.memory {REASON[1:-1]}\n"
        yield f"parent-{name}", f'extends = "./parent.toml"\n\n#--\n{bare}\n#--\n{settings}'
    for number, habit in enumerate(HABITS):
        yield f"habit-{number}", habit
    for number, key in enumerate(schema.READERS):
        value = VALUES[number % len(VALUES)]
        table, _, name = key.partition(".")
        line = f"[{table}]\n{name} = {value}" if name else f"{table} = {value}"
        yield f"key-{key}", f'{line}\n[loosen]\n"{key}" = {REASON}'
    yield "rules", "[refuse]\n" + "\n".join(f"{name} = false" for name in rules.RULES)
    yield "optional", "[optional]\n" + "\n".join(f"{name} = {REASON}" for name in OPTIONAL)
    yield "values", "\n".join(f"v{number} = {value}" for number, value in enumerate(VALUES))


def write(folder: Path) -> int:
    """Write the seeds into a folder; gives how many."""
    count = 0
    for name, text in seeds():
        (folder / name).write_text(text, encoding="utf-8")
        count += 1
    return count
