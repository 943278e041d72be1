"""The smallest change of a run that allows a refused call; each one is tried on the model first.

Run by: denials/__init__.py; pure but for reading the shipped filters.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hardbox import filters
from hardbox.denials import causes, risks
from hardbox.errors import HardboxError
from hardbox.filters import floor
from hardbox.filters import model as models
from hardbox.policy import FILTER_ORDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hardbox.denials.causes import Cause, Inputs
    from hardbox.filters.model import Filter

NEVER: Final = "no profile and no filter can allow it"
_CAPABLE: Final = "nothing: beyond the filter the kernel asks for a capability, and no job keeps one"
# What the kernel does for nobody without a capability of the first user namespace, or (sockets)
# of one that no profile may keep.
_NEED_CAPABILITY: Final = frozenset(
    (
        *("reboot", "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "vhangup", "settimeofday"),
        *(
            "syslog",
            "sethostname",
            "setdomainname",
            "clock_settime",
            "stime",
            "iopl",
            "ioperm",
            "open_by_handle_at",
        ),
        *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "lookup_dcookie"),
    )
)
_PACKET, _RAW, _SOCKET_TYPE = 17, 3, 0xF
_NO_CALL: Final = "nothing: this kernel interface knows no such call"
_ALONE: Final = "a filter file of your own that does not extend a shipped one; see docs/filters.md"


def smallest(model: Filter, inputs: Inputs, cause: Cause, call: str, args: Sequence[int]) -> tuple[str, str]:
    """Give the change and its risk."""
    if not call.replace("_", "a").isalnum():
        return _NO_CALL, ""
    if cause.floor:
        return NEVER, ""
    if call in _NEED_CAPABILITY or (
        call == "socket" and (args[0] == _PACKET or args[1] & _SOCKET_TYPE == _RAW)
    ):
        return _CAPABLE, ""
    for wanted, text, risk in _candidates(model, inputs, cause, call):
        if _allowed(wanted, call, args):
            return text, risk
    if _allowed_by_own(model, inputs, call, args):
        text = (
            f'a filter file: printf \'extends = "{model.name}"\\n[group.own]\\nwhy = "REASON"\\n'
            f'allow = ["{call}"]\\n\' > own.toml; then --set seccomp.filter=./own.toml'
            " --loosen 'seccomp.filter=REASON'"
        )
        return text, risks.RISKS.get(cause.group, risks.UNKNOWN)
    return _ALONE, risks.RISKS.get(cause.group, risks.UNKNOWN)


def _candidates(model: Filter, inputs: Inputs, cause: Cause, call: str) -> Iterator[tuple[Inputs, str, str]]:
    risk = risks.RISKS.get(cause.group, risks.UNKNOWN)
    if cause.kind == causes.EXEC:
        text = "--set filesystem.exec=anywhere --loosen 'filesystem.exec=REASON', or --profile build"
        yield replace(inputs, no_memfd=False), text, risks.EXEC
    silent = "" if cause.kind != causes.LISTENER else "--set seccomp.denials=silent "
    heard = replace(inputs, tells=inputs.tells and not silent)
    if silent:
        yield heard, silent.strip(), risks.RISKS["filters"]
    for group in model.groups:
        if group.addable and call in group.refuse and group.name not in inputs.add:
            names = (*inputs.add, group.name)
            listed = ",".join(f'"{name}"' for name in names)
            text = f"{silent}--set 'seccomp.add=[{listed}]' --loosen 'seccomp.add=REASON'"
            yield replace(heard, add=names), text, risks.RISKS.get(group.name, risk)
    if cause.group in inputs.refuse:
        names = tuple(name for name in inputs.refuse if name != cause.group)
        listed = ",".join(f'"{name}"' for name in names)
        text = f"--set 'seccomp.refuse=[{listed}]' --loosen 'seccomp.refuse=REASON'"
        yield replace(inputs, refuse=names), text, risks.REFUSED
    known = inputs.filter in FILTER_ORDER
    for wider in FILTER_ORDER[FILTER_ORDER.index(inputs.filter) + 1 :] if known else ():
        text = f"--set seccomp.filter={wider} --loosen 'seccomp.filter=REASON', or --profile {wider}"
        yield replace(inputs, filter=wider), text, risks.RISKS.get(cause.group, risks.FILTER)


def _allowed(inputs: Inputs, call: str, args: Sequence[int]) -> bool:
    """Whether the kernel would do the call under these inputs."""
    try:
        model = models.load(inputs.filter, filters.read_filter)
        return models.answer(_rules(model, inputs), call, args) == 0
    except HardboxError:  # a filter without such a group, or a file that is gone
        return False


def _allowed_by_own(model: Filter, inputs: Inputs, call: str, args: Sequence[int]) -> bool:
    """Whether a filter that extends this one, and allows the call, would do."""
    own = models.Group("own", "what it would allow", "own", allow=(call,))
    if model.name not in FILTER_ORDER or any(group.name == "own" for group in model.groups):
        return False
    return models.answer(_rules(replace(model, groups=(*model.groups, own)), inputs), call, args) == 0


def _rules(model: Filter, inputs: Inputs) -> models.Rules:
    names = {group.name for group in model.groups}
    refuse = tuple(name for name in inputs.refuse if name in names)
    rules = models.effective(model, add=inputs.add, refuse=refuse, keep=inputs.keep)
    return floor.put_under(rules, model.name, memfd=inputs.no_memfd, tells=inputs.tells)
