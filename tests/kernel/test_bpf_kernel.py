"""The kernel is the judge: it takes the programs that `validate` takes, and runs them as `machine` does."""

from __future__ import annotations

import ctypes
import os
import pickle
import random
import signal
import sys
import threading

import pytest

from sysgate.bpf import insn
from sysgate.bpf.machine import run
from sysgate.bpf.program import Program, to_bytes, validate
from sysgate.errors import BpfError
from sysgate.facts import arches, calls

BIG_ENDIAN = sys.byteorder == "big"
NATIVE = arches.native()
PR_SET_NO_NEW_PRIVS = 38
SET_MODE_FILTER, TSYNC = 1, 1
CODES = sorted(insn.MNEMONICS)
FREE = 3000  # numbers from here on are no calls anywhere: the filter alone answers for them
pytestmark = pytest.mark.skipif(NATIVE is None, reason="no table for this machine's architecture")


class SockFprog(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def seccomp(insns, flags=0):
    """The kernel's answer: the return value, or -errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    raw = to_bytes(Program(tuple(insns), BIG_ENDIAN))
    # A length that does not fit the field: the kernel sees it modulo 2**16, so a test must not ask for it.
    number = calls.number(NATIVE.name, "seccomp")
    result = libc.syscall(number, SET_MODE_FILTER, flags, ctypes.byref(SockFprog(len(insns), raw)))
    return result if result >= 0 else -ctypes.get_errno()


def raw_call(number, words):
    """What a process sees of a call: its result, or -errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_ulong, words))
    return result if result >= 0 else -ctypes.get_errno()


def in_a_child(work):
    """What work() returns, run in a forked child with no_new_privs. An int is the signal that killed the child."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            with os.fdopen(writer, "wb") as pipe:
                pickle.dump((work(),), pipe)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    if not answer:
        pytest.skip("this kernel or sandbox does not let a child use seccomp")
    return pickle.loads(answer)[0]


def judged(programs):
    """For each program whether the kernel takes it, without ever installing one.

    TSYNC asks for all threads to get the filter. One thread here has a filter of its own, so that must fail; but
    the kernel checks the program first (kernel/seccomp.c, seccomp_set_mode_filter): EINVAL means a bad program,
    a thread's id a good one.
    """

    def work():
        ready, done = threading.Event(), threading.Event()

        def apart():
            seccomp(((insn.RET_K, 0, 0, 0x7FFF_0000),))
            ready.set()
            done.wait()

        thread = threading.Thread(target=apart)
        thread.start()
        ready.wait()
        try:
            return [seccomp(insns, TSYNC) for insns in programs]
        finally:
            done.set()
            thread.join()

    answers = in_a_child(work)
    assert all(answer == -22 or answer > 0 for answer in answers), sorted(set(answers))
    return [answer > 0 for answer in answers]


def is_valid(insns):
    try:
        validate(insns)
    except BpfError:
        return False
    return True


def random_insn(rng, left, *, wild):
    code = rng.choice(CODES)
    if wild and rng.random() < 0.1:
        code = rng.choice([rng.randrange(256), rng.randrange(1 << 16), code ^ 1 << rng.randrange(16)])
    k = rng.choice([0, 1, 15, 31, 4 * rng.randrange(16), rng.getrandbits(32)])
    if wild:
        k = rng.choice([k, 16, 32, 60, 61, 64, 0xFFFF_F000, left, max(0, left - 1)])
    elif code in insn.JUMPS:
        return code, rng.randrange(min(left, 8)), rng.randrange(min(left, 8)), k
    elif code == insn.JA:
        k = rng.randrange(min(left, 8))
    elif code == insn.LD_ABS:
        k = rng.choice([0, 4, *range(16, 64, 4)])
    elif code in (insn.LD_MEM, insn.LDX_MEM, insn.ST, insn.STX):
        k = rng.randrange(16)
    elif code in (insn.LSH_K, insn.RSH_K):
        k = rng.randrange(32)
    elif code == insn.DIV_K:
        k = k or 1
    near = [0, 0, 0, 1, 2, max(0, left - 1) & 255, left & 255]
    return code, rng.choice(near) if wild else 0, rng.choice(near) if wild else 0, k


def one_change(rng, insns):
    at, field = rng.randrange(len(insns)), rng.randrange(4)
    changed = list(insns[at])
    limit = 0xFFFF if field == 0 else 255 if field < 3 else 0xFFFF_FFFF
    changed[field] = rng.choice(
        [
            changed[field] ^ 1 << rng.randrange(limit.bit_length()),
            (changed[field] + rng.choice([-1, 1])) & limit,
            rng.choice(CODES) if field == 0 else rng.randint(0, limit),
        ]
    )
    return (*insns[:at], tuple(changed), *insns[at + 1 :])


def test_every_code_with_every_odd_operand_is_judged_as_the_kernel_judges_it():
    ret = (insn.RET_K, 0, 0, 0)
    operands = [0, 1, 2, 3, 4, 15, 16, 31, 32, 60, 61, 64, 0x7FFF_FFFF, 0xFFFF_F000, 0xFFFF_F03C, 0xFFFF_FFFF]
    programs = [((code, 0, 0, k), ret) for code in range(256) for k in operands]
    programs += [((code, 0, 0, 0), ret) for code in range(256, 1 << 16, 97)]
    programs += [((code, 0, 0, 0),) for code in range(256)]
    programs += [((code, jt, jf, 0), ret, ret) for code in CODES for jt in (0, 1, 2, 255) for jf in (0, 1, 2, 255)]
    for insns, taken in zip(programs, judged(programs)):
        assert is_valid(insns) is taken, insns


def test_random_and_mutated_programs_are_judged_as_the_kernel_judges_them(shared):
    rng = random.Random(2011)
    programs = []
    for _ in range(4000):
        length = rng.randint(1, 12)
        body = [random_insn(rng, length - at, wild=rng.random() < 0.2) for at in range(length)]
        programs.append((*body, (rng.choice([insn.RET_K, insn.RET_A]), 0, 0, 0)))
    # Scratch memory, the rule with memory: loads, stores and short jumps only.
    for _ in range(4000):
        length = rng.randint(2, 10)
        some = [insn.ST, insn.STX, insn.LD_MEM, insn.LDX_MEM, insn.JEQ_K, insn.JA, insn.RET_K]
        body = []
        for at in range(length):
            code, left = rng.choice(some), length - at
            near = [rng.randrange(left), rng.randrange(left), rng.randrange(2)]
            body.append((code, *near[:2], near[0] if code == insn.JA else near[2]))
        programs.append((*body, (insn.RET_K, 0, 0, 0)))
    from sysgate.bpf.program import from_bytes

    for path in sorted(shared("conformance/programs").glob("*.bpf"))[::4]:
        insns = from_bytes(path.read_bytes(), big_endian=False).insns
        programs += [insns, *(one_change(rng, insns) for _ in range(10))]
    taken = judged(programs)
    for insns, answer in zip(programs, taken):
        assert is_valid(insns) is answer, insns
    assert 1000 < sum(taken) < len(programs) - 1000  # both answers were really asked for


def test_the_longest_program_is_taken_and_one_longer_is_not():
    ret = (insn.RET_K, 0, 0, 0x7FFF_0000)
    programs = [(ret,) * length for length in (4095, 4096, 4097)]
    assert judged(programs) == [is_valid(insns) for insns in programs] == [True, True, False]


def random_body(rng):
    """A program part that computes something from the call's words, without the instruction pointer."""
    length = rng.randint(1, 24)
    fresh = [(insn.LD_IMM, 0, 0, rng.getrandbits(32))] + [(insn.ST, 0, 0, at) for at in range(16)]
    body = [random_insn(rng, length - at, wild=False) for at in range(length)]
    # A return in the middle would end the program with an action drawn at random.
    return fresh + [(insn.TAX, 0, 0, 0) if code & 7 == insn.BPF_RET else (code, *rest) for code, *rest in body]


def asked_program(rng, number):
    """For one call number a random body, of whose result twelve bits become the errno; all else is allowed."""
    body = random_body(rng)
    shown = [(insn.RSH_K, 0, 0, rng.choice([0, 10, 20])), (insn.AND_K, 0, 0, 0xFFF), (insn.OR_K, 0, 0, 0x0005_0000)]
    head = [(insn.LD_ABS, 0, 0, insn.NR), (insn.JEQ_K, 1, 0, number), (insn.RET_K, 0, 0, 0x7FFF_0000)]
    return Program((*head, *body, *shown, (insn.RET_A, 0, 0, 0)), BIG_ENDIAN)


def test_a_process_experiences_what_the_machine_says():
    rng = random.Random(7)
    asked = []
    for at in range(400):
        program = asked_program(rng, FREE + at)
        validate(program.insns)
        edges = [0, 1, 0xFFFF_FFFF, 1 << 32, (1 << 64) - 1]
        words = [rng.choice([*edges, rng.getrandbits(64), rng.getrandbits(8)]) for _ in range(6)]
        asked.append((program, FREE + at, words))
    said = [run(program, NATIVE.audit, number, words)[0] for program, number, words in asked]
    answered = [one for one, ret in zip(asked, said) if ret]
    killed = [one for one, ret in zip(asked, said) if not ret]  # a division by zero

    def work():
        for program, _, _ in answered:
            assert seccomp(program.insns) == 0
        return [raw_call(number, words) for _, number, words in answered]

    found = in_a_child(work)
    expected = [-(ret & 0xFFFF) for ret in said if ret]
    assert len(expected) > 300
    assert len(set(expected)) > 50
    for (program, _, words), seen, meant in zip(answered, found, expected):
        # An errno of 0 is a result of 0, which the C library reports as such.
        assert seen == meant, (program.insns, words)
    assert killed
    for program, number, words in killed:

        def die(program=program, number=number, words=words):
            assert seccomp(program.insns) == 0
            return raw_call(number, words)

        assert in_a_child(die) == signal.SIGSYS
