"""What was decided about a call, and by which rule."""

from __future__ import annotations

from sysgate.value import Value


class Origin(Value):
    """The rule, or default line, that an answer comes from: its file, line (from 1) and text."""

    file: str
    line: int
    text: str


class Decision(Value):
    """The answer to one call.

    action: "allow", "errno", "kill_process", "kill_thread", "trap", "trace", "log" or "notify".
    data: errno number, trap or trace value; 0 otherwise.
    steps: BPF instructions executed; 0 for the reference meaning.
    cached: True where the kernel's constant-allow bitmap answers without running the program.
    rule: what decided; None where nothing that is written did.
    """

    action: str
    data: int
    steps: int
    cached: bool
    rule: Origin | None
