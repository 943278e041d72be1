"""The options of run, plan and compile: one table, one parser.

Run by: cli/run.py, cli/plan.py, cli/compile.py. Not argparse: it costs a third of the start-up
time, takes abbreviations, and would eat the words that docker users type before habits.py can
answer them. Options end at `--` or at the first word that is none, as with env(1).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from hardbox import grants
from hardbox.errors import Usage
from hardbox.profile import Setting
from hardbox.words import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hardbox.errors import HardboxError

# Of a value in a message: enough to find it again.
_SHOWN: Final = 200
# How alike two words are before one is offered for the other: not --rm for --read.
_NEAR: Final = 0.75
# Options that name a file to write, each with an example.
_FILES: Final = {
    "--report": "run.json, or /dev/stdout",
    "--audit": "/var/log/hardbox.jsonl",
    "--output": "job.plan",
}
ALL: Final = ("run", "plan", "compile")


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its names, a word for its value ("" if it takes none), verbs, meaning."""

    names: tuple[str, ...]
    value: str
    meaning: str
    verbs: tuple[str, ...] = ALL
    key: str = ""
    repeats: bool = False


OPTIONS: Final = (
    Option(("--profile",), "NAME|FILE", "what the job may do; `hardbox profile list` (default: strict)"),
    Option(("--read",), "P[:DEST]", "show the host path P, read-only", key="filesystem.read", repeats=True),
    Option(
        ("--write",), "P[:DEST]", "let the job change the host path P", key="filesystem.write", repeats=True
    ),
    Option(("--workdir",), "DIR", "directory to start in, inside"),
    Option(("--env",), "K[=V]", "set a variable, or pass the caller's", repeats=True),
    Option(("--hostname",), "NAME", "host name inside", key="identity.hostname"),
    Option(("--network",), "MODE", "none, loopback, allow or bridge (docs/network.md)", key="network.mode"),
    Option(
        ("--allow",), "HOST:PORT", "a destination that the job may reach", key="network.allow", repeats=True
    ),
    Option(
        ("--lockfile",),
        "FILE",
        "allow the hosts that FILE (uv.lock, package-lock.json, ...) names",
        key="network.from_lockfile",
        repeats=True,
    ),
    Option(("--timeout",), "TIME", "wall time, such as 30s or 5m", key="limits.wall"),
    Option(("--memory",), "SIZE", "memory, such as 512M", key="limits.memory"),
    Option(("--tasks",), "N", "processes and threads together", key="limits.tasks"),
    Option(("--set",), "KEY=VALUE", "any key of the profile, such as limits.open_files=64", repeats=True),
    Option(("--loosen",), "KEY=REASON", "why KEY may be weaker than the profile", repeats=True),
    Option(
        ("--explain",), "", "also say which files, addresses and ids were asked for in vain; slow", ("run",)
    ),
    Option(("--report",), "FILE", "write what happened as JSON", ("run",)),
    Option(("--audit",), "FILE", "add one line about this run to FILE (docs/audit.md)", ("run",)),
    Option(("--progress",), "", "time, memory and tasks, on a terminal that stdout does not go to", ("run",)),
    Option(("--quiet", "-q"), "", "say nothing of a job that ran", ("run",)),
    Option(("--json",), "", "the steps as JSON", ("plan",)),
    Option(("--output", "-o"), "FILE", "where to write the plan", ("compile",)),
    Option(("--debug",), "", "show the traceback of an internal error"),
    Option(("--help", "-h"), "", "show this"),
)


@dataclass(slots=True)
class Request:
    """What the command line asks for, still unchecked."""

    profile: str = "strict"
    settings: list[Setting] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    workdir: str | None = None
    report: str = ""
    audit: str = ""
    output: str = ""
    quiet: bool = False
    explain: bool = False
    progress: bool = False
    json: bool = False
    help: bool = False

    def values(self, key: str) -> list[str]:
        """Give what the command line adds to a list of the profile."""
        lists = (setting.value for setting in self.settings if setting.key == key)
        return [str(item) for value in lists if isinstance(value, list) for item in value]


def parse(verb: str, argv: list[str]) -> Request:
    """Read the words behind the verb. Raises Usage HB00x, or what habits.py answers."""
    request = Request()
    seen: set[str] = set()
    for option, name, value in _split(verb, argv, request.command):
        if option.names[0] in seen and not option.repeats:
            raise Usage(
                "HB004",
                f"{option.names[0]} is given twice",
                value=f"{name} {value}".rstrip(),
                why="which of the two is meant cannot be known",
                instead="give it once",
            )
        seen.add(option.names[0])
        _take(request, option, value)
    if not request.command and not request.help:
        raise Usage(
            "HB003",
            "no command is given",
            instead=f"hardbox {verb} [OPTIONS] [--] COMMAND [ARG...]; hardbox {verb} --help",
        )
    return request


def usage_text(verb: str, summary: str) -> str:
    """Give the --help text of one of the three verbs."""
    rows = [
        (", ".join(o.names) + (f" {o.value}" if o.value else ""), o.meaning)
        for o in OPTIONS
        if verb in o.verbs
    ]
    width = max(len(left) for left, _ in rows)
    lines = [f"usage: hardbox {verb} [OPTIONS] [--] COMMAND [ARG...]", summary, ""]
    lines += [f"  {left:<{width}}  {right}" for left, right in rows]
    return "\n".join(lines)


def _split(verb: str, argv: list[str], command: list[str]) -> Iterator[tuple[Option, str, str]]:
    """Pair options with their values; what is left over is the command."""
    known = {name: option for option in OPTIONS if verb in option.verbs for name in option.names}
    words = iter(argv)
    for word in words:
        if word == "--":
            break
        if not word.startswith("-") or word == "-":
            command.append(word)
            break
        name, has_value, value = word.partition("=")
        option = known.get(name)
        rest = list(words) if option is None else []
        if option is None:
            raise _unknown(verb, name, value if has_value else _following(rest), known)
        if option.value and not has_value:
            following = next(words, None)
            if following is None or following == "--" or following.partition("=")[0] in known:
                raise Usage(
                    "HB002",
                    f"{name} needs a value",
                    value=f"{name} {following}" if following else "",
                    instead=f"{name} {option.value}; {name}=VALUE for one that looks like an option",
                )
            value = following
        elif has_value and not option.value:
            raise Usage("HB002", f"{name} takes no value", value=word, instead=name)
        yield option, name, value
    command.extend(words)


def _following(rest: list[str]) -> str | None:
    """Give the next word, if it can be the value of an option that is none of ours."""
    return rest[0] if rest and not rest[0].startswith("-") else None


def _unknown(verb: str, name: str, value: str | None, known: dict[str, Option]) -> HardboxError:
    from hardbox import habits  # noqa: PLC0415 (only for words that are none of ours)

    habit = habits.flag(name, value)
    if habit is not None:
        return habit
    near = nearest(name, known, _NEAR)
    return Usage(
        "HB001",
        f"hardbox {verb} has no option {name[:_SHOWN]}",
        instead=(f"{near}, or " if near else "")
        + f"hardbox {verb} --help; -- before a command that starts with -",
    )


def _take(request: Request, option: Option, value: str) -> None:
    name = option.names[0]
    if name in ("--quiet", "--explain", "--progress", "--json", "--help"):
        setattr(request, name[2:], True)
    elif name in ("--profile", "--workdir", "--report", "--audit", "--output"):
        if not value:
            raise Usage(
                "HB002", f"{name} needs a value", value=f'{name} ""', instead=f"{name} {option.value}"
            )
        if value == "-" and name in _FILES:
            raise Usage(
                "HB002",
                f"{name} writes to a file, and - names none",
                value=f"{name} -",
                instead=f"name a file: {name} {_FILES[name]}",
            )
        setattr(request, name[2:], value)
    elif name in ("--read", "--write"):
        request.settings.append(grants.grant(option.key, value, name))
    elif name == "--env":
        request.settings.append(_variable(value))
    elif name == "--set":
        key, text = _pair(name, value)
        request.settings.append(Setting(key, _toml_value(text), f"--set {key}"))
    elif name == "--loosen":
        key, reason = _pair(name, value)
        request.reasons[key] = reason
    elif option.key:
        given = [value] if option.repeats else value
        request.settings.append(Setting(option.key, given, name, append=option.repeats))


def _pair(name: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise Usage(
            "HB002", f"{name} takes KEY=VALUE", value=f"{name} {text}", instead=f"{name} limits.tasks=32"
        )
    return key, value


def _variable(text: str) -> Setting:
    name, equals, value = text.partition("=")
    if equals:
        return Setting("environment.set", {name: value}, "--env", append=True)
    return Setting("environment.pass", [name], "--env", append=True)


def _toml_value(text: str) -> object:
    """Read the value as TOML would, where it looks like TOML; else it is a string."""
    if not text or not (text[0] in "[{\"'" or text.lstrip("+-").isdigit() or text in ("true", "false")):
        return text
    import tomllib  # noqa: PLC0415 (only with --set)

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError) as error:  # ValueError: also numbers of 5000 digits
        raise Usage(
            "HB002",
            "--set has a value that is not TOML",
            value=text[:_SHOWN],
            why=str(error)[:_SHOWN],
            instead="quote it, or mend it",
        ) from error
