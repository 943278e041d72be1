"""Everything between a profile's bytes and a plan, against hostile text: coverage-guided.

Run by: pytest. A long pass: HARDBOX_FUZZ_SECONDS=1800 pytest tests/fuzz (`make fuzz`); what it
finds new goes to tests/fuzz/profiles.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

HERE = Path(__file__).parent
CORPUS = HERE / "profiles"
CORPUS_MAX = 200 << 10
SECONDS = int(os.environ.get("HARDBOX_FUZZ_SECONDS", "40"))
LONG_SECONDS = 600  # from here on, what was found stays in the corpus
# One input may take this long on a busy machine; it takes less than a millisecond on an idle one.
SLOWEST = 20
LONGEST = 8192


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("seeds")
    assert _module("make_profiles").write(folder) > 40
    return folder


def _run(tmp_path: Path, *arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run the fuzzer; `code` runs before it, to break what it tests."""
    work = tmp_path / "work"
    work.mkdir(mode=0o700, exist_ok=True)
    script = f"{code}\nimport runpy, sys\nsys.argv[0] = {str(HERE / 'fuzz_profile.py')!r}\n"
    script += "runpy.run_path(sys.argv[0], run_name='__main__')"
    return subprocess.run(
        ["nice", sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd=tmp_path,
        env={
            "PATH": f"{os.path.dirname(sys.executable)}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(HERE.parent),
            "HARDBOX_FUZZ_FOLDER": str(work),
        },
    )


def test_a_bounded_pass_finds_nothing_but_errors_of_ours(
    seeds: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    places = (str(new), str(CORPUS), str(seeds))

    done = _run(tmp_path, *places, f"-max_total_time={SECONDS}", f"-timeout={SLOWEST}", f"-max_len={LONGEST}")

    assert done.returncode == 0, done.stderr[-4000:]
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs, done.stderr[-2000:]
    record_property("fuzz", f"profile loader: {runs[0]} in {SECONDS} s")
    assert int(runs[1]) > sum(1 for place in (CORPUS, seeds) for _ in place.iterdir())
    assert not list(tmp_path.glob("crash-*"))
    assert not list(tmp_path.glob("timeout-*"))
    if SECONDS >= LONG_SECONDS:
        assert _run(tmp_path, str(CORPUS), str(new), "-merge=1").returncode == 0


def test_the_harness_notices_an_error_of_another_kind(seeds: Path, tmp_path: Path) -> None:
    """The control: a loader that lets a ValueError through must be caught."""
    code = (
        "import tomllib\n"
        "loads = tomllib.loads\n"
        "def broken(text, **more):\n"
        "    if 'extends' in text and '[limits]' in text: raise KeyError('a defect')\n"
        "    return loads(text, **more)\n"
        "tomllib.loads = broken"
    )

    done = _run(tmp_path, str(seeds), "-max_total_time=60", f"-max_len={LONGEST}", code=code)

    assert done.returncode != 0
    assert "a defect" in done.stderr + done.stdout


def test_the_corpus_stays_small() -> None:
    assert sum(path.stat().st_size for path in CORPUS.iterdir()) < CORPUS_MAX
