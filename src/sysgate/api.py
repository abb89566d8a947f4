"""The public classes and functions: thin, each method calls the floor that does the work."""

from __future__ import annotations

from sysgate.bpf import program as bpf_program
from sysgate.call import WORD, Call
from sysgate.decision import Decision
from sysgate.errors import BpfError, CompileError, PolicyError, SysgateError
from sysgate.policy import ast
from sysgate.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike
    from typing import Any, Self

    from sysgate.compiler.counts import Counted
    from sysgate.decision import Origin
    from sysgate.launch.process import Completed
    from sysgate.life.status import ProcessState
    from sysgate.policy.ruleset import Gate
    from sysgate.proof import Proof

    Arch = str | Sequence[str] | None


class Policy(ast.Policy):
    """What is allowed, per system call and by name. Frozen; equal when the rules are.

    `str()` is the canonical text: flat, without include and let. `a & b` allows what both allow.
    """

    @classmethod
    def parse(cls, text: str, name: str = "<policy>", dialect: str = "sysgate") -> Self:
        """The policy that a text says; `include` is resolved from the folder of name.

        dialect: "sysgate", or "ftrace" for the raw meaning of 2011. Raises PolicyError with every mistake of the text.
        """
        from sysgate.policy import include

        for what, given in (("a policy", text), ("a policy's name", name), ("a dialect", dialect)):
            if not isinstance(given, str):
                raise PolicyError(f"{what} is text, not {type(given).__name__}")
        return cls._of(include.parse(text, name, dialect))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """The policy in a file, or a ready one: "@no_network". Raises PolicyError, also where it cannot be read."""
        from os import fspath

        from sysgate.policy import include

        if not isinstance(path, (str, bytes)) and not hasattr(path, "__fspath__"):
            raise PolicyError(f"a file is named by its path, not {type(path).__name__}")
        try:
            name = fspath(path)
        except TypeError as error:  # of a __fspath__ that gives something else
            raise PolicyError(str(error)) from None
        return cls._of(include.load(name))

    @classmethod
    def _of(cls, policy: ast.Policy) -> Self:
        return cls(*policy._astuple())

    def __str__(self) -> str:
        from sysgate.policy import printer

        return printer.text(self)

    def __and__(self, other: object) -> Policy:
        from sysgate.policy.both import both

        if not isinstance(other, ast.Policy):
            return NotImplemented
        return self._of(both(self, other))

    def compile(
        self, arch: Arch = None, *, profile: Mapping[str, Counted] | None = None, optimize: str = "full"
    ) -> Program:
        """The program of this policy, proved equal to it.

        arch: one name, a list of names of one byte order, or None for the native set: this machine's architecture and
        those of its other ABIs that a section names. profile: call name → how often it is made, or where known
        {"count": n, "values": {argument: {value: n}}}. optimize: "full" (the smallest and cheapest found within a
        second) or "fast" (milliseconds).
        Raises PolicyError, CompileError, and ProofError should the compiler be wrong.
        """
        from sysgate.compiler import compile
        from sysgate.proof import Spent, prove

        if optimize not in ("full", "fast"):
            raise CompileError(f'optimize is "full" or "fast", not {optimize!r}')
        arches = _arches(self, arch)
        gate = _gate(self, arches)
        made = compile(gate, optimize=optimize, weights=_weights(profile, arches))
        try:
            prove(gate, made)
        except Spent as error:
            from sysgate.compiler.limit import longest_rule

            raise CompileError(f"{error}\n    most is asked by {longest_rule(gate)}") from None
        return Program(made.insns, made.big_endian, self, arches)

    def decide(
        self, call: str | int, args: Sequence[int] = (), *, arch: str | int | None = None, ip: int = 0
    ) -> Decision:
        """The answer to a call by the policy's reference meaning; nothing is compiled.

        call: name or number (modulo 2**32). args: up to six integers (modulo 2**64), missing ones are 0.
        arch: its name, or an AUDIT_ARCH number; unsaid: this machine's. Raises PolicyError for an unknown name.
        """
        from sysgate.policy import meaning

        asked = _audit_free_name(arch)
        covered = (asked,) if isinstance(asked, str) else _arches(self, None)
        made = _call(call, args, covered[0] if asked is None else asked, ip)
        action, origin = meaning.decide(_gate(self, covered), made)
        return Decision(action.kind, action.data, 0, False, origin)

    def gate(self, arch: Arch = None) -> Gate:
        """What the policy says on arch (as for compile), resolved: what compiler, proof and meaning read."""
        return _gate(self, _arches(self, arch))

    def install(self, *, tsync: bool = True, log: bool = False, spec_allow: bool = False) -> None:
        """Put this process behind the policy, from now on and for all it starts.

        tsync: all its threads, or none; otherwise the calling thread only. log: SECCOMP_FILTER_FLAG_LOG;
        spec_allow: SECCOMP_FILTER_FLAG_SPEC_ALLOW. no_new_privs is set only where the kernel demands it.
        Raises CompileError, and KernelError if the kernel refuses; then nothing was installed.
        """
        from sysgate.launch.install import install

        install(self.compile(optimize="fast"), tsync=tsync, log=log, spec_allow=spec_allow)


class Program(bpf_program.Program):
    """A seccomp-BPF program.

    policy: what it was compiled from, None for foreign ones. arches: the architectures it decides about.
    """

    policy: Policy | None = None
    arches: tuple[str, ...] = ()

    @classmethod
    def from_bytes(cls, raw: bytes, *, big_endian: bool | None = None) -> Self:
        """Any seccomp-BPF program: an array of struct sock_filter. Raises BpfError if the kernel would refuse it.

        big_endian: the byte order of the machine it is for; None finds it out from the bytes.
        """
        from sysgate.facts import arches

        if not isinstance(raw, (bytes, bytearray, memoryview)):
            raise BpfError(f"a program is bytes, not {type(raw).__name__}")
        made = bpf_program.from_bytes(raw, big_endian=big_endian)
        tested = (arch.name for audit in bpf_program.compared_arches(made.insns) for arch in arches.by_audit(audit))
        return cls(made.insns, made.big_endian, None, tuple(tested))

    def __bytes__(self) -> bytes:
        return bpf_program.to_bytes(self)

    def __len__(self) -> int:
        return len(self.insns)

    def decide(
        self, call: str | int, args: Sequence[int] = (), *, arch: str | int | None = None, ip: int = 0
    ) -> Decision:
        """The answer to a call, by running the program.

        As Policy.decide; arch unsaid: this machine's if covered, else the only one covered.
        Raises BpfError where the architecture must be said.
        """
        from sysgate.action import from_ret
        from sysgate.bpf import bitmap, machine

        asked = _audit_free_name(arch)
        made = _call(call, args, self._usual_arch() if asked is None else asked, ip)
        audit = _audit(made.arch)
        ret, steps = machine.run(self, audit, made.nr, made.args, ip)
        action = from_ret(ret)
        return Decision(action.kind, action.data, steps, bitmap.served(self, audit, made.nr), self._rule(made))

    def to_policy(self, arch: Arch = None) -> Policy:
        """The policy that this program enforces, proved equal on arch; other architectures are killed.

        arch: one name, a list, or None for those the program tests for. Raises BpfError where it tests none.
        """
        from sysgate.analyse.decompile import to_policy

        return Policy._of(to_policy((self,), _names(arch)))

    def _usual_arch(self) -> str:
        native = _native()
        if not self.arches or native in self.arches:
            return native
        if len(self.arches) > 1:
            raise BpfError(f"the program is for {', '.join(self.arches)}: say which architecture is asked about")
        return self.arches[0]

    def _rule(self, call: Call) -> Origin | None:
        if self.policy is None:
            return None
        from sysgate.policy import meaning

        return meaning.decide(_gate(self.policy, self.arches), call)[1]


def load(name: str) -> Policy:
    """The policy a person names on a command line: a file, `@NAME` for a ready one, `-` for standard input."""
    from sysgate.policy import files

    return Policy.parse(*files.typed(name))


def run(argv: Sequence[str | bytes | PathLike[str]], *, policy: Policy, **kwargs: Any) -> Completed:
    """Run a program behind a policy, and wait for it: subprocess.run, with its keywords and their meaning.

    The result has .returncode, .stdout, .stderr, .denials (what was refused, equal ones folded) and .confined.
    preexec_fn is refused. Raises as subprocess.run does, and KernelError rather than run anything unconfined.
    """
    from sysgate.launch.process import run as launch

    _must_be_policy(policy)
    return launch(argv, policy, **kwargs)


def attach(pid: int, policy: Policy) -> None:
    """Put a running process and all its threads behind a policy, from now on.

    Raises KernelError where that cannot be done; the process is then as it was.
    """
    from sysgate.life.attach import attach as narrow

    _must_be_policy(policy)
    _must_be_number(pid)
    narrow(pid, policy)


def status(pid: int) -> ProcessState:
    """How a process is filtered: mode, number of filters, and the policy in force as far as it can be known."""
    from sysgate.life.status import status as look

    _must_be_number(pid)
    state = look(pid)
    return state if state.policy is None else replace(state, policy=Policy._of(state.policy))


def prove(policy: Policy | Program, program: Program, arch: Arch = None) -> Proof:
    """Show that a program means what a policy (or another program) says: the same action, and data where it is read.

    arch None: for every architecture value, the policy covering the native set; otherwise only for these.
    Raises ProofError with a .counterexample where the two differ.
    """
    from sysgate import proof

    if not isinstance(program, bpf_program.Program):
        raise SysgateError(f"what is proved is a Program, not {type(program).__name__}")
    if not isinstance(policy, Program):
        _must_be_policy(policy)
    names = _names(arch)
    if isinstance(policy, Program):
        return proof.prove_equal(policy, program, audits=None if names is None else _audits(names))
    arches = _arches(policy, arch)
    return proof.prove(_gate(policy, arches), program, audits=None if names is None else _audits(arches))


def _must_be_policy(policy: object) -> None:
    if not isinstance(policy, ast.Policy):
        raise PolicyError(f"a Policy is wanted (Policy.parse, Policy.load), not {type(policy).__name__}")


def _must_be_number(pid: object) -> None:
    if not isinstance(pid, int):
        raise SysgateError(f"a process is named by its number, not {type(pid).__name__}")


def _names(arch: Arch) -> tuple[str, ...] | None:
    """Canonical names of the architectures asked for; None for None. Raises CompileError for one no table has."""
    from sysgate.facts import arches

    if arch is None:
        return None
    if not isinstance(arch, (str, list, tuple)):
        raise CompileError(f"arch is a name, a list of names or None, not {type(arch).__name__}")
    found = []
    for name in (arch,) if isinstance(arch, str) else arch:
        known = arches.named(name).name
        if known not in found:
            found.append(known)
    if not found:
        raise CompileError("no architecture was named")
    return tuple(found)


def _arches(policy: ast.Policy, arch: Arch) -> tuple[str, ...]:
    from sysgate.policy import resolve

    return _names(arch) or resolve.arches(policy)


def _gate(policy: ast.Policy, arches: tuple[str, ...]) -> Gate:
    from sysgate.policy import resolve

    return resolve.gate_of(policy, arches)


def _audits(names: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(_audit(name) for name in names))


def _audit(arch: str | int) -> int:
    from sysgate.facts import arches

    return arch if isinstance(arch, int) else arches.named(arch).audit


def _native() -> str:
    from sysgate.facts import arches

    native = arches.native()
    if native is None:
        raise SysgateError("sysgate has no tables for this machine's architecture: say arch=")
    return native.name


def _audit_free_name(arch: str | int | None) -> str | int | None:
    """An architecture as asked about: None, an AUDIT_ARCH number that no table has, or a canonical name."""
    if arch is None or isinstance(arch, int):
        return arch
    names = _names(arch)
    assert names is not None
    return names[0]


def _call(call: str | int, args: Sequence[int], arch: str | int, ip: int) -> Call:
    from sysgate.facts import calls

    if not isinstance(args, (tuple, list, range)) or len(args) > 6 or not all(isinstance(word, int) for word in args):
        raise SysgateError("a system call takes a sequence of at most six integers")
    if not isinstance(ip, int):
        raise SysgateError(f"an instruction pointer is an integer, not {type(ip).__name__}")
    words = [word & WORD for word in args] + [0] * (6 - len(args))
    if isinstance(call, int):
        nr = call & 0xFFFF_FFFF
    elif not isinstance(call, str):
        raise SysgateError(f"a call is a name or a number, not {type(call).__name__}")
    elif isinstance(arch, int):
        raise SysgateError("names of calls are known only for architectures with a name: give the number")
    else:
        found = calls.resolve(arch, call)
        if found is None:
            from sysgate.facts.nearest import nearest

            near = nearest(call, calls.table(arch))
            raise PolicyError(f"{arch} has no call {call!r}", hint=f"did you mean {near[0]}?" if near else "")
        number = calls.number(arch, found)
        assert number is not None
        nr = number & 0xFFFF_FFFF
    return Call(arch, nr, tuple(words), ip & WORD)  # type: ignore[arg-type]


def _weights(profile: Mapping[str, Counted] | None, arches: tuple[str, ...]) -> Any:
    if profile is None:
        return None
    from sysgate.compiler.counts import of_counts

    return of_counts(profile, arches)
