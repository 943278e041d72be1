"""Our few functions of a C library give what the C library gives.  Run by: pytest; needs a C compiler."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.installed import Installed

HERE = Path(__file__).parent
RUNTIME = HERE.parents[1] / "hardbox" / "runtime"
FLAGS = ("-std=c17", "-D_GNU_SOURCE", "-O1", "-fPIE", "-fstack-protector-strong", "-w")
OWN = ("-fno-builtin", "-static-pie", "-nostdlib")

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="it is for x86-64 alone")


def build(folder: Path, name: str, source: Path, *flags: str) -> str:
    binary = folder / name
    sources = sorted(RUNTIME.glob("*.c")) if flags else []
    words = [
        *FLAGS,
        *flags,
        str(source),
        *map(str, sources),
        "-o",
        str(binary),
        *(["-lgcc"] if flags else []),
    ]
    subprocess.run(["gcc", *words], check=True)
    return str(binary)


def test_it_says_what_the_c_library_says(tmp_path: Path) -> None:
    place = tmp_path / "around" / "place"
    for name in ("folder/inner", "folder/two words"):
        (place / name).mkdir(parents=True)
    (place / "loop").symlink_to("loop")
    (place / "out").symlink_to("../" * 20 + "usr/bin")
    (place / "in").symlink_to("folder/./inner/..")
    (place / "file").write_text("x")
    paths = (
        "/",
        "",
        ".",
        "..",
        "/usr/bin/sh",
        "file",
        "file/x",
        "in",
        "in/inner/../..",
        "out/sh",
        "loop",
        "none",
    )
    said = []
    for name, flags in (("libc", ()), ("own", OWN)):
        binary = build(tmp_path, name, HERE / "runtime_words.c", *flags)
        said.append(
            subprocess.run(
                [binary, *paths, "folder//inner/./../two words", "x" * 5000],
                cwd=place,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env={"KEPT": "until it is unset"},
                check=True,
            )
        )

    left, right = (done.stderr.decode(errors="replace").splitlines() for done in said)
    assert [pair for pair in zip(left, right, strict=True) if pair[0] != pair[1]] == []
    assert said[0].stdout == said[1].stdout
    assert len(said[0].stderr.splitlines()) > 2000


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("char b[8]; memset(b, 1, (size_t)argc * 400); return b[3];", "buffer overflow"),
        ("char b[8]; volatile size_t n = (size_t)argc * 64; wild(b, n); return b[3];", "stack smashing"),
    ],
)
def test_what_a_compiler_checks_ends_the_program(tmp_path: Path, body: str, word: str) -> None:
    source = tmp_path / "wrong.c"
    source.write_text(
        "#include <string.h>\n"
        "static __attribute__((noinline)) void wild(volatile char *b, size_t n)"
        " { for (size_t i = 0; i < n; i++) b[i] = 1; }\n"
        "static __attribute__((noinline)) int wrong(int argc)"
        f" {{ {body} }}\n"
        "int main(int argc, char **argv) { (void)argv; (void)wild; return wrong(argc); }\n"
    )
    objects = []
    for file in (source, *RUNTIME.glob("*.c")):
        flag = "-D_FORTIFY_SOURCE=2" if file == source else "-fno-builtin"
        objects.append(str(tmp_path / f"{file.stem}.o"))
        words = ("-O2", "-fPIE", "-fstack-protector-strong", "-D_GNU_SOURCE", "-w", flag)
        subprocess.run(["gcc", *words, "-c", str(file), "-o", objects[-1]], check=True)
    binary = str(tmp_path / "wrong")
    subprocess.run(["gcc", "-static-pie", "-nostdlib", *objects, "-lgcc", "-o", binary], check=True)
    done = subprocess.run([binary], capture_output=True, text=True, check=False)

    assert done.returncode == -6
    assert word in done.stderr


def test_what_is_installed_stays_hardened(program: Installed) -> None:
    """No writable and executable memory, no symbol left to a loader, pointers read-only after start."""
    for binary in (program.launch, program.hardbox):
        said = subprocess.run(["readelf", "-lhW", binary], capture_output=True, text=True, check=True).stdout
        rows = [line.split() for line in said.splitlines()]
        assert "DYN (" in said
        assert any(row[:1] == ["GNU_RELRO"] for row in rows)
        assert [row[6] for row in rows if row[:1] == ["GNU_STACK"]] == ["RW"]
        assert "INTERP" not in said
        assert not [row for row in rows if row[:1] == ["LOAD"] and "W" in row[6:-1] and "E" in row[6:-1]]
    assert os.access(program.launch, os.X_OK)
