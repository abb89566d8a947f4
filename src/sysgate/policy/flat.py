"""A policy of several files or sides → one that says the same in one file.

Most policies are flat already. A fragment with a `deny` of its own needs it said rule by rule, as `else`. Several sides
that must all allow become one by what DESIGN says of `A & B`: a call with rules in one only also gets the other's
answer to calls without a rule as a rule. Which calls those are depends on the architecture (names, numbers, ages), so
it is worked out on each, and said for as many together as it is the same for.
"""

from __future__ import annotations

from sysgate.action import Action
from sysgate.facts import ages, calls, groups
from sysgate.facts.arches import ARCHES
from sysgate.policy import ast, names
from sysgate.policy.known import has_argument
from sysgate.policy.lexer import Source
from sysgate.policy.resolve import END, NO_REFUSAL, X32, X32_END, trimmed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NOWHERE = Source("", "<flat>")
_KILL = ast.Answer("kill_process", 0, 0)
_KILL_THREAD = ast.Answer("kill_thread", 0, 0)
_ENOSYS = ast.Answer("errno", "ENOSYS", 0)


def flat(policy: ast.Policy) -> ast.Policy:
    """A policy of one side and one scope with the same meaning; the policy itself where it is such."""
    if len(policy.sides) == 1 and len(policy.scopes) == 1:
        return policy
    if len(policy.sides) == 1 and not any(scope.deny for scope in policy.scopes[1:]):
        rules = tuple([_placed(rule.heads, rule.body, rule.arches) for rule in policy.rules])
        return ast.Policy(policy.sides, policy.scopes[:1], rules, policy.named, policy.dialect)
    return _Flattening(policy).policy()


def _placed(heads: tuple[ast.Head, ...], body: ast.Body, arches: tuple[str, ...] | None) -> ast.Placed:
    return ast.Placed(heads, body, arches, 0, _NOWHERE, 0, 0)


def _line(answer: ast.Answer) -> ast.Line:
    return ast.Line(answer, _NOWHERE, 0, 0)


def _same(one: ast.Answer, other: ast.Answer) -> bool:
    return (one.kind, one.data) == (other.kind, other.data)


def _rank(answer: ast.Answer) -> int:
    return Action(answer.kind).rank


def _strictest(answers: Iterable[ast.Answer]) -> ast.Answer:
    winner = ast.ALLOW
    for answer in answers:
        if _rank(answer) <= _rank(winner):
            winner = answer
    return winner


def _refusal(default: ast.Answer) -> ast.Answer:
    return _KILL if default.kind in NO_REFUSAL else default


def _always(answer: ast.Answer) -> ast.Body:
    """The body of a rule that always answers so."""
    if answer.kind == "allow":
        return ast.ALLOWED
    return ast.Body(ast.REFUSED.cases, answer)


class _Flattening:
    def __init__(self, policy: ast.Policy) -> None:
        self.before = policy
        self.several = len(policy.sides) > 1
        # Where an inner policy and the includer end at once, the inner one comes first, as it stands in sides.
        self.order = sorted(range(len(policy.sides)), key=lambda side: policy.sides[side].end)
        self.since = [trimmed(side.since) if side.since else None for side in policy.sides]
        self.deny = {} if self.several else policy.scopes[0].deny
        self.release = self._release()
        self.default = {arch: self._default(arch) for arch in ARCHES}
        self.rules: list[ast.Placed] = []

    def policy(self) -> ast.Policy:
        tables = {arch: _Ruled(self.before, arch) for arch in ARCHES} if self.several else {}
        ends: dict[int, list[int]] = {}
        for side in self.order:
            ends.setdefault(self.before.sides[side].end, []).append(side)
        for index in range(len(self.before.rules) + 1):
            if self.several:
                for side in ends.get(index, ()):
                    self.complement(side, tables)
            if index < len(self.before.rules):
                self.rule(self.before.rules[index])
        if self.several:
            self.correct(tables)
        default, since = self.directives()
        whole = ast.Side(since, default, len(self.rules))
        scope = ast.Scope(0, self.deny, None)
        return ast.Policy((whole,), (scope,), tuple(self.rules), self.before.named, self.before.dialect)

    # ---- answers, as written

    def written_default(self, side: int, arch: str | None) -> ast.Answer:
        lines = self.before.sides[side].default
        line = lines.get(arch) or lines.get(None)
        return line.answer if line else _KILL

    def without_rule(self, side: int, arch: str, nr: int) -> ast.Answer:
        """What one side answers to a number that it has no rule for."""
        default = self.written_default(side, arch)
        if arch == "x86_64" and X32 <= nr < X32_END:
            return _refusal(default)
        return _ENOSYS if _later(arch, nr, self.since[side]) else default

    def all_without_rule(self, arch: str, nr: int) -> ast.Answer:
        return _strictest([self.without_rule(side, arch, nr) for side in self.order])

    def flat_without_rule(self, arch: str, nr: int) -> ast.Answer:
        if arch == "x86_64" and X32 <= nr < X32_END:
            return _refusal(self.default[arch])
        return _ENOSYS if _later(arch, nr, self.release) else self.default[arch]

    # ---- directives

    def _release(self) -> tuple[int, ...] | None:
        """The `since` of the whole: where it answers ENOSYS to numbers nobody knows, on most architectures."""
        given = [since for since in self.since if since]
        if not self.several or not given:
            return given[0] if given else None
        unknown = [_same(self.all_without_rule(arch, END - 1), _ENOSYS) for arch in ARCHES]
        return min(given) if 2 * sum(unknown) > len(unknown) else None

    def _default(self, arch: str) -> ast.Answer:
        if self.several and not self.release:
            return self.all_without_rule(arch, END - 1)
        return _strictest([self.written_default(side, arch) for side in self.order])

    def directives(self) -> tuple[dict[str | None, ast.Line], tuple[int, ...] | None]:
        """`default` lines and `since`, so that foreign architectures get their answer too."""
        before = self.before
        if not self.several:
            return before.sides[0].default, before.sides[0].since
        # Foreign architectures get kill_thread only if all say so, and it is the neutral default that tells.
        thread = all(self.written_default(side, None).kind == "kill_thread" for side in self.order)
        common = [answer for answer in self.default.values() if answer.kind != "kill_thread"]
        neutral = max(common, key=lambda one: sum(_same(one, answer) for answer in common), default=_KILL)
        if thread:
            neutral = _KILL_THREAD
        default: dict[str | None, ast.Line] = {}
        if any(side.default for side in before.sides):
            default[None] = _line(neutral)
        for arch in ARCHES:
            if not _same(self.default[arch], neutral):
                default[arch] = _line(self.default[arch])
        since = next(
            (side.since for side, known in zip(before.sides, self.since, strict=True) if known == self.release), None
        )
        return default, since

    # ---- rules

    def rule(self, rule: ast.Placed) -> None:
        body = rule.body
        if body.otherwise or (isinstance(body.cases[0][0], ast.Always) and body.cases[0][0].holds):
            self.add(rule.heads, body, rule.arches)
            return
        where = rule.arches or ARCHES
        wanted = {arch: self.implicit(rule, arch) for arch in where}
        if all(_same(wanted[arch], self.flat_implicit(arch)) for arch in where):
            self.add(rule.heads, body, rule.arches)
            return
        # Where the rule has no effect, or is an error when compiled, any answer will do.
        asked = [arch for arch in where if self.fits(rule, arch)] or list(where)
        answers: list[ast.Answer] = []
        for arch in asked:
            if not any(_same(wanted[arch], known) for known in answers):
                answers.append(wanted[arch])
        for answer in answers:
            chosen = [arch for arch in asked if _same(wanted[arch], answer)]
            if answer is answers[0]:
                chosen += [arch for arch in where if arch not in asked]
            whole = len(chosen) == len(where)
            arches = rule.arches if whole else tuple([arch for arch in ARCHES if arch in chosen])
            self.add(rule.heads, ast.Body(body.cases, answer), arches)

    def add(self, heads: tuple[ast.Head, ...], body: ast.Body, arches: tuple[str, ...] | None) -> None:
        if arches and len(arches) == 1:
            # In a section naming only one architecture a call it lacks is an error, and was none before.
            kept = tuple([head for head in heads if not isinstance(head, ast.Name) or _known(arches[0], head.name)])
            if not kept:
                return
            heads = kept
        self.rules.append(_placed(heads, body, arches))

    def implicit(self, rule: ast.Placed, arch: str) -> ast.Answer:
        scope: int | None = rule.scope
        while scope is not None:
            found = self.before.scopes[scope]
            line = found.deny.get(arch) or found.deny.get(None)
            if line:
                return line.answer
            scope = found.outer
        return _refusal(self.written_default(self.before.scopes[rule.scope].side, arch))

    def flat_implicit(self, arch: str) -> ast.Answer:
        line = self.deny.get(arch) or self.deny.get(None)
        return line.answer if line else _refusal(self.default[arch])

    def fits(self, rule: ast.Placed, arch: str) -> bool:
        """Whether a rule has an effect on an architecture, and no mistake."""
        used = set(_arguments(rule.body))
        effect = False
        for name in _names_of(rule.heads):
            if calls.resolve(arch, name) is not None:
                effect = True
                if not all(argument in names.REGISTERS or has_argument(name, argument, (arch,)) for argument in used):
                    return False
        return effect or any(isinstance(head, ast.Numbers) for head in rule.heads)

    # ---- what one side says of calls that only others have rules for

    def complement(self, side: int, tables: dict[str, _Ruled]) -> None:
        by_name: dict[str, dict[str, ast.Answer]] = {}
        by_number: dict[str, list[tuple[int, int, ast.Answer]]] = {}
        for arch, ruled in tables.items():
            for low, high, sides in ruled.pieces(any(self.since)):
                if not sides or side in sides:
                    continue
                self.say(arch, low, high, self.without_rule(side, arch, low), by_name, by_number)
        self.said(by_name, by_number)

    def correct(self, tables: dict[str, _Ruled]) -> None:
        """Rules for calls that no side has rules for, where `default` and `since` alone would answer otherwise."""
        by_name: dict[str, dict[str, ast.Answer]] = {}
        by_number: dict[str, list[tuple[int, int, ast.Answer]]] = {}
        for arch, ruled in tables.items():
            for low, high, sides in ruled.pieces(any(self.since)):
                if sides:
                    continue
                right = self.all_without_rule(arch, low)
                if not _same(right, self.flat_without_rule(arch, low)):
                    self.say(arch, low, high, right, by_name, by_number, whatever=True)
        self.said(by_name, by_number)

    def say(
        self,
        arch: str,
        low: int,
        high: int,
        answer: ast.Answer,
        by_name: dict[str, dict[str, ast.Answer]],
        by_number: dict[str, list[tuple[int, int, ast.Answer]]],
        *,
        whatever: bool = False,
    ) -> None:
        if answer.kind == "allow" and not whatever:
            return  # beside other rules it changes nothing
        name = calls.name(arch, low) if low == high else None
        if name:
            by_name.setdefault(name, {})[arch] = answer
        else:
            by_number.setdefault(arch, []).append((low, high, answer))

    def said(
        self, by_name: dict[str, dict[str, ast.Answer]], by_number: dict[str, list[tuple[int, int, ast.Answer]]]
    ) -> None:
        """Rules that say so: calls with the same answer on the same architectures make one rule."""
        rules: dict[tuple[tuple[str, ...], str, ast.Const], list[ast.Head]] = {}
        for name in sorted(by_name):
            for (kind, data), where in _grouped(by_name[name]).items():
                others = [arch for arch in ARCHES if arch not in where and calls.resolve(arch, name) is not None]
                arches = tuple(where) if others else ()
                rules.setdefault((arches, kind, data), []).append(ast.Name(name, 0))
        for arch in ARCHES:
            for low, high, answer in by_number.get(arch, ()):
                heads = rules.setdefault(((arch,), answer.kind, answer.data), [])
                last = heads[-1] if heads else None
                if isinstance(last, ast.Numbers) and last.high == low - 1:
                    heads[-1] = ast.Numbers(last.low, high, 0)
                else:
                    heads.append(ast.Numbers(low, high, 0))
        for arches, kind, data in sorted(rules, key=lambda key: (key[0], key[1], str(key[2]))):
            answer = ast.Answer(kind, data, 0)
            body = _always(answer)
            if body.otherwise and all(_same(answer, self.flat_implicit(arch)) for arch in arches or ARCHES):
                body = ast.Body(body.cases, None)
            self.rules.append(_placed(tuple(rules[arches, kind, data]), body, arches or None))


def _grouped(answers: dict[str, ast.Answer]) -> dict[tuple[str, ast.Const], list[str]]:
    found: dict[tuple[str, ast.Const], list[str]] = {}
    for arch, answer in answers.items():
        found.setdefault((answer.kind, answer.data), []).append(arch)
    return found


def _later(arch: str, nr: int, since: tuple[int, ...] | None) -> bool:
    """Whether `since` answers ENOSYS to a number."""
    if since is None:
        return False
    name = calls.name(arch, nr)
    if name is None:
        return True
    came = ages.since(name)
    return came is not None and trimmed(came) > since


def _known(arch: str, name: str) -> bool:
    return calls.resolve(arch, name) is not None or calls.gone(name)


def _names_of(heads: tuple[ast.Head, ...]) -> Iterator[str]:
    for head in heads:
        if isinstance(head, ast.Name):
            yield head.name
        elif isinstance(head, ast.Group):
            yield from groups.members(head.name) or ()


def _arguments(body: ast.Body) -> Iterator[str]:
    stack: list[ast.Expr] = [expr for expr, _ in body.cases]
    while stack:
        expr = stack.pop()
        if isinstance(expr, (ast.Any, ast.All)):
            stack += expr.parts
        elif isinstance(expr, ast.Not):
            stack.append(expr.inner)
        elif isinstance(expr, (ast.Compare, ast.Among, ast.Shares)):
            yield expr.name


class _Ruled:
    """Which sides have rules for which numbers on one architecture."""

    def __init__(self, policy: ast.Policy, arch: str) -> None:
        self.arch = arch
        self.singles: dict[int, set[int]] = {}
        self.ranges: list[tuple[int, int, int]] = []
        table = calls.table(arch)
        for rule in policy.rules:
            if rule.arches is not None and arch not in rule.arches:
                continue
            side = policy.scopes[rule.scope].side
            self.ranges += [(head.low, head.high, side) for head in rule.heads if isinstance(head, ast.Numbers)]
            for name in _names_of(rule.heads):
                call = calls.resolve(arch, name)
                if call is not None:
                    self.singles.setdefault(table[call] & 0xFFFF_FFFF, set()).add(side)

    def pieces(self, by_age: bool) -> list[tuple[int, int, set[int]]]:
        """All numbers as (low, high, the sides with rules); within one, no two differ in anything.

        by_age: every known call is a piece of its own.
        """
        points = {0}
        for number in (*self.singles, *(calls.table(self.arch).values() if by_age else ())):
            points.update((number & 0xFFFF_FFFF, (number & 0xFFFF_FFFF) + 1))
        for low, high, _ in self.ranges:
            points.update((low, high + 1))
        if self.arch == "x86_64":
            points.update((X32, X32_END))
        points.discard(END)
        lows = sorted(points)
        found = []
        for low, following in zip(lows, [*lows[1:], END], strict=True):
            sides = self.singles.get(low, set()) | {side for first, last, side in self.ranges if first <= low <= last}
            found.append((low, following - 1, sides))
        return found
