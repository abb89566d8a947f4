"""Text → steps, taking and refusing what the kernel does: trace_events_filter.c, process_preds and below.

    filter    = expression .                       (* read in one pass, as predicate_parse does *)
    operand   = { "!" } ( predicate | "(" expression ")" ) .
    predicate = FIELD [ ".ustring" ] [ ".function" ] op value .
    op        = "~" | "!=" | "==" | "<=" | "<" | ">=" | ">" | "&" .
    value     = NUMBER | "'" … "'" | '"' … '"' | "CPUS{" list "}" | ADDRESS | FUNCTION .

&& binds tighter than ||. Before that pass the kernel counts parentheses and quotes over the whole text
(calc_stack), so those mistakes are found first. A filter may end in an operator or a `!`: see `dangling`.
"""

from __future__ import annotations

from sysgate.facts import constants
from sysgate.facts.nearest import nearest
from sysgate.policy.ftrace import cpulist, number, pattern, symbols
from sysgate.policy.ftrace.chars import ALNUM, DIGIT, SPACE, WORD, after
from sysgate.policy.ftrace.predicate import Cpus, Function, Never, Number, Text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sysgate.errors import PolicyError
    from sysgate.policy.ftrace.fields import Event, Field
    from sysgate.policy.ftrace.predicate import Predicate
    from sysgate.policy.ftrace.text import Text as Source

    Step = Predicate | str

# In the kernel's order: <= before <.
_OPERATORS = (b"~", b"!=", b"==", b"<=", b"<", b">=", b">", b"&")
_MAX_TEXT = 256  # MAX_FILTER_STR_VAL, include/linux/trace_events.h
_MAX_NUMBER = 24  # parse_pred, num_buf
_QUOTES = b"'\""


def parse(source: Source, event: Event, cpus: int | None) -> tuple[Step, ...]:
    """The filter in reverse Polish order: predicates, "and", "or" and "not". Raises PolicyError.

    cpus: how many processors `CPUS{…}` may name; None: as many as this kernel is prepared for.
    """
    _balanced(source)
    return _Reader(source, event, cpus).filter()


def _balanced(source: Source) -> None:
    """Every parenthesis and quote has its partner (calc_stack). Raises PolicyError."""
    opened: list[int] = []
    quoted: int | None = None
    empty = True
    for at, byte in enumerate(source.data):
        if quoted is not None:
            quoted = None if byte == source.data[quoted] else quoted
        elif byte in _QUOTES:
            quoted, empty = at, False
        elif byte == ord("("):
            opened.append(at)
        elif byte == ord(")"):
            if not opened:
                raise source.error("Too few '('", at, hint="this ) closes nothing")
            opened.pop()
        elif byte not in SPACE:
            empty = False
    if quoted is not None:
        raise source.error("Missing matching quote", quoted)
    if opened:
        raise source.error("Too many '('", opened[-1], hint="this ( is never closed")
    if empty:
        raise source.error("there is no test", 0, hint="a test is FIELD OPERATOR VALUE, as in `fd == 1`")


class _Level:
    """A parenthesis being read: which operators wait for their right side, and whether a `!` stands before it."""

    def __init__(self, *, negated: bool) -> None:
        self.negated, self.and_waits, self.or_waits = negated, False, False


class _Reader:
    """The pass over the text (predicate_parse): position, open parentheses, steps so far."""

    def __init__(self, source: Source, event: Event, cpus: int | None) -> None:
        self.source, self.event, self.cpus = source, event, cpus
        self.data, self.at = source.data, 0
        self.levels = [_Level(negated=False)]
        self.steps: list[Step] = []

    def filter(self) -> tuple[Step, ...]:
        negated = False
        while True:
            self.skip_spaces()
            byte = self.peek()
            if not byte:
                return self.dangling()
            if byte == b"(":
                self.levels.append(_Level(negated=negated))
                negated = False
            elif byte == b"!" and self.peek(1) not in (b"=", b"~"):
                negated = not negated
            else:
                self.steps.append(self.predicate())
                if negated:
                    self.steps.append("not")
                negated = False
                if self.operator():
                    return tuple(self.steps)
                continue
            self.at += 1

    def operator(self) -> bool:
        """Read what may follow a value, up to && or ||; True at the end of the text."""
        while True:
            self.skip_spaces()
            byte, level = self.peek(), self.levels[-1]
            if byte in (b"&", b"|"):
                if self.peek(1) != byte:
                    hint = f"write {byte.decode() * 2}"
                    raise self.error("Too many terms in predicate expression", self.at, hint=hint)
                self.at += 1
            elif byte not in (b")", b""):
                hint = "after a test comes &&, || or )"
                raise self.error("Too many terms in predicate expression", self.at, self.length(), hint)
            self.at += 1
            if level.and_waits:
                self.steps.append("and")
                level.and_waits = False
            if byte == b"&":
                level.and_waits = True
                return False
            if level.or_waits:
                self.steps.append("or")
                level.or_waits = False
            if byte == b"|":
                level.or_waits = True
                return False
            if not byte:
                self.closed()
                return True
            self.close()

    def close(self) -> None:
        # Quotes inside CPUS{…} can hide a parenthesis from calc_stack, so both ends are checked here again.
        if len(self.levels) == 1:
            raise self.error("Too few '('", self.at - 1)
        if self.levels.pop().negated:
            self.steps.append("not")

    def closed(self) -> None:
        if len(self.levels) > 1:
            raise self.error("Too many '('", self.at - 1)

    def dangling(self) -> tuple[Step, ...]:
        """The text ended where an operand should be.

        The kernel lets `a &&`, `a || b ||` and `a && !` pass and ignores the last operator. Only where && dangles
        while an || before it still waits (`a || b &&`) its jump is left without a target: WARN_ON, EINVAL.
        """
        self.closed()
        level = self.levels[0]
        if not self.steps:
            raise self.error("No filter found", 0, len(self.data), "a test is FIELD OPERATOR VALUE, as in `fd == 1`")
        if level.and_waits and level.or_waits:
            raise self.error("the filter ends after &&", len(self.data) - 1, hint="a test is missing")
        return tuple(self.steps)

    # predicate = FIELD [ ".ustring" ] [ ".function" ] op value
    def predicate(self) -> Predicate:
        field = self.field()
        user = self.suffix(b".ustring")
        function = self.suffix(b".function")
        self.skip_spaces()
        op = next((op for op in _OPERATORS if self.data.startswith(op, self.at)), None)
        if op is None:
            raise self.error("Invalid operator", self.at, self.length(), "one of == != < <= > >= & ~")
        operator_at = self.at
        self.at += len(op)
        self.skip_spaces()
        if function:
            return self.function(field, op.decode(), operator_at)
        if self.data.startswith(b"CPUS", self.at):
            return self.cpu_list(field, op.decode(), operator_at)
        byte = self.peek()
        if byte and byte in (b"'", b'"'):
            return self.text(field, op.decode(), operator_at, user=user)
        if byte == b"-" or (byte and byte[0] in DIGIT):
            return self.number(field, op.decode(), operator_at)
        raise self.error("Invalid value (did you forget quotes)?", self.at, self.length(), self.value_hint(field))

    def field(self) -> Field:
        start = self.at
        self.at = after(self.data, start, WORD)
        if self.at == start:
            raise self.error("a field's name is expected here", start, self.length(), self.known_fields())
        name = self.source.word(start, self.at)
        field = self.event.field(name)
        if field is None:
            raise self.error("Field not found", start, self.at - start, self.near_field(name))
        return field

    def suffix(self, word: bytes) -> bool:
        found = self.data.startswith(word, self.at)
        self.at += len(word) if found else 0
        return found

    def function(self, field: Field, op: str, operator_at: int) -> Predicate:
        if field.size != 8:
            raise self.error("Illegal operation for field type", operator_at, len(op), f"{field.name} is no address")
        if op not in ("==", "!="):
            raise self.error("Invalid operator", operator_at, len(op), "a function is compared with == or !=")
        start = self.at
        known = symbols.running()
        if known is None:
            raise self.error("Function not found", start, hint="this kernel does not list its functions")
        if start < len(self.data) and self.data[start] in DIGIT:
            address = self.digits(number.unsigned, "Invalid value (did you forget quotes)?")
            if not known.visible:
                raise self.error("Function not found", start, hint="only root is shown the kernel's addresses")
        else:
            # Up to the next space, a parenthesis included.
            while self.at < len(self.data) and self.data[self.at] not in SPACE:
                self.at += 1
            found = known.names.get(self.source.word(start, self.at))
            if found is None:
                raise self.error("Function not found", start, self.at - start, "/proc/kallsyms lists them")
            if not known.visible:
                return Function(field, op, None, None)
            address = found
        span = known.span(address)
        if span is None:
            raise self.error("Function not found", start, self.at - start, "no function of this kernel lies there")
        return Function(field, op, *span)

    def cpu_list(self, field: Field, op: str, operator_at: int) -> Predicate:
        if field.kind not in ("cpu", "number"):
            raise self.error("Illegal operation for field type", operator_at, len(op), f"{field.name} is no processor")
        if op not in ("==", "!=", "&"):
            raise self.error("Illegal operation for field type", operator_at, len(op), "CPUS{…} takes == != &")
        start = self.at + 4
        if self.data[start : start + 1] != b"{":
            raise self.error("Missing '{'", start)
        end = self.data.find(b"}", start)
        if end < 0:
            raise self.error("Missing '}'", start, len(self.data) - start)
        cpus = cpulist.possible() if self.cpus is None else self.cpus
        members = cpulist.members(self.data[start + 1 : end], cpus) if end > start + 1 else None
        if members is None:
            hint = f"as in CPUS{{0-3,8}}; this machine has {cpus}"
            raise self.error("Invalid cpulist", start + 1, end - start - 1, hint)
        self.at = end + 1
        if len(members) == 1:  # then a plain number, and & asks whether it is that one
            return Number(field, "==" if op == "&" else op, min(members))
        return Cpus(field, op, members, cpus)

    def text(self, field: Field, op: str, operator_at: int, *, user: bool) -> Predicate:
        if op not in ("==", "!=", "~"):
            raise self.error("Illegal operation for field type", operator_at, len(op), "text is compared with == != ~")
        if not field.is_text:
            raise self.error("Expecting numeric field", self.at, self.length(), f"{field.name} is a number")
        start = self.at + 1
        end = self.data.find(self.data[self.at : start], start)
        if end < 0:
            raise self.error("Missing matching quote", self.at)
        if end - start >= _MAX_TEXT:
            raise self.error("Operand too long", start, end - start, f"at most {_MAX_TEXT - 1} bytes")
        word = self.data[start:end]
        self.at = end + 1
        how = pattern.match(word) if op == "~" else pattern.equal(word, negated=op == "!=")
        return Text(field, how, user)

    def number(self, field: Field, op: str, operator_at: int) -> Predicate:
        if field.is_text:
            raise self.error("Expecting string field", self.at, self.length(), self.value_hint(field))
        if op == "~":
            raise self.error("Illegal operation for field type", operator_at, 1, "~ compares text; numbers have &")
        read = number.signed if field.signed else number.unsigned
        value = self.digits(read, "Illegal integer value")
        return Never(field) if field.kind == "stacktrace" else Number(field, op, value)

    def digits(self, read: Callable[[bytes], int | None], refusal: str) -> int:
        start = self.at
        self.at = after(self.data, start + (self.peek() == b"-"), ALNUM)
        word = self.data[start : self.at]
        if len(word) >= _MAX_NUMBER:
            raise self.error("Operand too long", start, len(word), f"at most {_MAX_NUMBER - 1} characters")
        value = read(word)
        if value is None:
            raise self.error(refusal, start, len(word), _number_hint(word))
        return value

    def skip_spaces(self) -> None:
        self.at = after(self.data, self.at, SPACE)

    def peek(self, ahead: int = 0) -> bytes:
        return self.data[self.at + ahead : self.at + ahead + 1]

    def length(self) -> int:
        """How many bytes the word here has, one at least: what a caret underlines."""
        return max(1, after(self.data, self.at, WORD) - self.at)

    def error(self, message: str, at: int, width: int = 1, hint: str = "") -> PolicyError:
        return self.source.error(message, at, width, hint)

    def known_fields(self) -> str:
        return "fields of this call: " + (", ".join(field.name for field in self.event.arguments) or "none")

    def near_field(self, name: str) -> str:
        if name in self.event.split:
            return f"no single register of {self.event.arch} holds {name}"
        near = nearest(name, self.event.names())
        return f"did you mean {near[0]}?" if near else self.known_fields()

    def value_hint(self, field: Field) -> str:
        if field.kind == "comm":
            return f'as in {field.name} == "sh"'
        if field.kind == "string":
            return f'as in {field.name}.ustring == "/etc/passwd"'
        word = self.source.word(self.at, self.at + self.length())
        value = constants.value(word, self.event.arch)
        if value is None:
            return "a number is expected: decimal, 0x or octal"
        return f"names are not known here; {word} is {value & ((1 << 64) - 1)}"


def _number_hint(word: bytes) -> str:
    if word.startswith(b"-"):
        return "this field has no sign: write the register's whole value, 0xffffffffffffffff for -1"
    if word.startswith(b"0") and word.isdigit():
        return "a leading 0 means octal"
    return "a number is decimal, 0x or octal, below 2**64"
