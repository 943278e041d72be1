"""The entry of `hardbox`: finds the verb, turns errors into messages and exit codes.

Run by: front/hardbox.c, which has put descriptors 0-2 in order. Imports a verb only when it
is asked for: start-up time is a feature.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Final

from hardbox.errors import EXIT_REFUSED, EXIT_SIGNAL_BASE, HardboxError, SetupFailed, Usage, printable

_SIGINT: Final = 2
# verb -> (module, what it does)
VERBS: Final = {
    "run": ("hardbox.cli.run", "run a command in a sandbox"),
    "serve": ("hardbox.cli.serve", "keep sandboxes ready for the commands of this user"),
    "plan": ("hardbox.cli.plan", "print the steps that run would take; starts nothing"),
    "compile": ("hardbox.cli.compile", "write those steps to a file for hardbox-launch"),
    "verify": ("hardbox.cli.verify", "attack a profile on this host, and show that it holds"),
    "doctor": ("hardbox.cli.doctor", "what this host can enforce, and how to mend what it cannot"),
    "profile": ("hardbox.cli.profile", "list, show, lint or diff profiles"),
    "seccomp": ("hardbox.cli.seccomp", "show filters, or convert them from and to Docker's JSON"),
    "cache": ("hardbox.cli.cache", "where decisions are kept to be fast, and how to drop them"),
    "report": ("hardbox.cli.report", "show what happened in a run, as text or as a page"),
    "explain": ("hardbox.cli.explain", "what an HB code or a report means"),
}


def main(argv: list[str], seal: str = "") -> int:
    """Run `hardbox ARGV...`; gives the exit status.

    seal: the key under which front/seal.c would find this decision the next time, "": none.
    """
    began = time.time_ns()
    if len(argv) == 2 and argv[0] == "help" and argv[1] in VERBS:  # noqa: PLR2004 (help VERB)
        argv = [argv[1], "--help"]
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if argv else EXIT_REFUSED
    if argv[0] in ("-V", "--version", "version"):
        from hardbox import __version__  # noqa: PLC0415 (only for this word)

        print(f"hardbox {__version__}")
        return 0
    if argv[0] == "denied":  # hardbox-launch asks; see there
        from hardbox.cli import denied  # noqa: PLC0415 (only for this word)

        return denied.main(argv[1:])
    if argv[0] not in VERBS:
        raise _unknown_verb(argv)
    import importlib  # noqa: PLC0415 (see above)

    verb = importlib.import_module(VERBS[argv[0]][0])
    if argv[0] == "run":  # which lets an interrupt through to the launch, once there is one
        ran: int = verb.main(argv[1:], seal, began)
        return ran
    import signal  # noqa: PLC0415 (front/hardbox.c holds an interrupt back until here)

    # Python's own handler may lose an interrupt (one raised in a callback is only printed);
    # nothing runs here that would have to be undone.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
    with_debug = argv[0] in ("plan", "compile")  # where it may be a word of the command
    status: int = verb.main([word for word in argv[1:] if with_debug or word != "--debug"])
    return status


def entry(seal: str = "") -> int:
    """Run the command line of this process; see `main`."""
    debug = "--debug" in sys.argv[1 : sys.argv.index("--") if "--" in sys.argv else None]
    try:
        status = main(sys.argv[1:], seal)
        sys.stdout.flush()
    except HardboxError as error:
        if debug:
            import traceback  # noqa: PLC0415 (only with --debug)

            traceback.print_exc()
        return _end(EXIT_REFUSED, error.render())
    except KeyboardInterrupt:
        return _end(EXIT_SIGNAL_BASE + _SIGINT, "hardbox: interrupted\n  nothing was run\n")
    except BrokenPipeError:  # the reader of our own output has left
        return _end(EXIT_REFUSED, "")
    except Exception as error:
        if debug:
            raise
        return _end(EXIT_REFUSED, _output_problem(error) or _internal(error))
    return _end(status, "")


def _end(status: int, message: str) -> int:
    """Say the last word; a stream that takes no more must not change the exit status."""
    for stream, number, text in ((sys.stdout, 1, ""), (sys.stderr, 2, message)):
        try:
            stream.write(text)
            stream.flush()
        except OSError:
            # What is still in the buffer would fail once more, with a status of Python's own.
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return status


def _output_problem(error: Exception) -> str:
    """Say it if our own output cannot be written, as on a full disk; else give ""."""
    if not isinstance(error, OSError) or error.filename is not None:
        return ""
    import errno  # noqa: PLC0415 (only on this path)

    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        return ""
    what = f"the output cannot be written: {error.strerror}"
    return SetupFailed("HB606", what, instead="redirect it to where there is room").render()


def _internal(error: Exception) -> str:
    text = printable(f"{type(error).__name__}: {error}")
    return (
        f"hardbox: failed [HB000]: an internal error: {text}\n"
        "  why      this is a defect of hardbox, or memory or disk ran out\n"
        "  instead  run it again with --debug and report what it prints\n"
    )


def _unknown_verb(argv: list[str]) -> HardboxError:
    word = argv[0]
    if word.startswith("-"):
        from hardbox import habits  # noqa: PLC0415 (only on this path)

        habit = habits.flag(*_split(argv))
        if habit is not None:
            return habit
    from hardbox.words import nearest  # noqa: PLC0415 (only on this path)

    near = nearest(word, VERBS)
    return Usage(
        "HB001",
        f"hardbox has no verb {word[:200]}",
        instead=f"hardbox {near}" if near else "hardbox run -- COMMAND, or hardbox --help",
    )


def _split(argv: list[str]) -> tuple[str, str | None]:
    name, equals, value = argv[0].partition("=")
    return name, value if equals else argv[1] if len(argv) > 1 else None


def _help() -> str:
    lines = ["usage: hardbox VERB ...", "Runs an untrusted command so that it cannot reach the host.", ""]
    lines += [f"  {verb:<8}  {what}" for verb, (_, what) in VERBS.items()]
    lines += ["", "hardbox run --profile strict -- COMMAND    is where to start; hardbox run --help"]
    return "\n".join(lines)
