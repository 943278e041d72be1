"""What telling of refusals costs a job to which nothing is refused: launches, and a build-like load.

Run by: `make bench-more`; usage: bench/denials.py [ROUNDS], as root or as an ordinary user. Both ways in
turn, medians in ms.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

SILENT = ("--set", "seccomp.denials=silent")
HARDBOX = os.path.join(sys.prefix, "bin", "hardbox")
LAUNCH = os.path.join(sys.prefix, "bin", "hardbox-launch")
_LOOP = """
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
    for (int i = 0; i < 2000; i++) {
        pid_t child = fork();
        if (child == 0)
            execl("/usr/bin/true", "true", (char *)0);
        waitpid(child, 0, 0);
    }
}
"""


def seconds(*argv: str) -> float:
    """Time one command."""
    began = time.perf_counter()
    subprocess.run(argv, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print a table."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    with tempfile.TemporaryDirectory(prefix="hardbox-bench-") as folder:
        os.chmod(folder, 0o755)  # noqa: S103 (root's jobs are other users)
        with open(f"{folder}/loop.c", "w", encoding="utf-8") as file:
            file.write(_LOOP)
        with open(f"{folder}/many.c", "w", encoding="utf-8") as file:
            file.writelines(f"int f{i}(int x) {{ return x * {i} + (x ^ {i}); }}\n" for i in range(4000))
        subprocess.run(["cc", "-O2", "-o", f"{folder}/loop", f"{folder}/loop.c"], check=True)
        loads = {
            "launch": (rounds, "strict", "/usr/bin/true"),
            "2000 x fork, exec true": (max(3, rounds // 40), "build", f"{folder}/loop"),
            "gcc -O2": (max(3, rounds // 40), "build", f"gcc -O2 -c -o /tmp/o.o {folder}/many.c"),
        }
        for name, (times, profile, command) in loads.items():
            found: dict[str, list[float]] = {"told": [], "silent": []}
            for way, more in (("told", ()), ("silent", SILENT)):
                words = ["--profile", profile, "--read", folder, *more, "--", *command.split()]
                subprocess.run([HARDBOX, "compile", "-o", f"{folder}/{way}.plan", *words], check=True)
            for _ in range(times):
                for way, figures in found.items():
                    figures.append(seconds(LAUNCH, f"{folder}/{way}.plan"))
            told, silent = (statistics.median(figures) * 1e3 for figures in found.values())
            print(f"{name:<24} told {told:9.2f}   silent {silent:9.2f}   ratio {told / silent:.3f}")


if __name__ == "__main__":
    main()
