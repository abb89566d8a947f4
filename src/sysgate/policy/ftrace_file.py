"""A policy of dialect "ftrace": 2011's lines, whose filters are the kernel's own language over raw registers.

file   = { [ stmt ] [ "#" … ] NEWLINE } .
stmt   = "default" ":" action | "on_next_syscall" ":" "1" | CALL ":" ( "1" | "0" | FILTER ) .
"""

from __future__ import annotations

from sysgate.errors import PolicyError
from sysgate.facts import calls
from sysgate.policy import ast, ftrace
from sysgate.policy.known import known_call, order
from sysgate.policy.lexer import MAX_ERRORS, Source, is_name
from sysgate.policy.parser import parse_statement


def parse_file(source: Source) -> tuple[ast.File, list[PolicyError]]:
    """The statements of a text that could be read, and a PolicyError for each that could not."""
    statements: list[ast.Statement] = []
    errors: list[PolicyError] = []
    for number, line in enumerate(source.lines, start=1):
        if not _without_comment(line).strip():
            continue
        try:
            statements.append(_statement(source, number, line))
        except PolicyError as error:
            errors.append(error)
            if len(errors) >= MAX_ERRORS:
                break
    return ast.File(source, tuple(statements)), errors


def _statement(source: Source, number: int, line: str) -> ast.Statement:
    name, colon, _ = line.partition(":")
    word, at = name.strip(), source.start_of(number)
    if word in ("default", "on_next_syscall"):
        return parse_statement(source, at)
    if not colon:
        raise _error(source, number, line, "expected `:` after the call", len(line.rstrip()), "CALL: FILTER")
    if not word or not is_name(word):
        raise _error(source, number, line, "expected a call", 0, "CALL: FILTER")
    if not known_call(word):
        raise source.error(f"unknown call {word}", at, hint=source.near(word, calls.spellings))
    return ast.Rule(at, at + len(source.spans(number)), (ast.Name(word, at),), _body(source, number, line, word))


def _body(source: Source, number: int, line: str, call: str) -> ast.Body:
    start = line.index(":") + 1
    text = _without_comment(line)[start:].strip()
    at = source.start_of(number) + 2  # the call and the colon are words of their own
    if not text:
        raise _error(source, number, line, "expected a filter", len(line.rstrip()), "1 holds always, 0 never")
    if text in ("0", "1"):
        return ast.ALLOWED if text == "1" else ast.REFUSED
    column = line.index(text, start) + 1
    resolved = next((arch for arch in order() if calls.resolve(arch, call)), None)
    if resolved:  # a call of the past has no arguments to check
        ftrace.Filter(call, text, arch=resolved, file=source.name, line=number, column=column, source=line)
    return ast.Body(((ast.Raw(text, at), ast.ALLOW),), None)


def _error(source: Source, number: int, line: str, message: str, start: int, hint: str) -> PolicyError:
    return PolicyError(message, file=source.name, line=number, column=start + 1, source=line, hint=hint)


def _without_comment(line: str) -> str:
    """A line up to its `#`, which a quoted string may contain."""
    quote = ""
    for at, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "#":
            return line[:at]
    return line
