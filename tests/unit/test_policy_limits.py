"""Texts and files of every size and kind: they work, or are refused in words."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest

from sysgate import Policy, PolicyError

MB = 1_000_000


@pytest.mark.parametrize(
    ("text", "fd", "allowed"),
    [
        ("read: " + "(" * 64 + "fd == 1" + ")" * 64, 1, True),
        ("read: " + "(" * 60 + "fd == 1" + " && 1)" * 60, 1, True),
        ("read: " + "".join(f"(fd == {n} || !(" for n in range(32)) + "1" + "))" * 32, 0, True),
        ("read: " + "!" * 20_000 + "fd == 1", 1, True),
        ("read: " + "!" * 20_001 + "fd == 1", 1, False),
        ("read: " + " || ".join(f"fd == {n}" for n in range(10_000)), 9_999, True),
        ("read: " + " || ".join(f"fd == {n}" for n in range(10_000)), 10_000, False),
        ("read: " + " && ".join(f"fd != {n}" for n in range(10_000)), 10_000, True),
        ("read: fd in {" + ", ".join(map(str, range(10_000))) + "}", 9_999, True),
        ("read: fd & (" + "|".join(["1"] * 10_000) + ")", 1, True),
        ("read: {" + ";\n".join(f"fd == {n} -> allow" for n in range(10_000)) + "}", 9_999, True),
        (", ".join(["read"] * 10_000) + ": fd == 1", 1, True),
        ("read: fd == 1\n" * 10_000, 1, True),
        ("read: fd == " + "(" * 64 + "1" + ")" * 64, 1, True),
        ("read: fd == 1" + " " * MB, 1, True),
        ("read: fd == 1 # " + "x" * MB, 1, True),
        ("\n" * MB + "read: fd == 1", 1, True),
        ("#\n" * (MB // 2) + "read: fd == 1", 1, True),
        ("read:\tfd\t==\t1\t# tabs", 1, True),
        ("read: fd == 1\r\nwrite: 1\r\n", 1, True),  # CRLF
        ("\ufeffread: fd == 1\n", 1, True),  # a byte-order mark
        ("read: fd == 1 # \u00fcml\u00e4ut \u202e \u65e5\u672c", 1, True),  # anything in a comment
        ("read: fd == 0" + "0" * 4_000 + "1", 1, True),
        ("\n".join(f"let A{n} = {n}" for n in range(5_000)) + "\nread: fd == A4999", 4_999, True),
        ("let A0 = 1\n" + "\n".join(f"let A{n} = A{n - 1}|1" for n in range(1, 999)) + "\nread: fd == A998", 1, True),
    ],
)  # fmt: skip
def test_long_texts_work(text: str, fd: int, allowed: bool) -> None:
    policy = Policy.parse(text)
    assert (policy.decide("read", (fd,), arch="x86_64").action == "allow") is allowed
    assert Policy.parse(str(policy)) == policy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("read: " + "(" * 65 + "fd == 1" + ")" * 65, "parentheses stand more than 64 deep"),
        ("read: " + "(" * 500 + "fd == 1" + ")" * 500, "parentheses stand more than 64 deep"),
        ("read: " + "(" * 5_000 + "fd == 1" + ")" * 5_000, "parentheses stand more than 64 deep"),
        ("read: " + "(" * MB, "parentheses stand more than 64 deep"),
        ("read: fd == " + "(" * 5_000 + "1" + ")" * 5_000, "parentheses stand more than 64 deep"),
        ("read: " + "!(" * 5_000 + "1" + ")" * 5_000, "parentheses stand more than 64 deep"),
        ("read: fd & " + "~(" * 5_000 + "1" + ")" * 5_000, "parentheses stand more than 64 deep"),
        ("read: (fd & " + "(" * 5_000 + "1" + ")" * 5_000 + ") == 1", "parentheses stand more than 64 deep"),
        ("read: fd == " + "9" * MB, "this number does not fit 64 bits"),
        ("read: fd == 0x" + "f" * MB, "this number does not fit 64 bits"),
        ("read: fd == 18446744073709551616", "this number does not fit 64 bits"),
        ("read: fd == -18446744073709551616", "this number does not fit 64 bits"),
        ("{" * MB, "expected a statement"),
        ("read: {" + "\n" * MB, "this `{` is never closed"),
        ("\0", "expected a statement, found a NUL byte"),
        ("read: fd == 1\0", "expected the end of the line, found a NUL byte"),
        ("read: fd == \u0661", "expected a constant, found the character U\\+0661"),  # a digit elsewhere
        ("read: fd == 1\u00a0|| 1", "found the character U\\+00A0"),
        ("r\u0435ad: 1", "`,` or `:`|found the character U\\+0435|expected `:`"),  # a Cyrillic letter
        ("read: 1\rwrite: 1", "found the character U\\+000D"),  # no line end of its own
        ("read: 1\u2028write: 1", "found the character U\\+2028"),
        ("\ufeff\ufeffread: 1", "found the character U\\+FEFF"),
        ("x" * MB, "expected `:`"),
        ("x" * MB + ": 1", "unknown call"),
        ("read: " + "x" * MB + " == 1", "has no argument"),
        ("read: fd == " + "X" * MB, "unknown constant"),
        ('include "' + "x" * MB + '"', "cannot be read"),
        ('include "a\0b"', "cannot be read"),
        ("@" + "x-" * (MB // 2) + "x: 1", "unknown group"),
        ("a" * (16 << 20) + "bc", "a text of 16 million characters is no policy"),
    ],
)
def test_what_is_too_much_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message) as caught:
        Policy.parse(text)
    assert len(str(caught.value)) < 3_000


def test_of_very_many_mistakes_the_first_thousands_are_told() -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.parse("reed: fdd == O_RDNOLY\nread = 1\n" * 10_000)
    assert len(caught.value.errors) >= 5_000
    assert [error.line for error in caught.value.errors[:4]] == [1, 1, 2, 3]


@pytest.mark.parametrize(
    "text",
    [
        "let A =\nread: fd == A",
        "let A = {1, 2\nread: fd in A",
        "let A = FOO\nlet B = A\nread: fd == B",
        "let A = {1, {2}}\nread: fd in A\nwrite: fd in A",
        'include "none"\nread: fd == FOO\nwrite: fd in BAR\nlet A = BAZ',
        "include none\nread: fd == 1",
        "[x87]\n451: 1\nread: 1\ndefault: kill\n[all]\ndefault: kill",
        "[x86_64\n451: 1\n[all]",
        "[x87]\nopen: 1\nlet A = 1\n",
        "read: {\n fd = 1 -> allow;\n fd == 2 -> kill\n}\nwrite: 1",
        "read: {\n fd == 1 -> allow;\n fd == 2\n}\nwrite: 1",
        "read: { fd == 1 -> allow\nwrite: 1\nclose: 1",
        "read: {\n fd == 1 -> allow\nwrite: 1\n}\nclose: 1",
        "read: {\n (fd == 1\n || fd == 2) -> allow\n}\nwrite: 1",
        "read: (fd == 1 ||\nwrite: 1",
        'mkdir: pathname == "unclosed\nwrite: 1',
        "read: fdd == 1 || fdd == 2",
        "reed: fdd == 1 || fddd == 2",
        "default: kil\ndefault: kill",
        "default: errno(EPREM)\nread: 0",
        "since: x\nsince: 6.1",
        "@fil-system: foo == 1",
        "read: ((fd == 1)\nwrite: 1",
        "read: )\nwrite: 1",
        "read write: 1",
        "read: fd == 1 and and",
        "read: $ $ $",
        "read, , write: 1",
        "[x86_64]\nopenn: 1\n[all]",
        "let A = {1}\nlet B = {A, A, A}",
        "read: fd in {FOO, FOO}",
    ],
)
def test_one_mistake_is_one_error(text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.parse(text)
    assert len(caught.value.errors) == 1, str(caught.value)


def test_a_long_line_is_shown_around_the_mistake() -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.parse("read: " + "fd == 1 || " * 100_000 + "fd = 2")
    shown = str(caught.value).splitlines()
    assert max(map(len, shown)) < 200
    assert shown[1][shown[2].index("^")] == "="


# ---- files


def load_refused(path: Path | str) -> PolicyError:
    with pytest.raises(PolicyError) as caught:
        Policy.load(path)
    return caught.value


def test_a_directory_a_device_a_socket_are_no_files(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "socket"))
        assert "cannot be read" in load_refused(tmp_path / "socket").message
    assert load_refused(tmp_path).message == "a directory, not a file"
    assert load_refused("/dev/zero").message == "a device, not a file"
    (tmp_path / "main").write_text('include "/dev/zero"\n')
    assert "a device, not a file" in load_refused(tmp_path / "main").message


def test_a_fifo_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert load_refused(tmp_path / "fifo").message == "nothing comes from it"
    (tmp_path / "main").write_text('include "fifo"\n')
    assert "fifo: nothing comes from it" in load_refused(tmp_path / "main").message


@pytest.mark.parametrize("text", ["default: allow\n", "read: 1\n" * 50_000])
def test_a_fifo_is_read_to_its_end(tmp_path: Path, text: str) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_text, args=(text,))
    writer.start()
    policy = Policy.load(fifo)
    writer.join()
    assert policy == Policy.parse(text)


def test_a_fifo_without_end_is_refused(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with open(os.open(fifo, os.O_RDWR), "wb") as end, subprocess.Popen(["cat", "/dev/zero"], stdout=end) as writer:
        assert load_refused(fifo).message == "more than 64 MB are no policy"
        writer.kill()


def test_a_file_that_is_not_there_or_is_no_text_is_said(tmp_path: Path) -> None:
    assert load_refused(tmp_path / "none").message == "cannot be read: No such file or directory"
    assert "cannot be read" in load_refused("a\0b").message
    assert str(load_refused("")) == "'': cannot be read: No such file or directory"
    assert "cannot be read" in load_refused("/proc/self/mem").message
    assert "cannot be read" in load_refused(tmp_path / ("x" * 5_000)).message
    (tmp_path / "loop").symlink_to("loop")
    assert "cannot be read" in load_refused(tmp_path / "loop").message
    (tmp_path / "latin").write_bytes(b"read: 1\n# caf\xe9 au lait\nwrite: 1\n")
    error = load_refused(tmp_path / "latin")
    assert (error.message, error.line, error.column) == ("byte 0xe9 is not UTF-8", 2, 6)
    (tmp_path / "utf16").write_bytes("read: 1\n".encode("utf-16"))
    assert "is not UTF-8" in load_refused(tmp_path / "utf16").message
    (tmp_path / "binary").write_bytes(bytes(range(128)) * 100)
    assert load_refused(tmp_path / "binary").errors


def test_a_file_of_100_mb_is_refused(tmp_path: Path) -> None:
    with open(tmp_path / "big", "wb") as opened:
        opened.truncate(100 * MB)
    assert load_refused(tmp_path / "big").message == "more than 64 MB are no policy"


def test_a_file_may_have_crlf_a_byte_order_mark_and_no_last_newline(tmp_path: Path) -> None:
    (tmp_path / "windows").write_bytes(b"\xef\xbb\xbfread: {\r\n  fd == 1 -> allow\r\n}\r\nwrite: 1")
    policy = Policy.load(tmp_path / "windows")
    assert str(policy) == "read: fd == 1\nwrite: 1\n"
    (tmp_path / "empty").write_bytes(b"")
    assert str(Policy.load(tmp_path / "empty")) == ""


def test_a_fragment_is_a_policy_that_kills_the_rest() -> None:
    policy = Policy.load("@startup")
    assert policy.decide("brk", arch="x86_64").action == "allow"
    assert policy.decide("ptrace", arch="x86_64").action == "kill_process"


@pytest.mark.parametrize("name", ["@", "@nothing", "@../x", "@no_netwrok"])
def test_an_unknown_ready_policy_is_said(name: str) -> None:
    error = load_refused(name)
    assert error.message == f"no ready policy is called {name}"
    assert "@no_network" in error.hint


def test_a_dialect_nobody_knows_is_said() -> None:
    with pytest.raises(PolicyError, match="unknown dialect 'c'"):
        Policy.parse("", dialect="c")
