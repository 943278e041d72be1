"""`hardbox seccomp show|convert`: look at filters; turn Docker's and OCI's JSON into them and back.

Run by: cli/main.py.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
from typing import TYPE_CHECKING, Any, Final, NoReturn

from hardbox import filters
from hardbox.cli.output import write
from hardbox.errors import ProfileError, Usage, printable
from hardbox.filters import model as filter_model

if TYPE_CHECKING:
    from hardbox.filters.model import Filter, Group, Row

_MARKS: Final = ("optional", "addable")
# Of the file: a filter is no secret, and must not be writable by others.
_MODE: Final = 0o644


def main(argv: list[str]) -> int:
    """Run the verb; gives the exit status."""
    parser = _Parser(prog="hardbox seccomp", description="Look at filters and convert them.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="show|convert", parser_class=_Parser)
    show = verbs.add_parser("show", help="print a filter: each group, its reason and its calls")
    show.add_argument("name", metavar="NAME|FILE")
    show.add_argument("--json", action="store_true", help="for programs")
    convert = verbs.add_parser("convert", help="Docker or OCI JSON to a filter file, or a filter to JSON")
    convert.add_argument("source", metavar="IN.json|NAME|IN.toml")
    convert.add_argument("-o", "--output", required=True, metavar="OUT.toml|OUT.json")
    request = parser.parse_args(argv)
    if request.verb == "show":
        return _show(request.name, as_json=request.json)
    return _convert(request.source, request.output)


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are ours (exit 125)."""

    def error(self, message: str) -> NoReturn:
        raise Usage("HB001", message, instead=f"{self.prog} --help")


def _show(name: str, *, as_json: bool) -> int:
    model = filter_model.load(name, filters.read_filter)
    if as_json:
        document = {
            "schema": "hardbox.filter/1",
            "name": model.name,
            "summary": model.summary,
            "extends": model.extends,
            "groups": [_group(group) for group in model.groups],
            "totals": _totals(model),
        }
        print(json.dumps(document, indent=2))
        return 0
    print(printable(f"{model.name}: {model.summary}"))
    for group in model.groups:
        marks = [mark for mark in _MARKS if getattr(group, mark)]
        marks += [f"with CAP_{group.with_capability}"] if group.with_capability else []
        print("\n" + printable(f"{group.name}  ({', '.join((*marks, f'from {group.source}'))})"))
        print(printable(f"  {group.why}"))
        _lines("allowed", group.allow)
        _lines("allowed when", map(_words, group.allow_when))
        _lines("refused" if group.errno == errno.EPERM else errno.errorcode[group.errno], group.refuse)
        _lines("refused when", map(_words, group.refuse_when))
    totals = _totals(model)
    print("\n" + ", ".join(f"{count} {what}" for what, count in totals.items()))
    print("any other call: ENOSYS; another architecture's: the process is killed")
    return 0


def _lines(title: str, rules: Any) -> None:  # noqa: ANN401 (any iterable of strings)
    import textwrap  # noqa: PLC0415 (only for people)

    text = ", ".join(rules)
    if text:
        start = f"  {title}: "
        wrapped = textwrap.wrap(printable(text), 100, initial_indent=start, subsequent_indent="    ")
        print("\n".join(wrapped))


def _words(row: Row) -> str:
    tests = [
        f"arg{test.arg} & {test.mask:#x} == {test.value:#x}"
        if test.mask != filter_model.WORD
        else f"arg{test.arg} == {test.value:#x}"
        for test in row.tests
    ]
    return f"{row.call}({' and '.join(tests) or 'any'})"


def _group(group: Group) -> dict[str, Any]:
    def row(row: Row) -> dict[str, Any]:
        tests = [{"arg": test.arg, "mask": test.mask, "value": test.value} for test in row.tests]
        return {"call": row.call, "tests": tests}

    return {
        "name": group.name,
        "why": group.why,
        "source": group.source,
        "addable": group.addable,
        "optional": group.optional,
        "with_capability": group.with_capability,
        "errno": errno.errorcode[group.errno],
        "allow": list(group.allow),
        "allow_when": [row(item) for item in group.allow_when],
        "refuse": list(group.refuse),
        "refuse_when": [row(item) for item in group.refuse_when],
    }


def _totals(model: Filter) -> dict[str, int]:
    rules = filter_model.effective(model)
    conditional = {row.call for row in (*rules.allow_when, *rules.refuse_when)}
    allowed = rules.allow - conditional
    return {
        "groups": len(model.groups),
        "calls allowed": len(allowed),
        "allowed by argument": len(conditional - (set(rules.refuse) - rules.allow)),
        "refused by name": len(set(rules.refuse) - rules.allow - conditional),
    }


def _convert(source: str, output: str) -> int:
    from hardbox.filters import docker as docker_seccomp  # noqa: PLC0415 (only to convert)

    kinds = (source.endswith(".json"), output.endswith(".json"), output.endswith(".toml"))
    if kinds == (True, False, True):
        tables, left_out = docker_seccomp.read(_json(source), source)
        text = _toml(tables, source)
        # Read back and compiled before it is written: an unknown call's name shows here.
        model = filter_model.load(source, lambda _name: text.encode())
        filters.compile_rules(filter_model.effective(model), "x86_64")
        write(output, text.encode(), "filter", mode=_MODE, replace=False)
        if left_out:
            print(printable(f"{output}: left out, no filter may allow them: {', '.join(left_out)}"))
        return 0
    if kinds == (False, True, False):
        rules = filter_model.effective(filter_model.load(source, filters.read_filter))
        text = json.dumps(docker_seccomp.write(rules), indent=2) + "\n"
        write(output, text.encode(), "filter", mode=_MODE, replace=False)
        return 0
    raise Usage(
        "HB001",
        "convert goes from JSON to TOML, or from TOML to JSON",
        value=f"{source} -o {output}",
        instead="hardbox seccomp convert docker.json -o mine.toml",
    )


def _json(path: str) -> object:
    from hardbox import files  # noqa: PLC0415 (only to convert)

    raw = files.read(path, "filter").content
    try:
        return json.loads(raw, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ProfileError("HB451", "the file is not JSON", value=str(error), origin=path) from error


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = f"a key stands twice among {', '.join(key for key, _ in pairs)}"
        raise ValueError(message)
    return found


def _toml(tables: dict[str, Any], source: str) -> str:
    import tomlkit  # noqa: PLC0415 (only to write TOML)

    document = tomlkit.document()
    document.add(
        tomlkit.comment(f"From {os.path.basename(source)}. Calls that nothing names answer ENOSYS; other")
    )
    document.add(tomlkit.comment("architectures are killed; values are compared on their low 32 bits."))
    document["summary"] = tables["summary"]
    groups = tomlkit.table(is_super_table=True)
    for name, table in tables["group"].items():
        made = tomlkit.table()
        for key, value in table.items():
            made[key] = _array(value) if isinstance(value, list) else value
        groups[name] = made
    document["group"] = groups
    return tomlkit.dumps(document)


def _array(values: list[Any]) -> Any:  # noqa: ANN401 (a tomlkit array)
    import tomlkit  # noqa: PLC0415 (only to write TOML)

    array = tomlkit.array()
    for value in values:
        item = value
        if isinstance(value, dict):
            item = tomlkit.inline_table()
            item.update(value)
        array.append(item)
    return array.multiline(multiline=True)
