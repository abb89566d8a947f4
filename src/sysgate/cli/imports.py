"""Modules of ours loaded without a search: half of what a short command takes is Python looking for them.

Python's own import tries five endings in every folder and works out anew for each module where its bytecode lies
(importlib._bootstrap_external, FileFinder and SourceLoader). Here a module of this package is a file beside its
neighbours. Bytecode is trusted on Python's own terms, the source's time and size (PEP 552 leaves room for others:
those, and all that is missing or stale, are left to Python).
"""

from __future__ import annotations

import posix
import sys
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader
from marshal import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import CodeType, ModuleType
else:
    ModuleSpec = type(__spec__)

_PACKAGE = __name__.partition(".")[0]
_COMPARED_BY_TIME = MAGIC_NUMBER + bytes(4)
_LARGEST = 1 << 16  # bytes; what is larger is left to Python


def shorten() -> None:
    """From now on, in this process, imports of the package's modules take the short way."""
    start = f"{__file__.rpartition('/')[0]}/__pycache__/imports"
    cached = __spec__.cached or ""
    # Not where bytecode lies elsewhere (PYTHONPYCACHEPREFIX), or the package in an archive.
    if isinstance(__spec__.loader, SourceFileLoader) and cached.startswith(start):
        _Finder.ending = cached.removeprefix(start)
        sys.meta_path.insert(0, _Finder)


class _Finder:
    """A finder as importlib.abc.MetaPathFinder has it."""

    ending = ""

    @classmethod
    def find_spec(cls, name: str, path: Sequence[str] | None, _: ModuleType | None = None) -> ModuleSpec | None:
        package, _dot, last = name.rpartition(".")
        if path is None or package.partition(".")[0] != _PACKAGE:
            return None
        folder, inside = path[0], None
        try:
            about = posix.stat(f"{folder}/{last}.py")
        except OSError:
            folder, last = f"{folder}/{last}", "__init__"
            inside = [folder]
            try:
                about = posix.stat(f"{folder}/{last}.py")
            except OSError:
                return None
        file = f"{folder}/{last}.py"
        cached = f"{folder}/__pycache__/{last}{cls.ending}"
        spec = ModuleSpec(name, _Loader(name, file, cached, about), origin=file)
        spec.submodule_search_locations = inside
        spec.cached = cached
        spec.has_location = True
        return spec


class _Loader(SourceFileLoader):
    def __init__(self, name: str, file: str, cached: str, about: posix.stat_result) -> None:
        super().__init__(name, file)
        self._cached = cached
        words = int(about.st_mtime) & 0xFFFF_FFFF | (about.st_size & 0xFFFF_FFFF) << 32
        self._as_recorded = _COMPARED_BY_TIME + words.to_bytes(8, "little")

    def get_code(self, fullname: str) -> CodeType | None:
        try:
            opened = posix.open(self._cached, posix.O_RDONLY | posix.O_CLOEXEC)
        except OSError:
            return super().get_code(fullname)
        try:
            data = posix.read(opened, _LARGEST)
        finally:
            posix.close(opened)
        if data[:16] != self._as_recorded or len(data) == _LARGEST:
            return super().get_code(fullname)
        code: CodeType = loads(memoryview(data)[16:])
        return code
