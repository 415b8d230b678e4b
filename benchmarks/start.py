"""CPU time of commands that run nothing: ``python -m benchmarks.start`` prints a table.

Each is started some times; the least time counts, above that of a bare Python. Bytecode is cached,
as it is once a package is installed.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

_TIMES = 3


def cpu_s(arguments: Sequence[str], folder: str) -> float:
    """Return the least CPU time of a Python with *arguments*, in seconds.

    Args:
        arguments: Those of the interpreter.
        folder: Where bytecode is cached.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    found = []
    for _ in range(_TIMES + 1):  # the first one fills the cache
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(found[1:])


def has_engines_or_traces(path: Path) -> bool:
    """Return whether a check of a scenario steps engines or reads recorded arrivals."""
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    traced = any("file" in each.get("arrivals", {}) for each in tree["workload"].values())
    return traced or any("engine" in pool for pool in tree["pools"].values())


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        bare_s = cpu_s(["-c", "pass"], folder)
        print("| command | CPU s |\n|---|---|")
        new = str(Path(folder) / "new.yaml")
        commands = [["--help"], ["new", new]]
        scenarios = sorted(Path("scenarios").glob("*.yaml"))
        commands += [["check", str(each)] for each in scenarios if not has_engines_or_traces(each)]
        for command in commands:
            Path(new).unlink(missing_ok=True)
            spent_s = cpu_s(["-m", "fedsim", *command], folder) - bare_s
            print(
                f"| `fedsim {' '.join(command).replace(new, 'NAME')}` | {spent_s:.2f} |", flush=True
            )


if __name__ == "__main__":
    main()
