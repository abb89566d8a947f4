"""The house has floors, and every import goes down. Imports inside functions count."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "sysgate"

FLOORS = (
    ("facts", "call", "decode", "value", "errors", "action", "decision"),
    ("bpf", "kernel"),
    ("policy",),
    ("compiler", "proof"),
    ("analyse", "lint", "formats"),
    ("launch", "supervise", "life", "ready"),
    ("api", "report", "ftrace"),
    ("cli", "__main__"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
# Rooms of one floor that must not know each other: a proof shares nothing with what it judges,
# the kernel edge knows nothing of bytes' meaning, machine code nothing of the kernel edge.
STRANGERS = {("proof", "compiler"), ("compiler", "proof"), ("kernel", "bpf")}


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[int, str]]:
    """(line, room) of each import of the house's own in a file; those for type checkers only do not count."""
    tree = ast.parse(path.read_text())
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    found = []
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            module = node.module or ""
            names = [f"sysgate.{alias.name}" for alias in node.names] if module == "sysgate" else [module]
        else:
            continue
        found += [(node.lineno, name.split(".")[1]) for name in names if name.startswith("sysgate.")]
    return found


FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_arrow_points_up(path: Path) -> None:
    room = room_of(path)
    assert room in FLOOR, f"{path} stands on no floor: name one in FLOORS"
    for line, other in imports(path):
        if other not in FLOOR:
            assert (SOURCE / "__init__.py").read_text().count(f'"{other}"') or other == "__version__", (
                f"{path}:{line} imports sysgate.{other}, which stands on no floor"
            )
            continue
        assert FLOOR[other] <= FLOOR[room], f"{path}:{line}: {room} (floor {FLOOR[room]}) imports {other} above it"
        assert (room, other) not in STRANGERS, f"{path}:{line}: {room} must not know {other}"


def test_only_the_door_to_the_kernel_touches_ctypes() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] in ("ctypes", "_ctypes") for name in names):
                assert path == SOURCE / "kernel" / "libc.py", f"{path}: ctypes belongs to kernel/libc"


def test_the_face_loads_nothing() -> None:
    import subprocess
    import sys

    code = "import sys; before = set(sys.modules); import sysgate; print(sorted(set(sys.modules) - before))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "['__future__', 'sysgate']"
