"""Whether a call was made before the program's own code ran: in its loader, or while its C library starts."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sysgate.call import Call

HINT = 'include "@startup"'

# What ld.so and the start of a C library call (glibc: elf/rtld.c, csu/libc-start.c, sysdeps/nptl/dl-tls_init_tp.c;
# musl: src/env).
_ONCE = frozenset(("arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64", "brk", "set_thread_area"))
_LOADING = _ONCE | {
    *("access", "close", "faccessat", "faccessat2", "fstat", "getrandom", "mmap", "mmap2", "mprotect", "munmap"),
    *("newfstatat", "open", "openat", "pread64", "read", "readlink", "readlinkat", "stat", "statx", "uname"),
}
# glibc's loader is a file of its own; musl's is the C library, whose later calls look the same.
_LOADERS = (b"ld-linux", b"ld-2.", b"ld.so", b"ld64.so")


def in_startup(call: Call, pid: int, tid: int, *, first: bool) -> bool:
    """True only where a call that programs start with comes from the loader, or is its process's first refusal.

    tid: the thread; threads other than the first are started by the program. first: nothing of the process was refused
    before.
    """
    name = call.name
    if pid != tid or name not in _LOADING:
        return False
    if first and name in _ONCE:
        return True
    from sysgate.kernel import procmap

    region = procmap.mapping_of(pid, call.ip)
    return region is not None and region.name.rpartition(b"/")[2].startswith(_LOADERS)
