"""`python -m bench [POLICY ...]`: compile the bench's policies, print a table, write bench/out/compiler.json.

--no-kernel   leave out the timings on the running kernel
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench import compiler, kernel
from bench.policies import NAMES

OUT = Path(__file__).parent / "out" / "compiler.json"


def main(arguments: list[str]) -> int:
    """Run the bench; the exit code."""
    timings = "--no-kernel" not in arguments
    names = tuple(argument for argument in arguments if not argument.startswith("-")) or NAMES
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"no such policy: {', '.join(unknown)}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    told = compiler.report(names, timings=timings)
    print(compiler.table(told))
    if timings and kernel.available():
        print(f"no timings on the kernel: {kernel.available()}")
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(told, indent=1) + "\n")
    print(f"written: {OUT.relative_to(Path.cwd()) if OUT.is_relative_to(Path.cwd()) else OUT}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
