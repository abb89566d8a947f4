"""Policy → Ruleset: what it says on one architecture, names become numbers and constants become integers.

Every call number has its rules (of every side) or, where no side has one, the strictest answer the sides give to a
call without a rule. Where one side has rules and another has none, the other's answer counts as a rule.
"""

from __future__ import annotations

from sysgate.action import ALLOW, KILL_PROCESS, KILL_THREAD, MAX_ERRNO, Action
from sysgate.decision import Origin
from sysgate.errors import CompileError, PolicyError, UnfitError
from sysgate.facts import calls, constants
from sysgate.facts.arches import named, native
from sysgate.policy import ast
from sysgate.policy import ruleset as rules
from sysgate.policy.lexer import MAX_ERRORS
from sysgate.policy.typed import WORD_BITS, Missing, Typing, Unfit, value_of
from sysgate.value import building

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sysgate.policy.lexer import Source

END = 1 << 32
MAX_RULES = 250_000
# x32 numbers: bit 30 set, bit 31 clear (__X32_SYSCALL_BIT, arch/x86/include/uapi/asm/unistd.h).
X32, X32_END = 1 << 30, 1 << 31
NO_REFUSAL = ("allow", "log", "notify", "trace")
# The machine's own ABI, and those it also runs.
_OTHER_ABIS = {
    "x86_64": ("x32", "i386"),
    "aarch64": ("arm",),
    "mips64el": ("mips64el_n32", "mipsel"),
}


def arches(policy: ast.Policy) -> tuple[str, ...]:
    """The native set: this machine's architecture, and those of its other ABIs that a section names.

    Raises CompileError on a machine whose architecture no table has.
    """
    here = native()
    if here is None:
        raise CompileError("sysgate has no tables for this machine's architecture: name one")
    others = _OTHER_ABIS.get(here.name, ())
    return (here.name, *(arch for arch in policy.named if arch in others))


@building
def resolve(policy: ast.Policy, arch: str) -> rules.Ruleset:
    """What the policy says on one architecture.

    Raises UnfitError, with every mistake, where it uses an argument or constant that the architecture lacks;
    CompileError for an unknown architecture.
    """
    return _Resolving(policy, named(arch).name).ruleset()


_KEPT = 8
_recent: list[tuple[ast.Policy, tuple[str, ...], rules.Gate]] = []


def gate_of(policy: ast.Policy, names: Sequence[str]) -> rules.Gate:
    """What a policy says on several architectures. Raises as `resolve` and `gate`.

    Policies (the very objects) that were asked about lately are not resolved again: a decision takes microseconds.
    """
    wanted = tuple(names)
    for known, on, made in _recent:
        if known is policy and on == wanted:
            return made
    made = gate([resolve(policy, name) for name in wanted])
    _recent.insert(0, (policy, wanted, made))
    del _recent[_KEPT:]
    return made


def gate(rulesets: Sequence[rules.Ruleset]) -> rules.Gate:
    """What one program decides for several architectures: the rulesets of one policy, joined.

    Raises CompileError where their byte orders differ, for no program runs on both.
    """
    if not rulesets:
        raise CompileError("no architecture was named")
    entries: dict[int, tuple[rules.Segment, ...]] = {}
    orders: dict[bool, str] = {}
    for each in rulesets:
        arch = named(each.arch)
        orders.setdefault(arch.big_endian, each.arch)
        segments = each.segments
        if each.arch == "x32":
            outside = entries.get(arch.audit) or (rules.Segment(0, END - 1, (), each.foreign, None),)
            segments = _joined(outside, segments)
        elif arch.audit in entries and each.arch == "x86_64":
            segments = _joined(segments, entries[arch.audit])
        entries[arch.audit] = segments
    if len(orders) > 1:
        raise CompileError(f"{orders[True]} is big-endian and {orders[False]} is not: no program runs on both")
    return rules.Gate(tuple(entries.items()), rulesets[0].foreign, True in orders)


def _joined(outside: tuple[rules.Segment, ...], inside: tuple[rules.Segment, ...]) -> tuple[rules.Segment, ...]:
    """The segments of `inside` for x32 numbers, those of `outside` for all others."""
    return (
        *_cut(outside, 0, X32 - 1),
        *_cut(inside, X32, X32_END - 1),
        *_cut(outside, X32_END, END - 1),
    )


def _cut(segments: tuple[rules.Segment, ...], low: int, high: int) -> tuple[rules.Segment, ...]:
    return tuple(
        [
            rules.Segment(max(low, each.low), min(high, each.high), each.rules, each.answer, each.origin)
            for each in segments
            if each.low <= high and each.high >= low
        ]
    )


class _Resolving:
    def __init__(self, policy: ast.Policy, arch: str) -> None:
        self.policy, self.arch = policy, arch
        self.numbers = calls.table(arch)
        self.errors: list[PolicyError] = []
        self.counted = 0
        self.missed: set[tuple[str | None, int | None, int | None]] = set()
        # By side: the rules that name a number, as (number, index of the rule, its form), and those that name ranges.
        self.singles: dict[int, list[tuple[int, rules.Bound]]] = {}
        self.ranges: list[tuple[int, int, int, rules.Bound]] = []

    def ruleset(self) -> rules.Ruleset:
        for index, placed in enumerate(self.policy.rules):
            if placed.arches is None or self.arch in placed.arches:
                self.rule(index, placed)
        sides = [_Side(self, index, side) for index, side in enumerate(self.policy.sides)]
        if self.errors:
            raise UnfitError.of(self.errors)
        thread = all(_kind(side.default.get(None)) == "kill_thread" for side in self.policy.sides)
        return rules.Ruleset(self.arch, self.segments(sides), KILL_THREAD if thread else KILL_PROCESS)

    # ---- rules

    def rule(self, index: int, placed: ast.Placed) -> None:
        otherwise, cases = self.answers(placed)
        origin = Origin(
            placed.source.name, placed.source.line_of(placed.at), placed.source.text_of(placed.at, placed.end)
        )
        shared: dict[tuple[rules.Term, ...], rules.Bound] = {}
        alike = _same_for_all(placed)
        for head in placed.heads:
            if isinstance(head, ast.Numbers):
                bound: rules.Bound | None = self.bound(placed, None, cases, otherwise, origin, shared)
                if bound:
                    self.ranges.append((head.low, head.high, index, bound))
                continue
            names = (head.name,) if isinstance(head, ast.Name) else _members(head.name)
            for name in names:
                call = calls.resolve(self.arch, name)
                if call is None:
                    continue
                if alike and shared:
                    (bound,) = shared.values()
                else:
                    bound = self.bound(placed, call, cases, otherwise, origin, shared)
                if bound:
                    self.add(self.numbers[call] & 0xFFFF_FFFF, index, bound)

    def add(self, nr: int, index: int, bound: rules.Bound) -> None:
        entries = self.singles.setdefault(nr, [])
        if not entries or entries[-1][1] is not bound:  # by two names in one rule
            entries.append((index, bound))
            self.count(1)

    def count(self, more: int) -> None:
        """Rules of calls, each call's counted: a short text of groups and ranges can say very many."""
        self.counted += more
        if self.counted > MAX_RULES:
            raise CompileError(f"on {self.arch} this policy has more than {MAX_RULES} rules, each call's counted")

    def answers(self, placed: ast.Placed) -> tuple[Action, list[Action]]:
        """The rule's own `else`, or the deny or refusal that holds for it; and the action of each case."""
        body = placed.body
        line = None if body.otherwise else self.deny(placed.scope)
        if body.otherwise:
            otherwise = self.action(body.otherwise, placed.source)
        elif line:
            otherwise = self.line(line)
        else:
            otherwise = self.refusal(self.policy.scopes[placed.scope].side)
        return otherwise, [self.action(answer, placed.source) for _, answer in body.cases]

    def deny(self, scope: int | None) -> ast.Line | None:
        while scope is not None:
            found = self.policy.scopes[scope]
            line = found.deny.get(self.arch) or found.deny.get(None)
            if line:
                return line
            scope = found.outer
        return None

    def default(self, side: int) -> ast.Line | None:
        lines = self.policy.sides[side].default
        return lines.get(self.arch) or lines.get(None)

    def refusal(self, side: int) -> Action:
        """The default, unless that lets calls through."""
        line = self.default(side)
        answer = self.line(line)
        return KILL_PROCESS if answer.kind in NO_REFUSAL else answer

    def line(self, line: ast.Line | None) -> Action:
        return self.action(line.answer, line.source) if line else KILL_PROCESS

    def action(self, answer: ast.Answer, source: Source) -> Action:
        if answer.kind == "allow":
            return ALLOW
        try:
            data = value_of(answer.data, self.arch, WORD_BITS, True)
            if answer.kind == "errno" and not 0 <= data <= MAX_ERRNO:
                raise Missing(f"on {self.arch} this errno is {data}; it is a number from 0 to {MAX_ERRNO}", "", "")
        except Missing as missing:
            self.miss(missing, source, answer.at)
            return KILL_PROCESS
        return Action(answer.kind, data)

    def miss(self, missing: Missing, source: Source, at: int, until: int | None = None) -> None:
        end = source.words.index("\n", at)
        if missing.word in source.words[at:end]:
            at = source.words.index(missing.word, at)
        error = source.error(missing.message, at, until, missing.hint, UnfitError)
        where = error.file, error.line, error.column
        # Perhaps it is said already: of a deny or default, or for another call of the rule.
        if where not in self.missed and len(self.missed) < MAX_ERRORS:
            self.missed.add(where)
            self.errors.append(error)

    def bound(
        self,
        placed: ast.Placed,
        call: str | None,
        cases: list[Action],
        otherwise: Action,
        origin: Origin,
        shared: dict[tuple[rules.Term, ...], rules.Bound],
    ) -> rules.Bound | None:
        """The rule for one call (None: for a number); the same object where all it looks at is the same."""
        typing = Typing(self.arch, call, placed.source)
        made = []
        try:
            for (expr, _), action in zip(placed.body.cases, cases, strict=True):
                made.append((typing.expr(expr), action))
        except Unfit as unfit:
            self.miss(unfit.missing, placed.source, unfit.at, placed.end if unfit.whole else None)
            return None
        key = tuple(typing.terms)
        if key not in shared:
            shared[key] = rules.Bound(tuple(made), otherwise, origin)
        return shared[key]

    # ---- segments

    def segments(self, sides: list[_Side]) -> tuple[rules.Segment, ...]:
        order = sorted(sides, key=lambda side: side.end)  # stable: of equal ends the inner policy first
        begin: dict[int, list[int]] = {}
        end: dict[int, list[int]] = {}
        for at, (first, last, _, _) in enumerate(self.ranges):
            begin.setdefault(first, []).append(at)
            end.setdefault(last + 1, []).append(at)
        active: dict[int, tuple[int, rules.Bound]] = {}  # the ranges that `low` is in
        made: list[tuple[int, tuple[rules.Bound, ...], Action, Origin | None]] = []
        for low in self.borders(order):
            for at in end.get(low, ()):
                del active[at]
            for at in begin.get(low, ()):
                active[at] = self.ranges[at][2:]
            bounds, answer, origin = self.at(low, active.values(), order)
            if made:
                _, before, answered, from_line = made[-1]
                if (
                    len(before) == len(bounds)
                    and all(map(_is, before, bounds))
                    and (before or (answered == answer and from_line == origin))
                ):
                    continue
            made.append((low, bounds, answer, origin))
        highs = [entry[0] - 1 for entry in made[1:]] + [END - 1]
        return tuple(
            [
                rules.Segment(low, high, bounds, answer, origin)
                for (low, bounds, answer, origin), high in zip(made, highs, strict=True)
            ]
        )

    def borders(self, sides: list[_Side]) -> list[int]:
        """Where another answer may begin: nothing changes between two neighbours."""
        points = {0, *self.singles, *(number + 1 for number in self.singles)}
        for low, high, _, _ in self.ranges:
            points.update((low, high + 1))
        if self.arch == "x86_64":
            points.update((X32, X32_END))
        if any(side.since for side in sides):
            numbers = [number & 0xFFFF_FFFF for number in self.numbers.values()]
            points.update(numbers)
            points.update([number + 1 for number in numbers])
        points.discard(END)
        return sorted(points)

    def at(
        self, nr: int, active: Collection[tuple[int, rules.Bound]], sides: list[_Side]
    ) -> tuple[tuple[rules.Bound, ...], Action, Origin | None]:
        found = self.singles.get(nr, [])
        if active:
            self.count(len(active))
            found = [*{entry[0]: entry for entry in sorted([*found, *active], key=_index)}.values()]
        if len(sides) == 1:
            if found:
                return tuple([bound for _, bound in found]), ALLOW, None
            return ((), *sides[0].without_rule(nr))
        return self.of_several(nr, found, sides)

    def of_several(
        self, nr: int, found: list[tuple[int, rules.Bound]], sides: list[_Side]
    ) -> tuple[tuple[rules.Bound, ...], Action, Origin | None]:
        """All sides must allow: one without a rule for a call that others have rules for gives its answer as one."""
        policy = self.policy
        ruled = {policy.scopes[policy.rules[index].scope].side for index, _ in found}
        if not ruled:
            winner: tuple[Action, Origin | None] = (ALLOW, None)
            for side in sides:
                answer = side.without_rule(nr)
                if answer[0].rank <= winner[0].rank:
                    winner = answer
            return ((), *winner)
        # A side's answer stands where its file ends: after its own rules, before those that follow.
        placed = [(index, 1, bound) for index, bound in found]
        placed += [(side.end, 0, side.as_rule(nr)) for side in sides if side.index not in ruled]
        placed.sort(key=lambda entry: entry[:2])
        return tuple([bound for _, _, bound in placed]), ALLOW, None


def _members(group: str) -> tuple[str, ...]:
    from sysgate.facts import groups  # most policies name none

    return groups.members(group) or ()


def _same_for_all(placed: ast.Placed) -> bool:
    """Whether a rule looks at nothing that one call has and another has not: as most of groups do."""
    return all(isinstance(expr, ast.Always) for expr, _ in placed.body.cases)


def _index(entry: tuple[int, rules.Bound]) -> int:
    return entry[0]


def _is(one: object, other: object) -> bool:
    return one is other


class _Side:
    """What one side answers to calls without a rule."""

    def __init__(self, resolving: _Resolving, index: int, side: ast.Side) -> None:
        self.index, self.end = index, side.end
        self.arch = resolving.arch
        self.since = trimmed(side.since) if side.since else None
        line = resolving.default(index)
        origin = _origin(line.source, line.at, line.end) if line else None
        self.default = resolving.line(line), origin
        self.refusal = resolving.refusal(index), origin
        if side.since:
            enosys = constants.value("ENOSYS", resolving.arch)
            assert enosys is not None
            self.unknown = Action("errno", enosys), origin
        self._rules: dict[tuple[Action, Origin | None], rules.Bound] = {}

    def without_rule(self, nr: int) -> tuple[Action, Origin | None]:
        if self.arch == "x86_64" and X32 <= nr < X32_END:
            return self.refusal
        if self.since is None:
            return self.default
        from sysgate.facts import ages

        name = calls.name(self.arch, nr)
        if name is None:
            return self.unknown
        came = ages.since(name)
        return self.unknown if came and trimmed(came) > self.since else self.default

    def as_rule(self, nr: int) -> rules.Bound:
        answer = self.without_rule(nr)
        if answer not in self._rules:
            self._rules[answer] = rules.Bound((), *answer)
        return self._rules[answer]


def trimmed(version: tuple[int, ...]) -> tuple[int, ...]:
    """A kernel release without zeros at its end: 2.6.0 is 2.6."""
    while version and version[-1] == 0:
        version = version[:-1]
    return version


def _origin(source: Source, at: int, end: int) -> Origin:
    return Origin(source.name, source.line_of(at), source.text_of(at, end))


def _kind(line: ast.Line | None) -> str:
    return line.answer.kind if line else "kill_process"
