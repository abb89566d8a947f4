"""The launcher: a static ELF program that puts itself behind a filter and becomes another program.

It knows nothing of policies. An image is made for one launch: code that never changes, orders, and the filter with
its ticket words still zero. Once started it
  draws six secret words and writes them into the filter     getrandom(2)
  installs the filter, with no_new_privs only on EACCES      seccomp(2), prctl(2)
  reports that, handing over the listener if there is one    sendmsg(2), by ticket
  waits until it is told to go                               recvmsg(2), by ticket
  becomes the first program of a list that can be executed   execve(2), by ticket
and where a step fails reports its errno and ends by ticket. Between filter and exec it makes no other call, uses no
stack and allocates nothing, so it works behind a filter that allows nothing at all. exec wipes its registers and
memory, and with them the only copy of the words: nobody can present the ticket again.

The ticket rides in r10, r8 and r9, the argument registers that calls of three arguments leave unused.
"""

from __future__ import annotations

from sysgate.bpf.emit import elf
from sysgate.bpf.emit.x86_64 import (
    EQUAL,
    NEGATIVE,
    NOT_EQUAL,
    POSITIVE_OR_ZERO,
    R8,
    R9,
    R10,
    R12,
    R13,
    R14,
    R15,
    RAX,
    RBP,
    RBX,
    RCX,
    RDI,
    RDX,
    RSI,
    RSP,
    Assembler,
)
from sysgate.value import Value

# Stages of a launch, as reported.
CONFINED, RANDOM, NO_NEW_PRIVS, SECCOMP, EXECVE = 1, 2, 3, 4, 5

REPORT_BYTES = 16
"""A report: stage, value (a listener's number, or an errno), seccomp flags, whether no_new_privs was set; four ints."""

# arch/x86/entry/syscalls/syscall_64.tbl
_WRITE, _CLOSE, _SENDMSG, _RECVMSG, _EXECVE, _FCNTL, _PRCTL, _EXIT_GROUP = 1, 3, 46, 47, 59, 72, 157, 231
_SECCOMP, _GETRANDOM = 317, 318
TICKETED_WITH_CHANNEL = frozenset({_SENDMSG, _RECVMSG, _EXECVE, _EXIT_GROUP})
"""The call numbers the filter must let through by ticket where the image reports on a channel."""
TICKETED_ALONE = frozenset({_WRITE, _EXECVE, _EXIT_GROUP})
"""The same where it reports on standard error."""

_ENOENT, _EINTR, _EIO, _EACCES, _ENOTDIR, _EINVAL = 2, 4, 5, 13, 20, 22
_F_SETFD, _FD_CLOEXEC = 2, 1
_PR_SET_NO_NEW_PRIVS, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_NEW_LISTENER = 38, 1, 1 << 3
_MSG_NOSIGNAL, _SOL_SOCKET, _SCM_RIGHTS = 0x4000, 1, 1
_NO_MORE = 0xFFFF_FFFF

# Orders, by offset from their start: what `image` fills in and the code below reads.
_CHANNEL, _IMAGE_FD, _GO, _SLOT_COUNT = 0, 4, 8, 12
_FLAGS = 16  # up to three words and _NO_MORE
_PROG = 32  # struct sock_fprog: a length, padding, a pointer
_FILTER, _SLOTS, _PATHS, _TEXTS = 40, 48, 56, 64
_TICKET = 72
_REPORT = 96
_IOVEC = 112
_MSGHDR = 128  # struct msghdr, 56 bytes
_CONTROL_LENGTH = _MSGHDR + 40
_CMSGHDR = 184  # struct cmsghdr with one descriptor, 24 bytes
_CMSG_FD = _CMSGHDR + 16
_ORDERS_BYTES = 208
_CMSG_LEN = 20

_TEXT_BYTES = 24


class Text(Value):
    """What to print on standard error, and exit with, when a stage fails.

    stage: one of the above. errno: with which, 0 for any other.
    """

    stage: int
    errno: int
    text: bytes
    code: int


class Orders(Value):
    """What one launch shall do.

    filter: struct sock_filter[]. slots: indices of the instructions whose k takes a ticket word, in sixes.
    paths: the programs to try, in order. flags: seccomp(2) flags to try, in order, where the ones before are unknown
    to the kernel (EINVAL); at most three.
    channel: a socket to report on, the descriptor's number in the launched process; None: standard error, by texts.
    image_fd: a descriptor to close at once, where the image's own was passed on. go: wait for a byte before execve.
    texts: needed without a channel; the first that fits is taken, the last of each stage must fit every errno.
    """

    filter: bytes
    slots: tuple[int, ...]
    paths: tuple[bytes, ...]
    flags: tuple[int, ...] = (0,)
    channel: int | None = None
    image_fd: int | None = None
    go: bool = False
    texts: tuple[Text, ...] = ()


def image(orders: Orders) -> bytes:
    """An ELF executable for x86-64 that carries orders out.

    Its argument list and environment become the program's.
    """
    start = elf.HEADER_BYTES + len(_CODE)
    base = elf.DATA + start
    data = bytearray(_ORDERS_BYTES)

    def place(part: bytes) -> int:
        data.extend(bytes(-len(data) % 8))
        address = base + len(data)
        data.extend(part)
        return address

    def put(offset: int, *values: int, size: int = 4) -> None:
        for index, value in enumerate(values):
            at = offset + index * size
            data[at : at + size] = (value % (1 << 8 * size)).to_bytes(size, "little")

    put(_CHANNEL, *(-1 if fd is None else fd for fd in (orders.channel, orders.image_fd)), orders.go, len(orders.slots))
    put(_FLAGS, *orders.flags, _NO_MORE)
    code = place(orders.filter)
    put(_PROG, len(orders.filter) // 8)
    paths = [place(path + b"\0") for path in orders.paths]
    texts = [(text, place(text.text)) for text in orders.texts]
    put(_FILTER, code, place(b"".join(slot.to_bytes(4, "little") for slot in orders.slots)), size=8)
    put(_PATHS, place(b"".join(path.to_bytes(8, "little") for path in (*paths, 0))), size=8)
    table = [
        (text.stage, text.errno, address & _NO_MORE, address >> 32, len(text.text), text.code)
        for text, address in texts
    ]
    put(_TEXTS, place(b"".join(word.to_bytes(4, "little") for row in table for word in row)), size=8)
    put(_IOVEC, base + _REPORT, REPORT_BYTES, size=8)
    put(_MSGHDR + 16, base + _IOVEC, 1, base + _CMSGHDR, size=8)
    put(_CMSGHDR, _CMSG_LEN, size=8)
    put(_CMSGHDR + 8, _SOL_SOCKET, _SCM_RIGHTS)
    return elf.header(start, start + len(data)) + _CODE + data


def _code() -> bytes:
    # rbx: the orders. r13: argv. r14: envp. rbp: the errno of what went wrong.
    a = Assembler()
    a.set32(RBX, elf.DATA + elf.HEADER_BYTES + _CODE_ROOM)
    # The stack at entry: argc, argv, 0, envp, 0, … (System V ABI, x86-64 supplement, 3.4.1).
    a.copy(RBP, RSP)
    a.load(RCX, RBP, 0)
    a.address(R13, RBP, 8)
    a.address_after(R14, RCX, 16)
    _keep_descriptors(a)
    _draw_ticket(a)
    _install(a)
    _report_confined(a)
    _execute(a)
    _fail(a)
    return a.code()


def _keep_descriptors(a: Assembler) -> None:
    # What was passed on for the launcher's sake must not reach the program.
    a.load32(RDI, RBX, _CHANNEL)
    a.test32(RDI)
    a.jump_if(NEGATIVE, "no channel")
    a.set32(RSI, _F_SETFD)
    a.set32(RDX, _FD_CLOEXEC)
    a.system_call(_FCNTL)
    a.label("no channel")
    a.load32(RDI, RBX, _IMAGE_FD)
    a.test32(RDI)
    a.jump_if(NEGATIVE, "image closed")
    a.system_call(_CLOSE)
    a.label("image closed")


def _draw_ticket(a: Assembler) -> None:
    a.set32(R12, RANDOM)
    a.address(RDI, RBX, _TICKET)
    a.set32(RSI, 24)
    a.set32(RDX, 0)
    a.system_call(_GETRANDOM)
    a.copy(RBP, RAX)
    a.negate32(RBP)
    a.test32(RAX)
    a.jump_if(NEGATIVE, "fail")
    a.set32(RBP, _EIO)
    a.compare32(RAX, 24)
    a.jump_if(NOT_EQUAL, "fail")

    # for i in range(slot count): filter[slots[i]].k = ticket[i % 6]
    a.load(RSI, RBX, _SLOTS)
    a.load(RDI, RBX, _FILTER)
    a.address(R8, RBX, _TICKET)
    a.set32(RDX, 0)
    a.label("first word")
    a.set32(R15, 0)
    a.label("next word")
    a.load32(RCX, RBX, _SLOT_COUNT)
    a.compare_registers32(RDX, RCX)
    a.jump_if(EQUAL, "filter ready")
    a.load_indexed32(RAX, RSI, RDX)
    a.load_indexed32(RCX, R8, R15)
    a.store_indexed32(RDI, RAX, 4, RCX)  # k: struct sock_filter, after code, jt and jf
    a.add(RDX, 1)
    a.add(R15, 1)
    a.compare32(R15, 6)
    a.jump_if(EQUAL, "first word")
    a.jump("next word")
    a.label("filter ready")


def _install(a: Assembler) -> None:
    # r15: which flags. r12: 1 once no_new_privs is set.
    a.set32(R12, 0)
    a.address(R15, RBX, _FLAGS)
    a.label("install")
    a.set32(RDI, _SECCOMP_SET_MODE_FILTER)
    a.load32(RSI, R15, 0)
    a.address(RDX, RBX, _PROG)
    a.system_call(_SECCOMP)
    a.test32(RAX)
    a.jump_if(POSITIVE_OR_ZERO, "installed")
    a.copy(RBP, RAX)
    a.negate32(RBP)

    # Flags that this kernel does not know: the next ones.
    a.compare32(RBP, _EINVAL)
    a.jump_if(NOT_EQUAL, "known flags")
    a.add(R15, 4)
    a.load32(RSI, R15, 0)
    a.compare32(RSI, -1)
    a.jump_if(NOT_EQUAL, "install")
    a.jump("not installed")

    # kernel/seccomp.c, seccomp_prepare_filter: EACCES without CAP_SYS_ADMIN and no_new_privs.
    a.label("known flags")
    a.compare32(RBP, _EACCES)
    a.jump_if(NOT_EQUAL, "not installed")
    a.test32(R12)
    a.jump_if(NOT_EQUAL, "not installed")
    a.set32(RDI, _PR_SET_NO_NEW_PRIVS)
    a.set32(RSI, 1)
    for register in (RDX, R10, R8):
        a.set32(register, 0)
    a.system_call(_PRCTL)
    a.set32(R12, 1)
    a.test32(RAX)
    a.jump_if(EQUAL, "install")
    a.copy(RBP, RAX)
    a.negate32(RBP)
    a.set32(R12, NO_NEW_PRIVS)
    a.jump("fail")

    a.label("not installed")
    a.set32(R12, SECCOMP)
    a.jump("fail")

    a.label("installed")
    for register, offset in ((R10, 0), (R8, 8), (R9, 16)):
        a.load(register, RBX, _TICKET + offset)


def _report_confined(a: Assembler) -> None:
    a.load32(RDI, RBX, _CHANNEL)
    a.test32(RDI)
    a.jump_if(NEGATIVE, "go")
    a.load32(RCX, R15, 0)
    a.store32(RBX, _REPORT + 4, RAX)
    a.store32(RBX, _REPORT + 8, RCX)
    a.store32(RBX, _REPORT + 12, R12)
    a.store32(RBX, _CMSG_FD, RAX)
    a.set32(RAX, CONFINED)
    a.store32(RBX, _REPORT, RAX)
    a.set32(RAX, _CMSG_LEN)
    a.test_bits32(RCX, _SECCOMP_FILTER_FLAG_NEW_LISTENER)
    a.jump_if(EQUAL, "no listener")
    a.store(RBX, _CONTROL_LENGTH, RAX)
    a.label("no listener")
    a.address(RSI, RBX, _MSGHDR)
    a.set32(RDX, _MSG_NOSIGNAL)
    a.system_call(_SENDMSG)
    a.test32(RAX)
    a.jump_if(NEGATIVE, "give up")

    a.set32(RAX, 0)
    a.store(RBX, _CONTROL_LENGTH, RAX)
    a.load32(RCX, RBX, _GO)
    a.test32(RCX)
    a.jump_if(EQUAL, "go")
    a.label("wait")
    a.load32(RDI, RBX, _CHANNEL)
    a.address(RSI, RBX, _MSGHDR)
    a.set32(RDX, 0)
    a.system_call(_RECVMSG)
    a.compare32(RAX, -_EINTR)
    a.jump_if(EQUAL, "wait")
    a.test32(RAX)
    a.jump_if(EQUAL, "give up")  # whoever launched is gone
    a.jump_if(NEGATIVE, "give up")
    a.label("go")


def _execute(a: Assembler) -> None:
    # As CPython's subprocess has it (_posixsubprocess.c, child_exec): the first errno that is not "no such file"
    # is what gets reported, else the last.
    a.set32(RBP, 0)
    a.load(R15, RBX, _PATHS)
    a.label("next path")
    a.load(RDI, R15, 0)
    a.test(RDI)
    a.jump_if(EQUAL, "none executed")
    a.copy(RSI, R13)
    a.copy(RDX, R14)
    a.system_call(_EXECVE)
    a.negate32(RAX)
    a.copy(R12, RAX)
    a.add(R15, 8)
    for errno in (_ENOENT, _ENOTDIR):
        a.compare32(RAX, errno)
        a.jump_if(EQUAL, "next path")
    a.test32(RBP)
    a.jump_if(NOT_EQUAL, "next path")
    a.copy(RBP, RAX)
    a.jump("next path")
    a.label("none executed")
    a.test32(RBP)
    a.jump_if(NOT_EQUAL, "errno known")
    a.copy(RBP, R12)
    a.label("errno known")
    a.set32(R12, EXECVE)


def _fail(a: Assembler) -> None:
    # r12: the stage. rbp: the errno.
    a.label("fail")
    a.load32(RDI, RBX, _CHANNEL)
    a.test32(RDI)
    a.jump_if(NEGATIVE, "say")
    a.store32(RBX, _REPORT, R12)
    a.store32(RBX, _REPORT + 4, RBP)
    a.address(RSI, RBX, _MSGHDR)
    a.set32(RDX, _MSG_NOSIGNAL)
    a.system_call(_SENDMSG)
    a.label("give up")
    a.set32(RDI, 125)
    a.label("end")
    a.system_call(_EXIT_GROUP)
    a.jump("end")

    a.label("say")
    a.load(R15, RBX, _TEXTS)
    a.label("this text")
    a.load32(RCX, R15, 0)
    a.compare_registers32(RCX, R12)
    a.jump_if(NOT_EQUAL, "next text")
    a.load32(RCX, R15, 4)
    a.test32(RCX)
    a.jump_if(EQUAL, "print")
    a.compare_registers32(RCX, RBP)
    a.jump_if(EQUAL, "print")
    a.label("next text")
    a.add(R15, _TEXT_BYTES)
    a.jump("this text")
    a.label("print")
    a.set32(RDI, 2)
    a.load(RSI, R15, 8)
    a.load32(RDX, R15, 16)
    a.system_call(_WRITE)
    a.load32(RDI, R15, 20)
    a.jump("end")


_CODE_ROOM = 1024
_CODE = _code().ljust(_CODE_ROOM, b"\xcc")
