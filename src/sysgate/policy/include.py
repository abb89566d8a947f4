"""Texts → one policy: files read, includes taken in, lets put in, sections, default and deny put in their place.

An included file without `default` is a fragment: its rules join the includer's, as a scope with a deny of its own.
With `default` it is a policy of its own, a side of which all must allow.
"""

from __future__ import annotations

import os

from sysgate.errors import PolicyError
from sysgate.policy import ast, parser
from sysgate.policy.files import identity_of, typed
from sysgate.policy.files import read as text_of
from sysgate.policy.lexer import Source
from sysgate.policy.names import Names, TooMany
from sysgate.value import building

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from sysgate.policy.names import Let

MAX_DEPTH = 32
DIALECTS = ("sysgate", "ftrace")


@building
def parse(text: str, name: str = "<policy>", dialect: str = "sysgate") -> ast.Policy:
    """The policy a text says; `include` is resolved from the folder of name. dialect: "sysgate" or "ftrace".

    Raises PolicyError with every mistake of the text.
    """
    return _Reading(dialect).policy(Source(text, name), identity_of(name))


def load(path: str | os.PathLike[str], dialect: str = "sysgate") -> ast.Policy:
    """The policy in a file, or a ready one: "@no_network". Raises PolicyError, also where it cannot be read."""
    name = os.fspath(path)
    if isinstance(name, bytes):
        name = os.fsdecode(name)
    return parse(text_of(name), name, dialect)


@building
def with_rules(path: str | None, texts: Sequence[str]) -> ast.Policy:
    """The policy of a command line: all `-e` texts are one file, included at the end of the `-p` file if there is one.

    path: as typed, `-` for standard input. In messages the texts are `<-e 1>`, `<-e 2>`, … Raises PolicyError.
    """
    reading = _Reading("sysgate")
    sources = [Source(text, f"<-e {number}>") for number, text in enumerate(texts, start=1)]
    if path is None:
        return reading.policy_of(sources)
    text, name = typed(path)
    return reading.policy(Source(text, name), identity_of(name), sources)


class _Side:
    """ast.Side while it is being read."""

    def __init__(self) -> None:
        self.since: tuple[int, ...] | None = None
        self.since_at: tuple[Source, int] | None = None
        self.default: dict[str | None, ast.Line] = {}
        self.end = 0
        self.fragments: set[str] = set()


class _Scope:
    """ast.Scope while it is being read."""

    def __init__(self, side: _Side, outer: int | None) -> None:
        self.side = side
        self.deny: dict[str | None, ast.Line] = {}
        self.outer = outer


class _Read:
    """One file taken apart, once. lets: what it makes known to its includers."""

    def __init__(self, file: ast.File, errors: list[PolicyError]) -> None:
        self.file = file
        self.errors = errors
        self.lets: dict[str, Let] | None = None
        self.is_policy = any(isinstance(statement, ast.Default) for statement in file.statements)


class _Reading:
    """Everything that is collected while files are read."""

    def __init__(self, dialect: str) -> None:
        if dialect not in DIALECTS:
            raise PolicyError(f"unknown dialect {dialect!r}", hint=f"known: {', '.join(DIALECTS)}")
        self.dialect = dialect
        self.files: dict[str, _Read] = {}
        self.sides: list[_Side] = []  # those that are read to their end, in this order
        self.scopes: list[_Scope] = []
        self.rules: list[ast.Placed] = []
        self.named: set[str] = set()
        self.policies: set[str] = set()
        self.broken: set[str] = set()

    def policy(self, source: Source, identity: str, added: Sequence[Source] = ()) -> ast.Policy:
        """The policy of an outermost file, with the texts of `added` included at its end."""
        read = self.take_apart(source)
        side = _Side()
        errors = self.file(read, side, self.scope(side, None), {identity: source.name})
        if added:
            errors += self.command_line(added, side)
        self.finish(side)
        return self.made(errors)

    def policy_of(self, sources: Sequence[Source]) -> ast.Policy:
        """The policy of a command line without a file."""
        side = _Side()
        errors = self.texts(self.take_all_apart(sources), side, self.scope(side, None), True)
        self.finish(side)
        return self.made(errors)

    def command_line(self, sources: Sequence[Source], outer: _Side) -> list[PolicyError]:
        reads = self.take_all_apart(sources)
        if any(read.is_policy for read in reads):
            side = _Side()
            errors = self.texts(reads, side, self.scope(side, None), False)
            # It is included by the file, whose own answers count last.
            self.finish(side)
            return errors
        return self.texts(reads, outer, self.scope(outer, 0), False)

    def texts(self, reads: Sequence[_Read], side: _Side, scope: int, outermost: bool) -> list[PolicyError]:
        """Several texts as one file."""
        errors: list[PolicyError] = []
        lets: dict[str, Let] = {}
        arches: tuple[str, ...] | None = None
        for read in reads:
            walk = _Walk(self, read, side, scope, {}, outermost)
            walk.names.lets, walk.arches = lets, arches
            errors += walk.errors()
            arches = walk.arches
        return errors

    def take_apart(self, source: Source) -> _Read:
        if self.dialect == "ftrace":
            from sysgate.policy.ftrace_file import parse_file

            return _Read(*parse_file(source))
        return _Read(*parser.parse_file(source))

    def take_all_apart(self, sources: Sequence[Source]) -> list[_Read]:
        """Texts that go on where the one before ended, be it in a section."""
        reads: list[_Read] = []
        in_section = False
        for source in sources:
            reads.append(_Read(*parser.parse_file(source, in_section=in_section)))
            for statement in reads[-1].file.statements:
                if isinstance(statement, ast.Section):
                    in_section = bool(statement.arches)
        return reads

    def scope(self, side: _Side, outer: int | None) -> int:
        self.scopes.append(_Scope(side, outer))
        return len(self.scopes) - 1

    def file(
        self, read: _Read, side: _Side, scope: int, chain: dict[str, str], *, outermost: bool = True
    ) -> list[PolicyError]:
        """Take a file's statements in; its mistakes, those of the files it includes among them, in order."""
        walk = _Walk(self, read, side, scope, chain, outermost)
        errors = walk.errors()
        read.lets = walk.names.lets
        return errors

    def finish(self, side: _Side) -> None:
        side.end = len(self.rules)
        self.sides.append(side)

    def made(self, errors: list[PolicyError]) -> ast.Policy:
        if errors:
            raise PolicyError.of(errors)
        index = {id(side): number for number, side in enumerate(self.sides)}
        from sysgate.facts.arches import ARCHES

        return ast.Policy(
            tuple([ast.Side(side.since, side.default, side.end) for side in self.sides]),
            tuple([ast.Scope(index[id(scope.side)], scope.deny, scope.outer) for scope in self.scopes]),
            tuple(self.rules),
            tuple([arch for arch in ARCHES if arch in self.named]),
            self.dialect,
        )


class _Walk:
    """One file's statements, taken in order."""

    def __init__(
        self, reading: _Reading, read: _Read, side: _Side, scope: int, chain: dict[str, str], outermost: bool
    ) -> None:
        self.reading, self.read, self.side, self.scope = reading, read, side, scope
        self.chain, self.outermost = chain, outermost  # the files that include this one and itself: identity → name
        self.source = read.file.source
        self.names = Names(self.source)
        self.arches: tuple[str, ...] | None = None  # of the section
        self.inner: list[tuple[int, list[PolicyError]]] = []  # the line of an include, and what is wrong behind it

    def errors(self) -> list[PolicyError]:
        """Take all statements in; every mistake, in file order."""
        try:
            for statement in self.read.file.statements:
                _TAKE[type(statement)](self, statement)
        except TooMany:
            pass  # those found are enough to begin with
        found = [(error.line or 0, error.column or 0, [error]) for error in (*self.read.errors, *self.names.errors)]
        found += [(line, 0, errors) for line, errors in self.inner]
        found.sort(key=lambda entry: entry[:2])
        return [error for _, _, errors in found for error in errors]

    def rule(self, statement: ast.Rule) -> None:
        body = self.names.rule(statement, self.arches)
        self.reading.rules.append(
            ast.Placed(statement.heads, body, self.arches, self.scope, self.source, statement.at, statement.end)
        )

    def section(self, statement: ast.Section) -> None:
        self.arches = statement.arches or None
        if not statement.excluding:
            self.reading.named.update(statement.arches)

    def outside_sections(self, statement: ast.Statement, word: str) -> bool:
        if self.arches is not None and self.arches != ast.NOWHERE:
            self.names.fail(f"`{word}` cannot stand in a section", statement.at, hint="[all] ends it")
            return False
        return True

    def let(self, statement: ast.Let) -> None:
        self.outside_sections(statement, "let")
        self.names.let(statement)

    def since(self, statement: ast.Since) -> None:
        if not self.outside_sections(statement, "since"):
            return
        if not self.outermost:
            self.names.fail(
                "`since` belongs to the outermost file",
                statement.at,
                hint="a file that is included cannot know for which kernel all of it was written",
            )
        elif self.side.since_at:
            self.twice("since", *self.side.since_at, statement)
        else:
            self.side.since = statement.version
            self.side.since_at = (self.source, statement.at)

    def twice(self, word: str, source: Source, at: int, statement: ast.Statement, arch: str = "") -> None:
        where = f" for {arch}" if arch else ""
        self.names.fail(
            f"`{word}` stands twice{where}", statement.at, hint=f"it is in {source.name}:{source.line_of(at)} already"
        )

    def default(self, statement: ast.Default) -> None:
        self.directive("default", statement, self.side.default)

    def deny(self, statement: ast.Deny) -> None:
        self.directive("deny", statement, self.reading.scopes[self.scope].deny)

    def directive(self, word: str, statement: ast.Default | ast.Deny, lines: dict[str | None, ast.Line]) -> None:
        answer = self.names.answer(statement.answer)
        if self.arches == ast.NOWHERE:
            return
        for arch in self.arches or (None,):
            if arch in lines:
                self.twice(word, lines[arch].source, lines[arch].at, statement, arch or "")
                return
        for arch in self.arches or (None,):
            lines[arch] = ast.Line(answer, self.source, statement.at, statement.end)

    def next_syscall(self, statement: ast.NextSyscall) -> None:
        """2011's line has no effect: `run` always lets the exec that starts the program through, and only that."""

    # ---- include

    def include(self, statement: ast.Include) -> None:
        if not self.outside_sections(statement, "include"):
            self.names.lenient = True
            return
        name = statement.path
        if not name.startswith("@"):
            name = os.path.join(os.path.dirname(self.source.name), name)
        identity = identity_of(name)
        if identity in self.chain:
            circle = " → ".join([*list(self.chain.values())[list(self.chain).index(identity) :], name])
            self.names.fail("this include goes round in a circle", statement.at, statement.end, circle)
            self.names.lenient = True
            return
        read = self.included(statement, name, identity)
        if read is None:
            self.names.lenient = True
            return
        self.take_in(read, identity, name, statement)
        for let, known in (read.lets or {}).items():
            self.learn(let, known, statement)

    def included(self, statement: ast.Include, name: str, identity: str) -> _Read | None:
        """The file, read and taken apart; None where that failed, and is said."""
        reading = self.reading
        if identity in reading.broken:
            return None
        if identity not in reading.files:
            try:
                if len(self.chain) >= MAX_DEPTH:
                    raise PolicyError(f"includes stand more than {MAX_DEPTH} deep")
                reading.files[identity] = reading.take_apart(Source(text_of(name), name))
            except PolicyError as error:
                reading.broken.add(identity)
                if error.line is not None:
                    self.inner.append((self.source.line_of(statement.at), [error]))
                else:
                    message = error.message if error.file is None else f"{name}: {error.message}"
                    self.names.fail(message, statement.at + 1, hint=error.hint)
                return None
        return reading.files[identity]

    def take_in(self, read: _Read, identity: str, name: str, statement: ast.Include) -> None:
        reading = self.reading
        if read.is_policy:
            if identity in reading.policies:
                return
            reading.policies.add(identity)
            side = _Side()
            scope = reading.scope(side, None)
        else:
            if identity in self.side.fragments:
                return
            self.side.fragments.add(identity)
            side, scope = self.side, reading.scope(self.side, self.scope)
        errors = reading.file(read, side, scope, {**self.chain, identity: name}, outermost=False)
        if read.is_policy:
            reading.finish(side)
        if errors and identity not in reading.broken:
            self.inner.append((self.source.line_of(statement.at), errors))
        if errors:
            reading.broken.add(identity)
            self.names.lenient = True

    def learn(self, name: str, known: Let, statement: ast.Include) -> None:
        before = self.names.lets.get(name)
        if before is None:
            self.names.lets[name] = known
        elif before != known:
            self.names.fail(
                f"{name} of this file is defined already, in {before.file}:{before.line}",
                statement.at + 1,
                hint=f"its own stands in {known.file}:{known.line}",
            )


_TAKE: dict[type[ast.Statement], Callable[[_Walk, Any], None]] = {
    ast.Rule: _Walk.rule,
    ast.Section: _Walk.section,
    ast.Let: _Walk.let,
    ast.Since: _Walk.since,
    ast.Default: _Walk.default,
    ast.Deny: _Walk.deny,
    ast.NextSyscall: _Walk.next_syscall,
    ast.Include: _Walk.include,
}
