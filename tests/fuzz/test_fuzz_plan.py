"""The decoder against hostile bytes: libFuzzer with ASan and UBSan, a bounded pass.

Run by: pytest. A long pass: HARDBOX_FUZZ_SECONDS=1800 pytest tests/fuzz (`make fuzz`); what it
finds new goes to tests/fuzz/corpus.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

HERE = Path(__file__).parent
LAUNCH = HERE.parents[1] / "hardbox" / "launch"
CORPUS = HERE / "corpus"
CORPUS_MAX = 512 << 10
SECONDS = int(os.environ.get("HARDBOX_FUZZ_SECONDS", "40"))
LONG_SECONDS = 600  # from here on, what was found stays in the corpus
SOURCES = ("plan.c", "floor.c", "sha256.c", "command.c")
FLAGS = ("-std=c17", "-D_GNU_SOURCE", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-fno-omit-frame-pointer")
CHECKS = ("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")


def _corpus_maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_corpus", HERE / "make_corpus.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("fuzzer") / "fuzz_plan"
    sources = [str(HERE / "fuzz_plan.c"), *(str(LAUNCH / name) for name in SOURCES)]
    built = subprocess.run(
        ["clang", *FLAGS, *CHECKS, f"-I{LAUNCH}", *sources, "-o", str(binary)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, f"packages clang and libclang-rt-dev are needed:\n{built.stderr}"
    return binary


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds")
    assert _corpus_maker().write(folder) > len(FLAGS)
    return folder


def _run(fuzzer: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["nice", str(fuzzer), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=fuzzer.parent,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
    )


def test_every_seed_is_decoded_or_refused_without_a_report(fuzzer: Path, seeds: Path) -> None:
    inputs = sorted(str(path) for folder in (seeds, CORPUS) for path in folder.iterdir())

    done = _run(fuzzer, *inputs)

    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr.count("Executed ") == len(inputs)


def test_a_bounded_pass_finds_no_crash(
    fuzzer: Path, seeds: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    done = _run(
        fuzzer, f"-max_total_time={SECONDS}", "-max_len=20000", str(tmp_path), str(CORPUS), str(seeds)
    )

    assert done.returncode == 0, done.stderr[-4000:]
    assert "DONE" in done.stderr
    record_property("fuzz", f"plan decoder: {done.stderr.splitlines()[-1]}")
    assert not list(fuzzer.parent.glob("crash-*"))
    if SECONDS >= LONG_SECONDS:
        assert _run(fuzzer, "-merge=1", str(CORPUS), str(tmp_path)).returncode == 0


def test_the_harness_notices_a_decoder_that_reads_too_far(tmp_path: Path, seeds: Path) -> None:
    """The control: without its bound check the decoder must be caught, or the pass proves nothing."""
    broken = tmp_path / "plan.c"
    source = (LAUNCH / "plan.c").read_text()
    assert source.count("if (size > c->left)") == 1
    broken.write_text(source.replace("if (size > c->left)", "if (size > c->left + 64)"))
    binary = tmp_path / "broken"
    sources = [str(HERE / "fuzz_plan.c"), str(broken), *(str(LAUNCH / name) for name in SOURCES[1:])]
    subprocess.run(
        ["clang", *FLAGS, *CHECKS, f"-I{LAUNCH}", *sources, "-o", str(binary)],
        check=True,
        capture_output=True,
    )

    done = _run(binary, "-max_total_time=60", "-max_len=20000", str(seeds))

    assert done.returncode != 0
    assert "AddressSanitizer" in done.stderr


def test_the_corpus_stays_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.iterdir()) < CORPUS_MAX
