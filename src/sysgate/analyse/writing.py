"""Diagrams over calls as the text of a policy: defaults, sections, rules with all their heads.

Everything stands in sections that name the architectures the text is for, so that on all others the policy kills.
"""

from __future__ import annotations

from sysgate.action import KILL_PROCESS, Action
from sysgate.analyse import answers, heads
from sysgate.analyse.reading import X32, Numbers, clipped
from sysgate.analyse.view import signature, views
from sysgate.facts import calls
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sysgate.analyse.space import Space

_LETS_THROUGH = ("allow", "log", "notify", "trace")
_DENY_WORTH = 4  # rules that a `deny` line must shorten
_MANY_NAMES = 30  # so many are better said as a range of numbers


class Body(Value):
    """What stands behind a rule's colon, without the `else` that may go without saying.

    cases: (condition, action). last: the action where none holds. All as text.
    """

    cases: tuple[tuple[str, str], ...]
    last: str

    def text(self, deny: str | None) -> str:
        """The body where `deny` is what a failing rule answers anyway; None where that differs by architecture."""
        tail = "" if self.last == deny else f" else {self.last}"
        if not self.cases:
            return "1" if self.last == "allow" else f"0{tail}"
        if len(self.cases) == 1 and self.cases[0][1] == "allow":
            return f"{self.cases[0][0]}{tail}"
        listed = "; ".join(f"{condition} -> {action}" for condition, action in self.cases)
        return f"{{ {listed}{tail and f';{tail}'} }}"


class Writing:
    """Writes the policy for the architectures given. space: where their nodes are."""

    def __init__(self, space: Space, of_arches: Sequence[Numbers]) -> None:
        self.space = space
        self.of = {one.arch: one for one in of_arches}
        self.arches = tuple(self.of)
        self._bodies: dict[tuple[object, ...], Body] = {}
        self.default = {arch: self.usual(one) for arch, one in self.of.items()}
        # Calls with a rule of their own: arch → call → body.
        self.rules = {
            arch: {call: self.body(arch, call, node) for call, node in one.named.items() if node != self.silent(arch)}
            for arch, one in self.of.items()
        }

    def text(self) -> str:
        """The policy, each section with its own lines."""
        sections: dict[tuple[str, ...], list[str]] = {self.arches: []}
        by_section = self.by_section()
        number_rules = {arch: self.number_rules(arch) for arch in self.arches}
        for arches in sorted({*by_section, self.arches, *((arch,) for arch in self.arches)}, key=self.place):
            rules = by_section.get(arches, {})
            sections[arches] = self.directives(arches) + self.lines(arches, rules)
            if len(arches) == 1:
                sections[arches] += number_rules[arches[0]]
        written = [f"[{', '.join(arches)}]\n" + "\n".join(lines) for arches, lines in sections.items() if lines]
        return "\n\n".join(written) + "\n" if written else f"[{', '.join(self.arches)}]\n"

    def place(self, arches: tuple[str, ...]) -> tuple[int, tuple[int, ...]]:
        return -len(arches), tuple(self.arches.index(arch) for arch in arches)

    # ---- defaults

    def usual(self, one: Numbers) -> Action:
        """The answer to calls without a rule: one that numbers without a call get, so that fewest rules are needed."""
        outside = _outside_x32(one)
        found = {node for _, _, node in outside if self.space.is_leaf(node)}
        if not found:
            return KILL_PROCESS
        costs = []
        for node in found:
            action = self.space.value(node)
            assert isinstance(action, Action)
            heads_needed = sum(other != node for other in one.named.values()) + len(
                _runs([part for part in outside if part[2] != node])
            )
            costs.append((heads_needed, action.rank, action.data, action))
        return min(costs, key=lambda cost: cost[:3])[3]

    def silent(self, arch: str) -> int:
        """The node of the default."""
        return self.space.leaf(self.default[arch])

    def refusal(self, arch: str) -> Action:
        """What a rule that fails answers, without `else` and `deny`."""
        return KILL_PROCESS if self.default[arch].kind in _LETS_THROUGH else self.default[arch]

    def deny(self, arch: str) -> str:
        """What a rule that fails answers without saying so: the refusal, or a `deny` line if that saves some words."""
        refusal = answers.action_text(self.refusal(arch), arch)
        counts: dict[str, int] = {}
        for body in {*self.rules[arch].values()}:
            if body.last != "allow":
                counts[body.last] = counts.get(body.last, 0) + 1
        best = max(counts, key=lambda last: (counts[last], last == refusal), default=refusal)
        return best if counts.get(best, 0) >= counts.get(refusal, 0) + _DENY_WORTH else refusal

    def denies(self, arches: Sequence[str]) -> str | None:
        found = {self.deny(arch) for arch in arches}
        return found.pop() if len(found) == 1 else None

    def directives(self, arches: tuple[str, ...]) -> list[str]:
        """The `default` and `deny` of a section: of all where they agree, else in the section of each."""
        lines = []
        defaults = {arch: answers.action_text(self.default[arch], arch) for arch in self.arches}
        denies = {arch: self.deny(arch) for arch in self.arches}
        refusals = {arch: answers.action_text(self.refusal(arch), arch) for arch in self.arches}
        for word, said in (("default", defaults), ("deny", denies)):
            shared = len(set(said.values())) == 1
            if arches == self.arches if shared else len(arches) == 1:
                unsaid = "kill" if word == "default" else refusals[arches[0]]
                if said[arches[0]] != unsaid or (word == "deny" and len({refusals[arch] for arch in arches}) > 1):
                    lines.append(f"{word}: {said[arches[0]]}")
        return lines

    # ---- rules

    def body(self, arch: str, call: str | None, node: int) -> Body:
        """The rule for a node, in the words of a call (None: of a number)."""
        registers = tuple(sorted({self.space.place(variable)[0] for variable in self.space.support(node)} - {6}))
        key = node, arch, signature(arch, call, registers)
        if key not in self._bodies:
            found = answers.cases(self.space, node, views(arch, call))
            self._bodies[key] = Body(
                tuple((condition.text, _action(leaf, arch)) for condition, leaf in found.first),
                _action(found.last, arch),
            )
        return self._bodies[key]

    def by_section(self) -> dict[tuple[str, ...], dict[Body, set[str]]]:
        """Rules by the architectures they hold on: body → calls. What holds wherever there is the call is shared.

        Not so a call that the other architectures lack, where such a rule stands in a section of its own anyway.
        """
        found: dict[tuple[str, ...], dict[Body, set[str]]] = {}
        lacking: list[tuple[tuple[str, ...], Body, str]] = []
        for head in sorted({call for rules in self.rules.values() for call in rules}):
            # A name means a call where the architecture has one that goes by it (umount is umount2 on x86_64).
            meant = {arch: calls.resolve(arch, head) for arch in self.arches}
            bodies: dict[Body, list[str]] = {}
            for arch in self.arches:
                if meant[arch] == head and head in self.rules[arch]:
                    bodies.setdefault(self.rules[arch][head], []).append(arch)
            for body, where in bodies.items():
                fits = all(call is None or self.rules[arch].get(call) == body for arch, call in meant.items())
                section = self.arches if fits else tuple(where)
                found.setdefault(section, {}).setdefault(body, set()).add(head)
                if fits and not any(call for arch, call in meant.items() if arch not in where):
                    lacking.append((tuple(where), body, head))
        for section, body, head in lacking:
            if section != self.arches and body in found.get(section, {}):
                found[self.arches][body].remove(head)
                found[section][body].add(head)
        return {section: {body: names for body, names in rules.items() if names} for section, rules in found.items()}

    def lines(self, arches: tuple[str, ...], rules: dict[Body, set[str]]) -> list[str]:
        """The rules of one section by name, allowances first, then the conditions, then refusals."""
        deny = self.denies(arches)
        made: dict[str, list[str]] = {}
        exceptions: set[str] = set()
        for body, names in rules.items():
            plain = not body.cases
            allows = body == Body((), "allow")
            also = self.ruled(arches) if allows else set()
            defaults = {answers.action_text(self.default[arch], arch) for arch in arches}
            may_except = allows and len(defaults) == 1 and defaults.isdisjoint(_LETS_THROUGH)
            if plain:
                found, extra = heads.grouped(names, arches, also, self.unruled(arches) if may_except else set())
                exceptions.update(extra)
            else:
                found = sorted(names)
            made.setdefault(body.text(deny), []).extend(found)
        if exceptions:
            last = answers.action_text(self.default[arches[0]], arches[0])
            made.setdefault(Body((), last).text(deny), []).extend(sorted(exceptions))
        order = sorted(made, key=lambda text: (text != "1", text == "0" or text.startswith("0 else"), made[text]))
        return [f"{', '.join(made[text])}: {text}" for text in order]

    def ruled(self, arches: Sequence[str]) -> set[str]:
        """The calls that have a rule of their own on every one of the architectures that has them."""
        named = {call for arch in arches for call in self.of[arch].named}
        return {
            call for call in named if all(call in self.rules[arch] for arch in arches if call in self.of[arch].named)
        }

    def unruled(self, arches: Sequence[str]) -> set[str]:
        """The calls that have a rule on none of the architectures."""
        named = {call for arch in arches for call in self.of[arch].named}
        return {call for call in named if all(call not in self.rules[arch] for arch in arches)}

    # ---- numbers

    def number_rules(self, arch: str) -> list[str]:
        """The rules of one architecture for numbers that no call has."""
        found: dict[str, list[tuple[int, int]]] = {}
        deny = self.deny(arch) if self.denies(self.arches) is None else self.denies(self.arches)
        for node in dict.fromkeys(node for _, _, node in self.open_numbers(arch)):
            ranges = [(low, high) for low, high, other in self.open_numbers(arch) if other == node]
            found.setdefault(self.body(arch, None, node).text(deny), []).extend(self.joined(arch, node, ranges))
        return [f"{', '.join(heads.numbers(sorted(ranges)))}: {text}" for text, ranges in found.items()]

    def open_numbers(self, arch: str) -> list[tuple[int, int, int]]:
        """Ranges of numbers without a call whose answer is not the one they get without a rule."""
        one = self.of[arch]
        silent, refused = self.silent(arch), self.space.leaf(self.refusal(arch))
        if arch != "x86_64":
            return [part for part in one.unnamed if part[2] != silent]
        outside = [part for part in _outside_x32(one) if part[2] != silent]
        # x32 numbers without a rule get the refusal; where x32 is asked for too they are not among these.
        return sorted(outside + [part for part in clipped(one.unnamed, *X32) if part[2] != refused])

    def joined(self, arch: str, node: int, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """The ranges, those put together between which there are only calls that have the same rule by name."""
        whole = [(low, high) for low, high, other in self.of[arch].ranges if other == node]
        found: list[tuple[int, int]] = []
        for low, high in ranges:
            if found and any(a <= found[-1][1] and high <= b for a, b in whole):
                found[-1] = found[-1][0], high
            else:
                found.append((low, high))
        return found


def _action(leaf: object, arch: str) -> str:
    assert isinstance(leaf, Action)
    return answers.action_text(leaf, arch)


def _outside_x32(one: Numbers) -> list[tuple[int, int, int]]:
    if one.arch != "x86_64":
        return list(one.unnamed)
    return clipped(one.unnamed, 0, X32[0] - 1) + clipped(one.unnamed, X32[1] + 1, 0xFFFF_FFFF)


def _runs(parts: list[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """Ranges with those that touch made one."""
    found: list[tuple[int, int]] = []
    for low, high, _ in parts:
        if found and found[-1][1] == low - 1:
            found[-1] = found[-1][0], high
        else:
            found.append((low, high))
    return found
