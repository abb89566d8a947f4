"""What sysgate put in force where: a file per filter, in a folder of the user who did it.

The kernel gives filters back to root only, and never the text they were written in. So who puts a process behind a
policy notes it, by pid and start time, which no other process ever has together. A note is a claim: whoever can write
to the folder can make one (any program of that user, confined or not). `status` verifies it where it can.
"""

from __future__ import annotations

import os
import stat

from sysgate.kernel import procfs
from sysgate.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sysgate.policy.ast import Policy

_MAGIC = b"sysgate registry 1\n"
_LONGEST = 1 << 20  # bytes of a note that are read
_MOST = 4096  # notes of one folder that are looked at
_FIELDS = ("pid", "started", "ordinal", "namespace", "form", "how", "dialect", "name")


class Entry(Value):
    """One note.

    pid, started: the process, as procfs.start_time has it. ordinal: how many filters it stood behind afterwards, this
    one the last (-1: the kernel did not say). namespace: the pid namespace that pid is of. form: of what was loaded
    (launch.prepared's names, or "attached"). how: the command. dialect, text: the policy's. name: its files.
    owner: whose folder it was found in.
    """

    pid: int
    started: int
    ordinal: int
    namespace: str
    form: str
    how: str
    dialect: str
    name: str
    text: str
    owner: int = -1


def record(
    pid: int, policy: Policy, *, form: str, how: str, started: int | None = None, ordinal: int | None = None
) -> str | None:
    """Note that a process was just put behind a policy; the note's path, for `forget`.

    started, ordinal: as of Entry; unsaid they are looked up. None where it cannot be noted (no folder of ours, a full
    disk, the process gone): that is no reason to fail.
    """
    if started is None:
        started = procfs.start_time(pid)
    if ordinal is None:
        status = procfs.status(pid)
        ordinal = None if status is None else status.filters
    folder = _own_folder()
    if started is None or ordinal is None or folder is None:
        return None
    name, text = _words(policy)
    entry = Entry(pid, started, ordinal, _namespace(), form, how, policy.dialect, name, text)
    path = os.path.join(folder, f"{pid}.{started}.{ordinal}")
    draft = f"{path}.{os.getpid()}~"
    try:
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, _written(entry))
        finally:
            os.close(fd)
        os.rename(draft, path)
    except OSError:
        return None
    return path


_last: tuple[Policy, tuple[str, str]] | None = None


def _words(policy: Policy) -> tuple[str, str]:
    # Name and text: of one policy that many are put behind, made once.
    global _last
    if _last is None or _last[0] is not policy:
        from sysgate.policy import printer

        _last = policy, (name_of(policy), printer.text(policy))
    return _last[1]


def forget(path: str | None) -> None:
    """Take a note back: its process has ended."""
    if path is not None:
        try:  # noqa: SIM105 - contextlib is slow to load
            os.unlink(path)
        except OSError:
            pass  # somebody tidied up


def entries(uid: int) -> tuple[Entry, ...]:
    """The notes about living processes of a user, by pid and filter: in that user's own folder, and in root's.

    Notes of ours about processes that have ended are taken away. What cannot be read, is no note, or is about another
    user's process, is left out.
    """
    found = []
    for owner in dict.fromkeys((uid, 0)):
        for folder in _folders(owner):
            found += list(_of_folder(folder, owner, uid))
    return tuple(sorted(found, key=lambda entry: (entry.pid, entry.ordinal)))


def name_of(policy: Policy) -> str:
    """The files a policy was read from, as they were named."""
    names = [line.source.name for side in policy.sides for line in side.default.values()]
    names += [rule.source.name for rule in policy.rules]
    return ", ".join(dict.fromkeys(name for name in names if not name.startswith("<"))) or "<rules>"


def _of_folder(folder: str, owner: int, uid: int) -> Iterator[Entry]:
    namespace = _namespace()
    for name in _listed(folder):
        path = os.path.join(folder, name)
        entry = _read(path, owner)
        if entry is None or entry.namespace != namespace or name != f"{entry.pid}.{entry.started}.{entry.ordinal}":
            continue
        if procfs.start_time(entry.pid) != entry.started:
            if owner == os.geteuid():
                forget(path)
            continue
        status = procfs.status(entry.pid)
        if status is not None and status.uid == uid:
            yield entry


def _listed(folder: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(name for name in names if name.replace(".", "").isdigit())[:_MOST]


_found: tuple[tuple[str, ...], str] | None = None  # where was looked last, and what was found


def _own_folder() -> str | None:
    global _found
    uid = os.geteuid()
    places = _places(uid)
    if _found is not None and _found[0] == places and _safe(_found[1], uid):
        return _found[1]
    for folder in places:
        try:  # noqa: SIM105 - contextlib is slow to load
            os.mkdir(folder, 0o700)
        except OSError:
            pass  # it is there, or cannot be: `_safe` tells
        if _safe(folder, uid):
            _found = places, folder
            return folder
    return None


def _folders(uid: int) -> tuple[str, ...]:
    return tuple(folder for folder in _places(uid) if _safe(folder, uid))


def _places(uid: int) -> tuple[str, ...]:
    given = os.environ.get("XDG_RUNTIME_DIR", "") if uid == os.geteuid() else ""
    usual = f"/run/user/{uid}"
    runtime = [given, usual] if os.path.isabs(given) else [usual]
    # In memory, as those are; what lies there is of no use after the next start of the machine.
    shared = [f"/dev/shm/sysgate-{uid}", f"/tmp/sysgate-{uid}"]
    return tuple(dict.fromkeys([*(f"{folder}/sysgate" for folder in runtime), *shared]))


def _safe(folder: str, uid: int) -> bool:
    # Anybody can make a folder, or a link, of that name in /tmp.
    try:
        seen = os.lstat(folder)
    except OSError:
        return False
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == uid and stat.S_IMODE(seen.st_mode) & 0o077 == 0


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _written(entry: Entry) -> bytes:
    values = (str(getattr(entry, field)).replace("\n", " ") for field in _FIELDS)
    head = "".join(f"{field}: {value}\n" for field, value in zip(_FIELDS, values, strict=True))
    return _MAGIC + f"{head}\n{entry.text}".encode("utf-8", "surrogateescape")


def _read(path: str, owner: int) -> Entry | None:
    """A note; None where the file is none. It may be anything: a pipe, a link, a gigabyte, another program's lie."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or seen.st_uid != owner or seen.st_size > _LONGEST:
            return None
        raw = os.read(fd, _LONGEST)
    except OSError:
        return None
    finally:
        os.close(fd)
    if not raw.startswith(_MAGIC):
        return None
    from sysgate.decode import escaped

    head, _, text = raw[len(_MAGIC) :].decode("utf-8", "surrogateescape").partition("\n\n")
    said = dict(line.partition(": ")[::2] for line in head.split("\n"))
    try:
        pid, started, ordinal = (int(said[field]) for field in _FIELDS[:3])
        namespace, form, how, dialect, name = (said[field] for field in _FIELDS[3:])
    except (KeyError, ValueError):
        return None
    # Both are shown as they stand, and who wrote them is not known.
    return Entry(pid, started, ordinal, namespace, form, escaped(how), dialect, escaped(name), text, owner)
