"""The socket over which a child hands over its listener, and is told to go on."""

from __future__ import annotations

from _socket import AF_UNIX, CMSG_SPACE, MSG_CMSG_CLOEXEC, SOCK_STREAM, socket, socketpair


class Channel:
    """Both ends, close-on-exec. theirs: the number of the child's end, which is never 0, 1 or 2."""

    def __init__(self) -> None:
        self._ours, end = socketpair(AF_UNIX, SOCK_STREAM)
        if end.fileno() < 3:  # these are about to become the program's streams
            from fcntl import F_DUPFD_CLOEXEC, fcntl  # seldom needed

            moved = fcntl(end.fileno(), F_DUPFD_CLOEXEC, 3)
            end.close()
            end = socket(AF_UNIX, SOCK_STREAM, 0, moved)
        self._end: socket | None = end
        self.theirs = end.fileno()

    def child_has_it(self) -> None:
        """Close the child's end here, so that its last copy goes with the child's exec or end."""
        if self._end is not None:
            self._end.close()
            self._end = None

    def report(self) -> tuple[bool, int | None]:
        """Whether the child has reported (False: it ended), and the listener that came along."""
        data, control, _, _ = self._ours.recvmsg(1, CMSG_SPACE(4), MSG_CMSG_CLOEXEC)
        passed = [int.from_bytes(raw[:4], "little") for _, _, raw in control if len(raw) >= 4]
        return bool(data), passed[0] if passed else None

    def tell_to_go(self) -> None:
        """Let the child go on, and wait until it has executed its program, or ended: either closes its end."""
        self._ours.send(b"g")
        self._ours.recv(1)

    def close(self) -> None:
        """Close what is open here."""
        self.child_has_it()
        self._ours.close()
