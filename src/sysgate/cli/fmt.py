"""`sysgate fmt`: put policies into their canonical form."""

from __future__ import annotations

import sys

from sysgate.decode import escaped
from sysgate.errors import PolicyError, SysgateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

EXAMPLE = """
sysgate fmt app.policy
sysgate fmt --check --diff *.policy
sysgate fmt - < app.policy
"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="policy file, rewritten in place; - is standard input to output"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is not canonical")
    parser.add_argument("--diff", action="store_true", help="write nothing but the differences; exit 1 if any")
    parser.add_argument("--stdin-filename", default="<stdin>", metavar="NAME", help="what messages call -")
    parser.add_argument("--json", action="store_true", help="one object that tells what was done")


def run(args: Namespace) -> int:
    only_told = args.check or args.diff
    changed: list[str] = []
    unchanged: list[str] = []
    errors: list[SysgateError] = []
    for name in args.files:
        shown = args.stdin_filename if name == "-" else name
        try:
            before, after = _formatted(name, shown)
            if not only_told:
                _write(name, before, after)
        except SysgateError as error:
            errors.append(error)
            if not args.json:
                print(error, file=sys.stderr)
            continue
        (unchanged if before == after else changed).append(shown)
        if args.diff and before != after and not args.json:
            _show_difference(shown, before, after)
        if not args.json and before != after and (only_told or name != "-"):
            print(f"{'would reformat' if only_told else 'reformatted'} {escaped(shown)}", file=sys.stderr)
    if args.json:
        _print_json(changed, unchanged, errors)
    elif args.files != ["-"]:
        _summarize(changed, unchanged, errors, only_told)
    return 1 if errors or (only_told and changed) else 0


def _formatted(name: str, shown: str) -> tuple[str, str]:
    """The text as it is, and as it should be."""
    from sysgate.policy import files, layout

    if name == "-":
        from sysgate.policy import pipes

        text = files.decoded(pipes.standard_input(shown), shown)
    else:
        text = files.read_file(name, shown)
    return text, layout.formatted(text, shown)


def _write(name: str, before: str, after: str) -> None:
    if name == "-":
        if sys.stdout is not None:  # closed
            sys.stdout.write(after)
    elif before != after:
        _replace(name, after)


def _replace(name: str, text: str) -> None:
    """Write the file whole or not at all: a new one beside it takes its place, with its mode and owner."""
    import os
    import stat
    from tempfile import mkstemp

    path = os.path.realpath(name)  # a link stays one
    temporary = None
    try:
        was = os.stat(name)
        if not stat.S_ISREG(was.st_mode):
            raise SysgateError(f"{escaped(name)} cannot be rewritten: it is no file; `sysgate fmt -` reads and prints")
        descriptor, temporary = mkstemp(prefix=".sysgate-", dir=os.path.dirname(path))
        with open(descriptor, "w", encoding="utf-8", newline="\n") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(descriptor)
            os.fchmod(descriptor, was.st_mode & 0o7777)
            if (was.st_uid, was.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, was.st_uid, was.st_gid)
        os.replace(temporary, path)
    except OSError as error:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
        raise SysgateError(f"{escaped(name)} cannot be written: {error.strerror}") from None


def _show_difference(name: str, before: str, after: str) -> None:
    from difflib import unified_diff

    from sysgate.cli.colour import paint

    name = escaped(name)
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for line in unified_diff(
        before.splitlines(), after.splitlines(), f"{name}\t(as it is)", f"{name}\t(canonical)", lineterm=""
    ):
        style = "bold" if line.startswith(("+++", "---")) else styles.get(line[:1])
        print(paint(line, style, sys.stdout) if style else line)
    if before.splitlines() == after.splitlines():
        print(f"{name}: only line ends, a byte-order mark or the last newline differ")


def _summarize(changed: list[str], unchanged: list[str], errors: list[SysgateError], only_told: bool) -> None:
    will = "would be " if only_told else ""
    parts = [
        f"{_files(len(changed))} {will}reformatted" if changed else "",
        f"{_files(len(unchanged))} {will}left unchanged" if unchanged else "",
        f"{_files(len(errors))} cannot be read" if errors else "",
    ]
    print(", ".join(part for part in parts if part), file=sys.stderr)


def _files(count: int) -> str:
    return f"{count} file{'s' * (count != 1)}"


def _print_json(changed: list[str], unchanged: list[str], errors: list[SysgateError]) -> None:
    from json import dumps

    told = []
    for error in errors:
        for one in error.errors if isinstance(error, PolicyError) else (error,):
            place = {key: getattr(one, key, None) for key in ("file", "line", "column")}
            told.append({**place, "message": getattr(one, "message", str(one)), "hint": getattr(one, "hint", "")})
    print(dumps({"ok": not errors, "changed": changed, "unchanged": unchanged, "errors": told}))
