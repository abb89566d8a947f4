"""The short way to our modules gives what Python's own import gives, and never bytecode that is out of date."""

from __future__ import annotations

import os
import py_compile
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import sysgate

TOLD = """
import importlib, sys
from sysgate.cli.imports import shorten
if sys.argv[1] == "short": shorten()
for name in ("sysgate.call", "sysgate.policy", "sysgate.policy.expressions"):
    module = importlib.import_module(name)
    spec = module.__spec__
    print(module.__name__, module.__package__, module.__file__, module.__cached__, getattr(module, "__path__", None))
    print(spec.name, spec.origin, spec.parent, spec.cached, spec.has_location, spec.submodule_search_locations)
    print(len(spec.loader.get_source(name)), spec.loader.is_package(name))
"""
IS_SHORT = "import sys; from sysgate.cli.imports import shorten; shorten(); print(sys.meta_path[0])"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A folder with a copy of the package, without bytecode."""
    shutil.copytree(Path(sysgate.__file__).parent, tmp_path / "sysgate", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def python(path: Path, *args: str, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, *args],
        env={**clean, "PYTHONPATH": str(path), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def version(path: Path) -> str:
    code = "import sys; sys.argv[1:] = ['run', '--help']; from sysgate.cli.main import entry; entry()"
    return python(path, "-c", code)


def test_a_module_is_what_pythons_own_import_makes_of_it(package: Path) -> None:
    assert python(package, "-c", TOLD, "short") == python(package, "-c", TOLD, "long") != ""


@pytest.mark.parametrize("seconds", [0, 100], ids=["at the same time, of another size", "later, of the same size"])
def test_bytecode_that_is_out_of_date_is_not_used(package: Path, seconds: int) -> None:
    assert "exit" in version(package)  # and bytecode is written
    source = package / "sysgate/cli/run.py"
    about, text = source.stat(), source.read_text()
    assert list((package / "sysgate/cli/__pycache__").glob("run.*.pyc"))
    changed = "Put a file in the place" if seconds == 0 else "leave every QNSWER"
    text = text.replace("leave every answer", changed)
    source.write_text(text)
    os.utime(source, ns=(about.st_atime_ns, about.st_mtime_ns + seconds * 10**9))
    assert changed.split()[-1] in version(package)


@pytest.mark.parametrize("spoiled", [b"", b"\0" * 40, b"\xa7\x0d\x0d\x0a" + b"\1" * 12])
def test_bytecode_of_another_kind_is_left_to_python(package: Path, spoiled: bytes) -> None:
    first = version(package)
    for file in (package / "sysgate/cli/__pycache__").glob("run.*.pyc"):
        file.write_bytes(spoiled)
    assert version(package) == first


def test_bytecode_compared_by_hash_is_left_to_python(package: Path) -> None:
    source = package / "sysgate/cli/run.py"
    py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    source.write_text(source.read_text().replace("leave every answer", "leave every QNSWER"))
    assert "QNSWER" in version(package)


def test_where_bytecode_lies_elsewhere_python_looks_for_it(package: Path, tmp_path: Path) -> None:
    assert "_Finder" in python(package, "-c", IS_SHORT)
    assert "_Finder" not in python(package, "-c", IS_SHORT, PYTHONPYCACHEPREFIX=str(tmp_path / "elsewhere"))


def test_in_an_archive_python_looks_for_modules(package: Path) -> None:
    archive = package / "sysgate.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for file in sorted((package / "sysgate").rglob("*")):
            opened.write(file, file.relative_to(package))
    assert "_Finder" not in python(archive, "-c", IS_SHORT)


def test_a_module_that_is_not_there_is_missed_as_usual(package: Path) -> None:
    code = f"{IS_SHORT}\ntry: import sysgate.nothing\nexcept ModuleNotFoundError as error: print(error)"
    assert python(package, "-c", code).endswith("\nNo module named 'sysgate.nothing'\n")
