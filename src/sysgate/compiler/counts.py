"""A profile → weights: how often each call is made, and with which values, as somebody counted it.

    {"read": 4000, "ioctl": {"count": 120, "values": {"cmd": {"TCGETS": 80, "0x5413": 30}}}}

A call's count stands alone, or beside counts of the values of its arguments: by name, or reg0 … reg5.
"""

from __future__ import annotations

from collections.abc import Mapping

from sysgate.compiler.profile import PRICE, Weights, built_in
from sysgate.errors import CompileError
from sysgate.facts import calls, constants, prototypes
from sysgate.facts.nearest import nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    # What a profile says of a call: a count, or {"count": n, "values": {argument: {value: n}}}.
    Counted = int | float | Mapping[str, object]

# Beside a profile an instruction costs a quarter, and unserved calls count a tenth more instead of three: what is known
# of a program outweighs what is guessed of all. With the usual weights the mean over the bench's own streams would be
# 5.92 instead of 5.86 (P1), 7.66 instead of 7.42 (P3), 12.6 instead of 12.0 (P5): more than was asked for.
CHEAPER = 4
UNSERVED = 0.1
FIELDS = {"count", "values"}
REGISTERS = ("reg0", "reg1", "reg2", "reg3", "reg4", "reg5")
WORD = (1 << 64) - 1
HALF = (1 << 32) - 1
LEAST, MOST = 2**-64, 2**64  # of a count that is not 0


class CountError(CompileError):
    """What a profile says of a call, and is no count. call: as the profile names it."""

    def __init__(self, message: str, call: str) -> None:
        super().__init__(message)
        self.call = call

    def __reduce__(self) -> tuple[type[CountError], tuple[str, str]]:
        return type(self), (str(self), self.call)


def of_counts(counts: Mapping[str, Counted], names: Sequence[str]) -> Weights:
    """Weights from a profile. names: the architectures to compile for.

    Raises CountError for a call, argument or constant that none of them has, and for a count that is none.
    """
    if not isinstance(counts, Mapping):
        raise CompileError(f"a profile gives counts by call name; this is {type(counts).__name__}")
    known: dict[str, float] = {}
    values: dict[tuple[str, str, int], list[tuple[int, float]]] = {}
    for written, counted in counts.items():
        if not isinstance(written, str):
            raise CompileError(f"a profile gives counts by call name, not {written!r}")
        try:
            _add(written, counted, names, known, values)
        except CompileError as error:
            raise CountError(str(error), written) from None
    if not any(known.values()):
        return built_in()
    return Weights(((1.0, known),), PRICE / CHEAPER, UNSERVED, values=values)


def _add(
    written: str,
    counted: Counted,
    names: Sequence[str],
    known: dict[str, float],
    values: dict[tuple[str, str, int], list[tuple[int, float]]],
) -> None:
    found = {name: call for name in names if (call := calls.resolve(name, written)) is not None}
    if not found:
        near = _near(written, [call for name in names for call in calls.table(name)])
        raise CompileError(f"the profile counts {written!r}, which is no call of {', '.join(names)}{near}")
    count, arguments = _read(written, counted)
    for call in set(found.values()):
        known[call] = known.get(call, 0.0) + count
    for argument, of_value in arguments.items():
        _spread(found, written, argument, _shares(f"{written}'s {argument}", of_value, count, found), values)


def _near(word: object, candidates: Iterable[str]) -> str:
    close = nearest(word, candidates) if isinstance(word, str) else ()
    return f": did you mean {close[0]}?" if close else ""


def _read(call: str, counted: Counted) -> tuple[float, Mapping[str, object]]:
    if not isinstance(counted, Mapping):
        return _number(call, counted), {}
    if "count" not in counted or not FIELDS.issuperset(counted):
        raise CompileError(f'the profile says of {call} a count, or {{"count": …, "values": …}}, not {counted!r}')
    arguments = counted.get("values", {})
    if not isinstance(arguments, Mapping):
        raise CompileError(f"the profile gives the values of {call} by argument, not as {arguments!r}")
    return _number(call, counted["count"]), arguments


def _number(what: str, count: object) -> float:
    if isinstance(count, (int, float)) and (count > MOST or 0 < count < LEAST):  # what floats cannot be divided by
        raise CompileError(f"the profile counts how often {what} comes, and says no number from 2**-64 to 2**64")
    if isinstance(count, bool) or not isinstance(count, (int, float)) or not count >= 0:
        raise CompileError(f"the profile counts how often {what} comes, which is not {count!r}")
    return count


def _shares(what: str, of_value: object, count: float, found: Mapping[str, str]) -> dict[str, list[tuple[int, float]]]:
    # By architecture the values and their shares; a constant that one lacks is left out there.
    if not isinstance(of_value, Mapping):
        raise CompileError(f"the profile counts {what} by value, not as {of_value!r}")
    counted = [(value, _number(f"{what} {value}", each)) for value, each in of_value.items()]
    whole = max(count, sum([each for _, each in counted])) or 1.0
    shares: dict[str, list[tuple[int, float]]] = {arch: [] for arch in found}
    for written, each in counted:
        numbers = {arch: number for arch in found if (number := _value(written, arch)) is not None}
        if not numbers:
            near = _near(written, constants.spellings())
            shown = hex(written) if isinstance(written, int) else repr(written)  # repr refuses to write very long ones
            raise CompileError(f"the profile counts {what} {shown}, which is neither a constant nor of 64 bits{near}")
        for arch, number in numbers.items():
            shares[arch].append((number & WORD, each / whole))
    return shares


def _value(written: object, arch: str) -> int | None:
    if isinstance(written, str):
        try:
            number: int | None = int(written, 0)
        except ValueError:
            number = constants.value(written, arch)
    else:
        number = written if isinstance(written, int) else None
    return number if number is not None and -(1 << 63) <= number <= WORD else None


def _spread(
    found: Mapping[str, str],
    written: str,
    argument: str,
    shares: Mapping[str, list[tuple[int, float]]],
    values: dict[tuple[str, str, int], list[tuple[int, float]]],
) -> None:
    # To the registers where the argument lies on each architecture: one, or two halves.
    placed = False
    for arch, call in found.items():
        registers = _registers(call, argument, arch)
        placed = placed or bool(registers)
        for place, register in enumerate(registers):
            seen = values.setdefault((arch, call, register), [])
            seen += shares[arch] if len(registers) == 1 else [(v >> 32 * place & HALF, s) for v, s in shares[arch]]
    if not placed:
        near = _near(argument, [name for arch, call in found.items() for name in _arguments(call, arch)])
        raise CompileError(f"the profile counts values of {argument!r}, which {written} does not take{near}")


def _arguments(call: str, arch: str) -> list[str]:
    prototype = prototypes.prototype(call, arch)
    return [known.name for known in (prototype.args if prototype else None) or ()]


def _registers(call: str, argument: str, arch: str) -> tuple[int, ...]:
    if argument in REGISTERS:
        return (REGISTERS.index(argument),)
    prototype = prototypes.prototype(call, arch)
    known = None if prototype is None else prototype.argument(argument)
    return () if known is None else known.regs
