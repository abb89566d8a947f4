"""`sysgate compile`: turn a policy into a seccomp-BPF program."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from sysgate.api import Policy, Program
    from sysgate.compiler.counts import Counted
    from sysgate.errors import PolicyError

EXAMPLE = """
sysgate compile app.policy -o app.bpf
sysgate compile app.policy --format listing --arch x86_64 --arch i386
"""

PROFILE = """how often each call is made: lines `call: count`, or JSON, {"call": count}, in which a call may also say
how often the values of its arguments come: {"ioctl": {"count": 120, "values": {"cmd": {"TCGETS": 80}}}}"""
_DIGITS = 18  # of a count: more is none
FORMATS = ("raw", "c", "json", "listing")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("policy", metavar="FILE", help="a policy file, - for standard input, or @NAME")
    parser.add_argument("-o", "--output", metavar="OUT", help="where to write (default, and -: standard output)")
    parser.add_argument("--format", choices=FORMATS, default="raw", help="raw: struct sock_filter[] and nothing else")
    parser.add_argument("--arch", action="append", help="for this architecture, several in one program")
    parser.add_argument("--profile", metavar="FILE", help=PROFILE)
    parser.add_argument("--optimize", choices=("full", "fast"), default="full", help="a second, or milliseconds")


def run(args: Namespace) -> int:
    from sysgate import api
    from sysgate.errors import SysgateError

    if args.format == "raw" and args.output in (None, "-") and sys.stdout is not None and sys.stdout.isatty():
        raise SysgateError("a raw program is not for terminals: name a file with -o, or another --format")
    policy = api.load(args.policy)
    if args.profile is None:
        program = policy.compile(args.arch, optimize=args.optimize)
    else:
        program = _compiled_by(args.profile, policy, args)
    _write(_written(program, args.format, args.policy), args.output)
    return 0


def _written(program: Program, form: str, source: str) -> bytes:
    if form == "raw":
        return bytes(program)
    if form == "c":
        return _c(program, source).encode()
    if form == "listing":
        from sysgate.bpf import listing

        return f"{listing.listing(program, program.arches)}\n".encode()
    import json

    told = {
        "policy": source,
        "arches": list(program.arches),
        "big_endian": program.big_endian,
        "instructions": [{"code": code, "jt": jt, "jf": jf, "k": k} for code, jt, jf, k in program.insns],
    }
    return f"{json.dumps(told)}\n".encode()


def _c(program: Program, source: str) -> str:
    """A C array that compiles by itself, with each instruction's meaning beside it."""
    from sysgate.bpf import listing
    from sysgate.decode import escaped

    shown = escaped(os.path.basename(source)).replace("*/", "* /")
    notes = [line.meaning.replace("*/", "* /") for line in listing.lines(program, program.arches)]
    rows = [
        f"\t{{ {code:#06x}, {jt:3}, {jf:3}, {k:#010x} }},\t/* {note} */"
        for (code, jt, jf, k), note in zip(program.insns, notes, strict=True)
    ]
    return "\n".join(
        [
            f"/* {shown}, compiled by sysgate for {', '.join(program.arches)}, and proved. */",
            "#include <linux/filter.h>",
            "",
            "static const struct sock_filter filter[] = {",
            *rows,
            "};",
            "",
            "static const struct sock_fprog program = {",
            "\t.len = sizeof(filter) / sizeof(filter[0]),",
            "\t.filter = (struct sock_filter *)filter,",
            "};",
            "",
        ]
    )


def _compiled_by(profile: str, policy: Policy, args: Namespace) -> Program:
    from sysgate.compiler.counts import CountError
    from sysgate.policy import files

    text = files.read_file(profile, profile)
    counts = _json_profile(profile, text) if text.lstrip().startswith("{") else _lines(profile, text)
    try:
        return policy.compile(args.arch, profile=counts, optimize=args.optimize)
    except CountError as error:
        raise _placed(str(error), error.call, profile, text) from None


def _placed(message: str, call: str, name: str, text: str) -> PolicyError:
    """The error with the first place where the profile names the call."""
    from json import dumps

    from sysgate.errors import PolicyError

    written = dumps(call, ensure_ascii=False) if text.lstrip().startswith("{") else call
    for at, line in enumerate(text.splitlines(), 1):
        column = line.partition("#")[0].find(written) if written == call else line.find(written)
        if column >= 0:
            return PolicyError(message, file=name, line=at, column=column + 1, source=line, width=len(written))
    return PolicyError(message, file=name)


def _lines(name: str, text: str) -> dict[str, Counted]:
    """Counts by call, in lines `call: count` (minijail's frequency files; # begins a comment)."""
    from sysgate.errors import PolicyError

    summed: dict[str, int] = {}
    for at, line in enumerate(text.splitlines(), 1):
        said = line.partition("#")[0].strip()
        if not said:
            continue
        call, colon, count = said.partition(":")
        digits = count.strip()
        if not colon or not (digits.isascii() and digits.isdigit()) or len(digits) > _DIGITS:
            hint = "a line is `call: count`"
            raise PolicyError("no count", file=name, line=at, column=1, source=line, width=len(line), hint=hint)
        summed[call.strip()] = summed.get(call.strip(), 0) + int(digits)
    return dict(summed)


def _json_profile(name: str, text: str) -> dict[str, Counted]:
    import json

    from sysgate.errors import PolicyError

    try:
        return dict(json.loads(text))
    except json.JSONDecodeError as error:
        source = text.split("\n")[error.lineno - 1]
        what = f"the profile is no JSON: {error.msg}"
        raise PolicyError(what, file=name, line=error.lineno, column=error.colno, source=source) from None
    except ValueError:  # more digits than Python reads
        raise PolicyError("the profile is no JSON that can be read: a number in it is too long", file=name) from None
    except RecursionError:
        raise PolicyError("the profile is no JSON that can be read: it is nested too deeply", file=name) from None


def _write(content: bytes, output: str | None) -> None:
    """To standard output, or whole to a file: a failure leaves what was there."""
    from sysgate.decode import escaped
    from sysgate.errors import SysgateError

    if output is None or output == "-":
        if sys.stdout is None:
            raise SysgateError("standard output is closed: name a file with -o")
        sys.stdout.buffer.write(content)
        return
    real = os.path.realpath(output)  # a link stays one
    beside = f"{real}.{os.getpid()}"
    try:
        # A pipe or device is written as it is, and so is what stands behind /dev/stdout.
        if output.startswith(("/dev/", "/proc/")) or (os.path.exists(output) and not os.path.isfile(output)):
            with open(output, "wb") as file:
                file.write(content)
            return
        with open(beside, "xb") as file:
            try:
                file.write(content)
                file.flush()
                os.replace(beside, real)
            except OSError:
                os.unlink(beside)
                raise
    except OSError as error:
        raise SysgateError(f"{escaped(output)}: {error.strerror}") from None
