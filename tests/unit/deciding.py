"""What a policy answers to a call, asked of the reference and of the compiled program alike."""

from __future__ import annotations

from functools import lru_cache

from sysgate import Policy, Program


@lru_cache(maxsize=256)
def compiled(text: str, arches: tuple[str, ...]) -> tuple[Policy, Program]:
    policy = Policy.parse(text)
    return policy, policy.compile(list(arches), optimize="fast")


def answer(text: str, call: str | int, *args: int, arch: str = "x86_64", beside: tuple[str, ...] = ()) -> str:
    """The answer, as "allow", "kill_process", "errno 13", "trap 7"; the rule of both deciders must be one too.

    arch: whose call it is. beside: further architectures that the program covers.
    """
    return decided(*compiled(text, (arch, *beside)), call, args, arch)


def decided(policy: Policy, program: Program, call: str | int, args: tuple[int, ...], arch: str | int) -> str:
    got = program.decide(call, args, arch=arch)
    if isinstance(arch, int) or program.arches == (arch,):
        want = policy.decide(call, args, arch=arch)
        assert (want.action, want.data, want.rule) == (got.action, got.data, got.rule), "reference and program differ"
    return f"{got.action} {got.data}" if got.action in ("errno", "trap", "trace") else got.action
