"""A filter's text as the kernel gets it, and errors that point into it as it was written."""

from __future__ import annotations

from sysgate.errors import PolicyError
from sysgate.policy.ftrace.chars import SPACE

# kernel/trace/trace_events.c, event_filter_write refuses a page or more; pages are at least this large.
PAGE = 4096


class Text:
    """The bytes of one filter and the place it stands at.

    data: what the engine reads: up to the first NUL, without the spaces at the end (event_filter_write,
    apply_event_filter). file, line, column: where the filter begins; source: that whole line.
    """

    def __init__(
        self, text: str, *, file: str | None = None, line: int | None = 1, column: int = 1, source: str | None = None
    ) -> None:
        self._place = (file, line, column)
        self._source = text if source is None else source
        try:
            written = text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise self._error("half a character (a lone surrogate) is no text", error.start, 1, "") from None
        if len(written) >= PAGE:
            raise self._error(f"a filter has at most {PAGE - 1} bytes, this one {len(written)}", 0, 1, "")
        self.data = written.partition(b"\0")[0]
        self.cut = len(self.data) < len(written)
        end = len(self.data)
        while end and self.data[end - 1] in SPACE:
            end -= 1
        self.data = self.data[:end]

    def error(self, message: str, at: int, width: int = 1, hint: str = "") -> PolicyError:
        """An error at a byte of the text, `width` bytes long."""
        start = len(self.data[:at].decode("utf-8", "replace"))
        return self._error(message, start, len(self.data[at : at + width].decode("utf-8", "replace")), hint)

    def word(self, start: int, end: int) -> str:
        """Some bytes as text, for a message."""
        return self.data[start:end].decode("utf-8", "backslashreplace")

    def _error(self, message: str, start: int, width: int, hint: str) -> PolicyError:
        file, line, column = self._place
        return PolicyError(
            message,
            file=file,
            line=line,
            column=column + start,
            hint=hint,
            source=self._source.translate(_SHOWN),
            width=width,
        )


# One character for one, so that the caret stays where it belongs: control characters as their pictures; halves of
# characters, and marks that would turn the direction of the line, as the sign for what cannot be shown.
_SHOWN = {code: 0x2400 + code for code in range(32) if code != ord("\t")} | {0x7F: 0x2421}
_SHOWN |= dict.fromkeys((*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD)
_SHOWN |= dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)
