"""Lock files: the hosts that one names, as rules for network.allow.

Run by: the Python front, if a lock file is given; pure. What a lock file does not name is not made up: where
a default index is implied, that is an error, since which one it is depends on the machine. A lock file
comes from the project, which may be hostile: its rules are held to `destinations.parse` as any other.

Two limits. An index may send its clients elsewhere for the files themselves (Cargo's does, and so may
those of poetry.lock, Pipfile.lock and requirements.txt), and npm exchanges the host of its default registry
for the configured one. In both cases a host is missing, and the job hears so when it asks for it.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_HOSTS: Final = 64
# The largest lock files of real projects have a tenth of it.
MOST_BYTES: Final = 64 * 2**20
_PORTS: Final = {"https": 443, "http": 80}
_OTHER_SCHEMES: Final = (
    *("ssh", "git", "file", "path+file", "link", "npm", "workspace", "ftp", "hg", "svn"),
    *("github", "gitlab", "bitbucket", "gist"),
)
_MOST_PORT: Final = 65535
# RFC 3986 section 3.2, without user part and percent-encoding.
_AUTHORITY: Final = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{0,5}))?", re.ASCII)
# What pip, npm and Cargo write in front of a URL.
_WRAPPED: Final = re.compile(r"^(?:git|registry|sparse)\+")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):", re.ASCII)
# RFC 3986 section 2: no spaces, no control characters, nothing that some readers strip.
_URL: Final = re.compile(r"[!-~]+", re.ASCII)
# PEP 508: a name, extras, and a URL.
_DIRECT: Final = re.compile(r"([A-Za-z0-9._-]+) ?(?:\[[^\]]*\])? ?@ ?(\S+)", re.ASCII)
_INDEX_OPTIONS: Final = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links")
_HARMLESS_OPTIONS: Final = (
    *("--require-hashes", "--pre", "--prefer-binary", "--only-binary", "--no-binary"),
    *("--trusted-host", "--use-feature"),
)
_NAME_SHOWN: Final = 60
_NO_INDEX: Final = "without naming it: which one that is depends on the machine, so name its hosts as rules"


class _Source(NamedTuple):
    """Where one package comes from.

    package: its name, for messages.
    url:     as the file has it.
    """

    package: str
    url: str


def hosts_of(path: str, data: bytes) -> tuple[str, ...]:
    """Give the rules "HOST:PORT" for the hosts that a lock file names, sorted; its name tells its kind.

    path: only its last part is looked at. data: what the file holds.

    Raises ValueError that says why it cannot be read, or which package comes from what no rule can
    express (ssh, git and file URLs; URLs with a user part). No path, query or user part of a URL is repeated.
    """
    read = _reader(os.path.basename(path))
    if len(data) > MOST_BYTES:
        _refuse(f"has more than {MOST_BYTES} bytes")
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        _refuse("is not UTF-8")
    try:
        rules = {_rule(source) for source in read(text)}
    except RecursionError:
        _refuse("is nested too deeply")
    if len(rules) > MOST_HOSTS:
        _refuse(f"names more than {MOST_HOSTS} hosts")
    return tuple(sorted(rules))


def _reader(name: str) -> Callable[[str], Iterator[_Source]]:
    if "requirements" in name and name.endswith(".txt"):
        return _requirements
    if name not in _READERS:
        _refuse(f"is no kind of lock file that is known: {', '.join(_READERS)}, requirements.txt")
    return _READERS[name]


def _rule(source: _Source) -> str:
    """Give the rule for a URL's host and port."""
    package = _shown(source.package)
    found = _SCHEME.match(source.url)
    if not found or not _URL.fullmatch(source.url):
        _refuse(f"has {package} come from what is no URL")
    scheme = _WRAPPED.sub("", found[1].lower())
    if scheme not in _PORTS:
        # Other words in front of a colon could be a user's name, or a secret.
        kind = f"of the kind {scheme!r}" if scheme in _OTHER_SCHEMES else "of an unknown kind"
        _refuse(f"has {package} come from a URL {kind}; only https and http can be allowed")
    try:
        authority = urlsplit(source.url).netloc
    except ValueError:
        authority = ""
    if "@" in authority:
        _refuse(f"has a user part in the URL of {package}; a lock file should hold no secret")
    parts = _AUTHORITY.fullmatch(authority)
    if not parts:
        _refuse(f"has {package} come from a URL whose host cannot be read")
    port = int(parts[2] or _PORTS[scheme])
    if not 0 < port <= _MOST_PORT:
        _refuse(f"has {package} come from a URL with a port that is none")
    return f"{parts[1].lower()}:{port}"


def _uv(text: str) -> Iterator[_Source]:
    lock = _toml(text)
    if lock.get("version") != 1:
        _refuse("is of a version that is not known; 1 is")
    for package in _rows(lock.get("package", []), "package"):
        name = _text(package.get("name"), "a package's name")
        source = _table(package.get("source"), f"the source of {_shown(name)}")
        remote = [kind for kind in ("registry", "git", "url") if kind in source]
        for kind in remote:
            yield _Source(name, _text(source[kind], f"the source of {_shown(name)}"))
        if not remote and not source.keys() & {"path", "directory", "editable", "virtual"}:
            _refuse(f"has {_shown(name)} come from an unknown kind of source")
        files = _rows(package.get("wheels", []), f"the wheels of {_shown(name)}")
        if "sdist" in package:
            files.append(_table(package["sdist"], f"the sdist of {_shown(name)}"))
        for file in files:
            if "url" in file:
                yield _Source(name, _text(file["url"], f"a file of {_shown(name)}"))


def _poetry(text: str) -> Iterator[_Source]:
    for package in _rows(_toml(text).get("package", []), "package"):
        name = _text(package.get("name"), "a package's name")
        if "source" not in package:
            _refuse(f"has {_shown(name)} come from the default index {_NO_INDEX}")
        source = _table(package["source"], f"the source of {_shown(name)}")
        if source.get("type") in ("directory", "file"):
            continue
        if source.get("type") not in ("legacy", "git", "url"):
            _refuse(f"has {_shown(name)} come from an unknown kind of source")
        yield _Source(name, _text(source.get("url"), f"the source of {_shown(name)}"))


def _cargo(text: str) -> Iterator[_Source]:
    lock = _toml(text)
    if lock.get("version", 1) not in (1, 2, 3, 4):
        _refuse("is of a version that is not known; 1 to 4 are")
    for package in _rows(lock.get("package", []), "package"):
        name = _text(package.get("name"), "a package's name")
        # Without one it is a member of the workspace, or found by its path.
        if "source" in package:
            yield _Source(name, _text(package["source"], f"the source of {_shown(name)}"))


def _npm(text: str) -> Iterator[_Source]:
    lock = _json(text)
    if lock.get("lockfileVersion") not in (1, 2, 3):
        _refuse("is of a version that is not known; 1 to 3 are")
    if "packages" in lock:
        for place, entry in _table(lock["packages"], "packages").items():
            # Others are the project itself and members of its workspace.
            if "node_modules/" in f"{place}/":
                yield from _npm_package(place, _table(entry, _shown(place)))
    else:
        yield from _npm_tree(_table(lock.get("dependencies", {}), "dependencies"))


def _npm_tree(packages: dict[str, object]) -> Iterator[_Source]:
    """Walk the nested tables of version 1, where a version may be a URL instead."""
    for name, entry in packages.items():
        package = _table(entry, _shown(name))
        version = package.get("version")
        if not package.get("resolved") and isinstance(version, str) and _SCHEME.match(version):
            package = {**package, "resolved": version}
        yield from _npm_package(name, package)
        yield from _npm_tree(_table(package.get("dependencies", {}), f"the dependencies of {_shown(name)}"))


def _npm_package(name: str, package: dict[str, object]) -> Iterator[_Source]:
    if package.get("link") or package.get("inBundle") or package.get("bundled"):
        return
    if not package.get("resolved"):
        _refuse(f"has {_shown(name)} come from the default registry {_NO_INDEX}")
    yield _Source(name, _text(package["resolved"], f"the source of {_shown(name)}"))


def _yarn(text: str) -> Iterator[_Source]:
    if "# yarn lockfile v1" not in text.split("\n")[:5]:
        _refuse("is of a version that is not known; 1 is: later ones name no registry")
    # An entry is its names in a line of their own, then what belongs to them, further in.
    for entry in re.split(r"\n(?=[^\s#])", "\n" + text):
        head, _, body = entry.strip().partition("\n")
        if not head or head.startswith("#"):
            continue
        name = head.strip('":').partition(",")[0]
        found = re.search(r'^  resolved "?([^"\n]*)"?\s*$', body, re.MULTILINE)
        if found:
            yield _Source(name, found[1])
        elif not re.search(r"@(?:file|link):", head):
            _refuse(f"has {_shown(name)} come from the default registry {_NO_INDEX}")


def _pnpm(text: str) -> Iterator[_Source]:
    """Refuse: only tarballs from elsewhere have a URL there, and no kind of package has its registry."""
    del text
    _refuse(f"has its packages come from the default registry {_NO_INDEX}")


def _pipenv(text: str) -> Iterator[_Source]:
    lock = _json(text)
    meta = _table(lock.pop("_meta", None), "_meta")
    sources = _rows(meta.get("sources", []), "the sources")
    for source in sources:
        yield _Source("the index", _text(source.get("url"), "the URL of a source"))
    for category, packages in lock.items():
        for name, entry in _table(packages, _shown(category)).items():
            package = _table(entry, _shown(name))
            elsewhere = package.get("git", package.get("file"))
            if elsewhere is not None:
                url = _text(elsewhere, f"the source of {_shown(name)}")
                if "git" in package or _SCHEME.match(url):
                    yield _Source(name, url)
            elif "path" not in package and not sources:
                _refuse(f"has {_shown(name)} come from the default index {_NO_INDEX}")


def _requirements(text: str) -> Iterator[_Source]:
    """Read pip's requirements file format; only with hashes does it lock anything."""
    wanting, index = "", False
    for words in _logical_lines(text):
        option, _, value = words[0].partition("=")
        if option in _INDEX_OPTIONS:
            yield _Source("the index", value or " ".join(words[1:]))
            index = index or option in _INDEX_OPTIONS[:2]
        elif option == "--no-index":
            index = True
        elif option.startswith("-"):
            if option not in _HARMLESS_OPTIONS:
                _refuse(f"has the option {_shown(option)}, which a list of locked packages has no use for")
        elif direct := _DIRECT.match(" ".join(words)):
            yield _Source(direct[1], direct[2])
        elif "://" in words[0]:
            yield _Source("a requirement", words[0])
        elif not any(word.startswith("--hash") for word in words):
            _refuse(f"has no --hash for {_shown(words[0])}, and so locks nothing")
        else:
            wanting = wanting or words[0]
    if wanting and not index:
        _refuse(f"has {_shown(wanting)} come from the default index {_NO_INDEX}")


def _logical_lines(text: str) -> Iterator[list[str]]:
    """Give the words of each line, continued lines put together, without comments and empty lines."""
    for line in re.sub(r"\\\n", " ", text).split("\n"):
        words = re.sub(r"(?:^|\s)#.*", "", line).split()
        if words:
            yield words


def _toml(text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except ValueError as error:
        _refuse(f"is no TOML: {error}")


def _json(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        _refuse("is no JSON")
    return _table(value, "the whole")


def _table(value: object, noun: str) -> dict[str, object]:
    if not isinstance(value, dict):
        _refuse(f"cannot be read: {noun} is no table")
    return value


def _rows(value: object, noun: str) -> list[dict[str, object]]:
    if not isinstance(value, list):
        _refuse(f"cannot be read: {noun} is no list")
    return [_table(row, noun) for row in value]


def _text(value: object, noun: str) -> str:
    if not isinstance(value, str):
        _refuse(f"cannot be read: {noun} is no text")
    return value


def _shown(name: str) -> str:
    """Show a name out of the file on one line, in ASCII."""
    return ascii(name if len(name) <= _NAME_SHOWN else name[:_NAME_SHOWN] + "...")


def _refuse(why: str) -> NoReturn:
    raise ValueError(why)


_READERS: Final[dict[str, Callable[[str], Iterator[_Source]]]] = {
    "Cargo.lock": _cargo,
    "Pipfile.lock": _pipenv,
    "npm-shrinkwrap.json": _npm,
    "package-lock.json": _npm,
    "pnpm-lock.yaml": _pnpm,
    "poetry.lock": _poetry,
    "uv.lock": _uv,
    "yarn.lock": _yarn,
}
