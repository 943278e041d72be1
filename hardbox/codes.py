"""What every HB code means: one title and one piece of advice each.

Run by: `hardbox explain` and the tests; data only. HB1nn to HB3nn come from rules; the others are
listed here. A code keeps its meaning for ever; one that is no longer used keeps its row.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from hardbox.rules import BY_CODE

if TYPE_CHECKING:
    from collections.abc import Mapping


class Code(NamedTuple):
    """One code: what has happened, and what to do."""

    code: str
    title: str
    instead: str


# First digit -> who says it, as in errors.py.
FAMILIES: Final = MappingProxyType(
    {
        "0": "the command line is wrong",
        "1": "refused: namespaces and privileges",
        "2": "refused: paths and descriptors",
        "3": "refused: ids, limits and kernel parameters",
        "4": "a profile or a filter cannot be used",
        "5": "this host cannot enforce what is promised",
        "6": "setting up the sandbox failed, or something around it did",
    }
)
# Exit status of `hardbox run` -> what it means (docs/errors.md).
EXIT_STATUS: Final = MappingProxyType(
    {
        "0-255": "the command's own status, where none of the rows below applies",
        "124": "the time limit ended it, or the limit on output",
        "125": "hardbox refused or failed; nothing was run",
        "126": "the command was found but cannot be executed inside",
        "127": "the command was not found inside",
        "128+N": "signal N ended the command; 137 (128+9) too where its memory limit did",
    }
)

_OTHERS: Final = (
    Code("HB000", "an internal error of hardbox", "run it again with --debug and report what it prints"),
    Code("HB001", "an unknown option, verb or argument", "hardbox --help, or --help behind the verb"),
    Code("HB002", "an option's value is missing or malformed", "--help behind the verb shows the form"),
    Code(
        "HB003", "the command, or a part of hardbox's own command line, is missing", "hardbox run -- COMMAND"
    ),
    Code("HB004", "something is given too often, or not as often as needed", "--help behind the verb"),
    Code("HB005", "compile has no file to write to", "hardbox compile -o FILE.plan -- COMMAND"),
    Code(
        "HB006",
        "an option or key of another tool, which hardbox says differently",
        "see the message's `instead`",
    ),
    Code("HB007", "a loaded profile cannot be changed", "give the profile by name together with the changes"),
    Code(
        "HB008",
        "--read or --write without a host path, or with one that would be misread",
        "--read ./src, or --read /src:/dest",
    ),
    Code("HB009", "a relative path, and the working directory is gone", "cd to a directory that exists"),
    Code(
        "HB010", "more than one launch can carry", "fewer arguments, paths or PATH entries; see the message"
    ),
    Code(
        "HB011",
        "a pool has no network that somebody would have to keep",
        "hardbox.run, or a profile with network mode none or loopback",
    ),
    Code(
        "HB020",
        "explain was asked about something that is no code, rule, exit status or report",
        "hardbox explain HB103",
    ),
    Code("HB400", "the installation lacks its profiles or filters", "pip install --force-reinstall hardbox"),
    Code(
        "HB401", "there is no shipped profile of that name", "hardbox profile list; a file needs a / or .toml"
    ),
    Code(
        "HB402",
        "the file of a profile or filter cannot be read",
        "name a file that exists and that you may read",
    ),
    Code(
        "HB403", "a profile or filter is not a regular file", "name a file, not a directory, pipe or device"
    ),
    Code("HB404", "the file of a profile or filter is too large", "it is a page of text: at most 1 MiB"),
    Code("HB405", "the profile is not UTF-8", "save it as UTF-8"),
    Code("HB406", "the profile is not TOML", "the message names line and column"),
    Code(
        "HB407",
        "the profile has an unknown key",
        "the message names the nearest key; docs/profiles.md has all",
    ),
    Code("HB408", "a value has the wrong type", "the message shows the type that is needed"),
    Code("HB409", "a value is none of those allowed", "the message names the nearest one"),
    Code("HB410", "a number, size or duration is malformed or out of range", 'such as 64, "512M" or "5m"'),
    Code("HB411", "the host name is not one", "letters, digits and hyphens, at most 63"),
    Code(
        "HB412", "a path is not in its plainest spelling", "absolute, without .. or //, and without a colon"
    ),
    Code("HB413", "a network destination is malformed", 'write "host:port"'),
    Code("HB414", "there is no such capability", "names are those of capabilities(7), without CAP_"),
    Code(
        "HB415",
        "an environment variable is malformed",
        "letters, digits and _; no NUL; of a size that exec takes",
    ),
    Code(
        "HB416",
        "a variable that steers the loader cannot be taken from the caller",
        "give it a fixed value in set",
    ),
    Code("HB417", "a value is weaker than the parent's, without a reason", '[loosen] "KEY" = "REASON"'),
    Code(
        "HB418",
        "the profile does not let the command line add paths or destinations",
        "filesystem.grants, network.grants in a profile of your own; or --profile net-client",
    ),
    Code("HB419", "a reason is given for a key that does not exist", "correct the key in [loosen]"),
    Code("HB420", "a reason is given for a value that is not weaker", "remove the line from [loosen]"),
    Code("HB421", "a reason is too short, too long or not one line", "one line that a reviewer can judge"),
    Code(
        "HB422",
        "profiles extend one another in a circle or too deeply",
        "one parent each, ending at a shipped profile",
    ),
    Code("HB423", "two things are asked for at one place inside", "give one of them another destination"),
    Code("HB424", "there is no rule of that name", "hardbox profile show strict lists the rules"),
    Code("HB425", "an ephemeral root needs room for its changes", 'filesystem.changes = "64M"'),
    Code("HB426", "there is no such optional protection", "the message names those that there are"),
    Code("HB430", 'an ephemeral root with exec = "shown" contradicts itself', 'filesystem.exec = "anywhere"'),
    Code("HB431", "something would be attached inside a host tree where nothing is", "another destination"),
    Code(
        "HB432",
        'network mode "allow" names no destination',
        "--allow HOST:PORT for each one, or --network none",
    ),
    Code(
        "HB433",
        "a destination does not fit the network mode, or there are too many ports",
        "names and addresses with a port each for allow; addresses and ranges for bridge",
    ),
    Code(
        "HB434",
        "a host list cannot be used",
        "[[host]] rows of destination, added and reason; docs/network.md",
    ),
    Code("HB435", "a lock file does not say which hosts it needs", "name them: --allow HOST:PORT"),
    Code(
        "HB436",
        "destinations are named, and the network mode reaches none of them",
        "--profile net-client, or leave them out",
    ),
    Code("HB450", "there is no shipped filter of that name", "strict, baseline, build, inspect, or a path"),
    Code("HB451", "the filter is not TOML or JSON, or too large", "the message names the place"),
    Code("HB452", "the filter breaks the format of filters", "the message names the group and the row"),
    Code("HB453", "the filter's groups or parents contradict one another", "one parent, each group once"),
    Code("HB455", "the filter has no group of that name", "hardbox seccomp show NAME lists its groups"),
    Code(
        "HB456",
        "a group that cannot be added, or is added and refused",
        "choose one; some groups are never added",
    ),
    Code("HB457", "one call is refused with two error numbers", "give it one"),
    Code("HB458", "the filter has too many rows", "write fewer or wider rows"),
    Code("HB459", "the filter does not become a program", "fewer groups or rows"),
    Code("HB460", "the filter cannot be converted", "the message says which part has no counterpart"),
    Code("HB461", "the conversion would take too many entries", "fewer rows for that call"),
    Code("HB462", "the filter allows what no filter may", "take it out; docs/filters.md lists the floor"),
    Code("HB501", "this kernel has no Landlock", 'enable it, or [optional] landlock = "REASON"'),
    Code("HB502", "/proc is not mounted, or not readable", "mount -t proc proc /proc"),
    Code(
        "HB503",
        "this Python cannot make system calls",
        "use a Python built with libffi; the distribution's is",
    ),
    Code("HB504", "what a pool's decision rests on changes all the time", "try again once nobody changes it"),
    Code("HB510", "namespaces cannot be made here", "hardbox doctor names the blocker and the narrowest fix"),
    Code(
        "HB520",
        "a range of ids needs subordinate ids, and there are none",
        'identity.ids = "single", or subuid(5)',
    ),
    Code(
        "HB540", "there are no filters for this machine", "x86_64 and aarch64 have them; see docs/filters.md"
    ),
    Code(
        "HB541",
        "there is no libseccomp to compile the filter with",
        "apt-get install libseccomp2; pip install pyseccomp",
    ),
    Code(
        "HB560",
        "nothing here can limit the memory of the job as a whole",
        'systemd-run --user --scope hardbox ..., or [optional] memory-total = "REASON"',
    ),
    Code(
        "HB561",
        "the memory of so many processes cannot be watched",
        'a smaller limits.tasks, or [optional] memory-total = "REASON"',
    ),
    Code(
        "HB562",
        "swap space can be given by a cgroup only, and there is none for it here",
        "limits.swap = 0, or systemd-run --user --scope hardbox ...",
    ),
    Code(
        "HB563",
        "CPU bandwidth can be limited by a cgroup only, and there is none for it here",
        "leave it out, or systemd-run --user --scope hardbox ...",
    ),
    Code("HB564", "a compiled plan is for another user or kernel", "make it anew here: hardbox compile"),
    Code("HB601", "a step of the plan failed", "the message names step and cause; hardbox doctor"),
    Code(
        "HB602",
        "the launcher failed outside of any step, or did not accept the plan",
        "make the plan anew; hardbox doctor",
    ),
    Code("HB603", "interrupted before the command started", "run it again"),
    Code(
        "HB604",
        "the report or page cannot be written",
        "--report FILE, --html FILE in a directory that you may write",
    ),
    Code("HB605", "a loaded profile cannot be widened (now HB007)", "give the profile by name"),
    Code("HB606", "a plan, filter or page cannot be written", "-o FILE in a directory that you may write"),
    Code(
        "HB607", "the report is not complete; the command was run", "make room on the disk, and run it again"
    ),
    Code("HB608", "the report stands where the job may write", "--report FILE outside of what --write shows"),
    Code(
        "HB609", "the job ran weaker than its plan: a defect of hardbox", "report it, with the --report file"
    ),
    Code(
        "HB610",
        "hardbox-launch is not installed beside hardbox",
        "install hardbox again: make build, or pip install",
    ),
    Code("HB611", "hardbox-launch cannot be started", "check its permissions, and noexec on its file system"),
    Code("HB612", "hardbox-launch spoke nonsense or fell silent", "run it again; then hardbox doctor"),
    Code("HB640", "the directory for output cannot be used", "output_dir= a directory that you may write"),
    Code("HB641", "the output stands where the job may write", "output_dir= outside of what write= shows"),
    Code(
        "HB660",
        "the process that keeps the job's network cannot be started, or ended without a word",
        "run it again; --network none runs the job without a network",
    ),
    Code("HB661", "the job's network cannot be kept", "the message names what is missing, and what to do"),
    Code(
        "HB663",
        "the process that kept the job's network ended before the job, which has run",
        "run it again; from then on nothing was reached",
    ),
    Code(
        "HB662",
        "a compiled plan has nobody who keeps the job's network",
        "hardbox run, or --network none",
    ),
    Code("HB613", "the probe of hardbox verify is not installed", "install hardbox again"),
    Code("HB614", "hardbox verify could not finish", "run it again; report it if it happens again"),
    Code(
        "HB630",
        "somebody around this process listens to its system calls already",
        "--set seccomp.denials=silent, or run it outside of that container",
    ),
    Code(
        "HB631",
        "the filter does not allow sendmsg, by which the supervisor is given its listener",
        "allow it, or --set seccomp.denials=silent",
    ),
    Code(
        "HB632",
        "--explain does not work with trees that do not lie on this machine's own disks",
        "run it without --explain, or with a copy of the tree on a local disk",
    ),
    Code("HB670", "the pool is closed", "run jobs inside of the with statement"),
    Code("HB671", "the pool is full", "fewer jobs at a time, or a larger size, waiting or patience"),
    Code(
        "HB673",
        "HARDBOX_SOCKET names a server that cannot be trusted",
        "the socket that your own hardbox serve made; or unset HARDBOX_SOCKET",
    ),
    Code("HB674", "the server's socket cannot be made", "another path, in a directory that is yours alone"),
    Code("HB650", "the audit log cannot be written", "a file that you may write, with room on its disk"),
    Code("HB651", "the audit log stands where the job may write", "a file outside of what --write shows"),
    Code(
        "HB652",
        "the audit log has no line about a run; the command was run",
        "make room on the disk; the report (--report FILE) says the same and more",
    ),
    Code(
        "HB653",
        "compile with a profile that asks for an audit log, which hardbox-launch does not keep",
        "hardbox run, or a profile without audit.file",
    ),
    Code("HB654", "the report and the audit log are one file", "another file for the report"),
    Code(
        "HB655",
        "hardbox report was given something that is no report",
        "hardbox run --report FILE -- COMMAND writes one",
    ),
)

CODES: Final[Mapping[str, Code]] = MappingProxyType(
    {
        row.code: row
        for row in sorted(
            (*_OTHERS, *(Code(rule.code, rule.title, rule.instead) for rule in BY_CODE.values()))
        )
    }
)

# How the path rules decide, for docs/errors.md.
_ABOUT_PATHS: Final = """
## How paths are decided

* Every path is looked at as it is spelled and as what it leads to; a guarded directory or secret file
  under another name (bind mount, hard link) is known by its inode, a kernel file system by its type
  wherever it is mounted.
* One world-readable file below /etc may be read. Keys and passwords there, files that are not for
  everybody, directories that hold such, and every write are refused (host-etc). Files that hardbox writes
  itself (passwd, group, hosts, hostname, nsswitch.conf, resolv.conf) cannot be covered.
* Projects in your own home may be shown. Keys (.ssh, .aws, .kube...) are refused wherever they stand, and
  so is a directory that holds them directly; a profile may lift `credentials`, because an agent that
  deploys needs a token, and then the reason stands in the report. The home as a whole is refused, for
  writing also the files that your own programs run later (.bashrc, .config, bin).
* All of /run is refused, plain files too, and so are /tmp as a whole and every directory in which a
  socket stands: the look goes one level deep. A socket itself is never shown, and a directory with a
  container engine's socket neither: it is root on the host.
* What the job may write must neither contain nor lie within hardbox's installation, its cache, or the
  profile files in use.
* A home is yours by the user database. What guards one's own home (whole-home, credentials, startup-files)
  guards $HOME too, where that is another directory; nothing is allowed because of $HOME.
"""


def documentation() -> str:
    """Write docs/errors.md; a test keeps the file equal to this."""
    lines = [
        "# Errors and exit statuses",
        "",
        "Every refusal has the same form: what, the value and where it came from, why, the rule with the",
        "standards that ask for it, and what to do instead. `hardbox explain CODE` tells more.",
        "",
        "## Exit status of `hardbox run`",
        "",
        "| status | meaning |",
        "|---|---|",
        *(f"| {status} | {meaning} |" for status, meaning in EXIT_STATUS.items()),
        "",
        "Which 125, and which limit, stands in the report (`--report FILE`).",
    ]
    for digit, family in FAMILIES.items():
        rows = [row for code, row in CODES.items() if code[2] == digit]
        lines += ["", f"## HB{digit}nn: {family}", ""]
        if rows[0].code in BY_CODE:
            lines += [
                "| code | rule | what | instead | lifted by a profile | standards |",
                "|---|---|---|---|---|---|",
            ]
            lines += [_rule_row(row) for row in rows]
        else:
            lines += ["| code | what | instead |", "|---|---|---|"]
            lines += [f"| {row.code} | {_cell(row.title)} | {_cell(row.instead)} |" for row in rows]
    return "\n".join(lines) + "\n" + _ABOUT_PATHS


def _rule_row(row: Code) -> str:
    rule = BY_CODE[row.code]
    by = "never" if rule.floor else "with a reason"
    cells = (row.code, rule.name, row.title, row.instead, by, ", ".join(rule.ids))
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
