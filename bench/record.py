"""`python -m bench.record FOLDER`: record the compiler's built-in profile on this machine's ordinary programs.

Each program runs under strace; of every call its number of times is kept, and of every argument the values seen most
often. None of the programs is in a bench stream (gcc, git, nginx, python, redis, sqlite, tar, crosvm): a compiler tuned
on what it is measured by would show nothing. What comes out depends on the machine, so the result is committed.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from pathlib import Path

# A name and a shell command; each runs in a fresh folder. What serves and what asks run as one program.
PROGRAMS = {
    # who walks through the file system
    "find": "find /usr/share/doc /etc -name '*.conf' -newer /etc/passwd",
    "ls": "ls -lR /usr/lib/python3 /etc",
    "grep": "grep -rn include /usr/share/perl/ /etc",
    "cp": "cp -r /usr/share/perl-base /etc/ssl . ; rm -r perl-base",
    "ps": "ps aux; du -s /usr/share/doc; df; top -bn1; id; uptime",
    # who starts others
    "bash": "bash -c 'for i in $(seq 40); do x=$(echo $i | tr 1 2); [ -f /etc/$x ] || echo $x > out; done; cat out'",
    "make": 'for i in 1 2 3 4 5 6 7 8; do echo "t$i: ; @echo $i > t$i"; echo "all: t$i"; done > Makefile; '
    "make -j2 all; make all",
    "dpkg": "dpkg -l; dpkg -L coreutils; dpkg-query -S /bin/ls",
    # who moves data
    "sort": "find /usr/share > list; sort -S 1M -r list -o sorted; uniq list | wc; sha256sum list",
    "gzip": "find /usr/share/perl -type f | head -100 | xargs cat > all; gzip -k all; xz -0 -k all; zip -q all.zip all; "  # noqa: E501 - a command line
    "unzip -qo all.zip; diff -u all /etc/passwd | head -5",
    "sed": "seq 100000 > n; sed s/1/2/ n | awk '{ s += $1; print s }' | tee sums | tr 0-9 a-j | cut -c2- | wc -l; "
    "while read x; do echo $x; done < n | head -2000 > few; paste n sums | tail -3",
    "dd": "dd if=/dev/zero of=zeros bs=4k count=2000; dd if=zeros of=copy bs=16k conv=fsync; cat zeros copy > both; cmp zeros copy",  # noqa: E501 - a command line
    # who edits and shows
    "vim": "vim -es -u NONE -c 'e /etc/passwd' -c '%s/root/toor/g' -c 'w! copy' -c 'qa!'",
    "man": "man -P cat bash | head -3000 | wc; man -k copy; groff -T ascii -man /usr/share/man/man1/ls.1.gz",
    # who runs programs in a language
    "perl": 'perl -MFile::Find -MSocket -e \'find(sub { stat }, "/usr/share/perl"); '
    "for (1..30) { my $p = fork or exit; waitpid $p, 0 } "
    "socketpair(my $a, my $b, AF_UNIX, SOCK_STREAM, 0); for (1..50) { syswrite $a, $_; sysread $b, $_, 99 }'",
    "node": 'node -e \'const fs=require("fs"),net=require("net"); '
    'for (const f of fs.readdirSync("/etc")) try { fs.readFileSync("/etc/"+f) } catch {} '
    "const s=net.createServer(c=>c.pipe(c)).listen(0,()=>{ const c=net.connect(s.address().port); let n=0; "
    'c.on("data",()=>{ if(++n>500){c.end();s.close()} else c.write("x") }); c.write("x") })\'',
    "java": "echo 'class A { public static void main(String[] a) throws Exception { "
    'for (java.io.File f : new java.io.File("/etc").listFiles()) System.out.println(f.length()); } }\' > A.java; '
    "java A.java",
    # who serves
    "httpd": "mkdir www; seq 5000 > www/page; busybox httpd -f -p 127.0.0.1:8765 -h www & sleep 0.3; "
    "for i in $(seq 30); do curl -s http://127.0.0.1:8765/page > got; done; "
    "wget -q -O got2 http://127.0.0.1:8765/page; kill $!",
    "postgres": "chmod 777 .; setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'export HOME=$PWD; "
    'initdb -D db -N; pg_ctl -D db -w -o "-k $PWD -h localhost -p 8766" start; '
    "createdb -h $PWD -p 8766 x; pgbench -h $PWD -p 8766 -i x; pgbench -h $PWD -p 8766 -c 2 -t 300 x; "
    'psql -h $PWD -p 8766 -c "select count(*) from pgbench_history" x; pg_ctl -D db stop\'',
    "ssh": "ssh-keygen -q -t ed25519 -N '' -f key; ssh-agent bash -c 'ssh-add key; ssh-add -l'; "
    "openssl speed -seconds 1 -bytes 64 sha256; openssl enc -aes-256-ctr -pass pass:x -pbkdf2 -in /usr/bin/vim -out enc",  # noqa: E501 - a command line
}
VALUES = 6  # per argument
LEAST = 0.02  # of an argument's values: rarer ones are left out

_LINE = re.compile(r"^\d+ +([a-z_0-9]+)\(([^)]*)\)? *(?:= |<unfinished)")


def record(name: str, command: str) -> tuple[Counter[str], dict[tuple[str, int], Counter[int]]]:
    """Counts of calls, and of the values of each argument, for one shell command and all it starts."""
    calls: Counter[str] = Counter()
    values: dict[tuple[str, int], Counter[int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        work = Path(folder, "work")
        work.mkdir()
        subprocess.run(
            ["strace", "-f", "-qq", "-e", "raw=all", "-e", "signal=none", "-o", log, "sh", "-c", command],
            cwd=work,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )
        for line in log.read_text().splitlines():
            found = _LINE.match(line)
            if not found:
                continue
            calls[found[1]] += 1
            for place, word in enumerate(filter(None, found[2].split(", "))):
                if word.startswith("0x") or word.isdigit():
                    values.setdefault((found[1], place), Counter())[int(word, 0)] += 1
    print(f"{name}: {sum(calls.values())} calls of {len(calls)} kinds", file=sys.stderr)
    return calls, values


def main(folder: str) -> None:
    """Record all programs and write the two modules."""
    recordings = {name: record(name, command) for name, command in PROGRAMS.items()}
    origin = [
        f"# strace 6.1 on Linux 6.18, x86_64, Debian 12, each with its helpers: {', '.join(list(PROGRAMS)[:10])},"
    ]
    origin.append(f"# {', '.join(list(PROGRAMS)[10:])}.")
    head = ["", "from __future__ import annotations", "", *origin]
    lines = ['"""How often ordinary programs make each call. Written by `python -m bench.record`."""', *head]
    lines.append("CALLS: tuple[dict[str, int], ...] = (")
    for name, (calls, _) in recordings.items():
        inside = ", ".join(f'"{call}": {count}' for call, count in sorted(calls.items()))
        lines += [f"    {{  # {name}", *_wrapped(inside), "    },"]
    lines += [")", '"""Calls by name, a recording each."""', ""]
    Path(folder, "prior.py").write_text("\n".join(lines))
    lines = [
        '"""Means of the recordings, and values of arguments: quick to load. Written by `python -m bench.record`."""',
        *head,
    ]
    means = [f"{call} {share}" for call, share in _means(recordings).items()]
    lines += ['MEANS = """', *textwrap.wrap(" ".join(means), 119), '"""']
    lines += ['"""Call, and how many of a million calls; each recording weighs the same."""', "", "VALUES = {"]
    for (call, argument), shares in sorted(_values(recordings).items()):
        pairs = " ".join(f"{value:x}:{share}" for value, share in shares)
        lines.append(f'    "{call} {argument}": "{pairs}",')
    lines += ["}", '"""Call and argument → value (hexadecimal) and per mille of the calls that have it."""', ""]
    Path(folder, "prior_brief.py").write_text("\n".join(lines))


def _means(recordings: dict[str, tuple[Counter[str], dict[tuple[str, int], Counter[int]]]]) -> dict[str, int]:
    shares: dict[str, float] = {}
    for calls, _ in recordings.values():
        for call, count in calls.items():
            shares[call] = shares.get(call, 0.0) + count / sum(calls.values()) / len(recordings)
    return {call: max(1, round(1_000_000 * share)) for call, share in sorted(shares.items())}


def _values(
    recordings: dict[str, tuple[Counter[str], dict[tuple[str, int], Counter[int]]]],
) -> dict[tuple[str, int], list[tuple[int, int]]]:
    summed: dict[tuple[str, int], Counter[int]] = {}
    recorded: Counter[tuple[str, int]] = Counter()
    for _, values in recordings.values():
        for key, counts in values.items():
            recorded[key] += 1
            total = sum(counts.values())
            for value, count in counts.items():
                summed.setdefault(key, Counter())[value] += count / total  # type: ignore[assignment]
    kept = {}
    for key, shares in summed.items():
        # An address says nothing about the next run, only that the argument is one.
        usual = [
            (value, round(1000 * share / recorded[key]))
            for value, share in sorted(shares.items(), key=lambda item: (-item[1], item[0]))
            if share / recorded[key] >= LEAST and value < 1 << 32
        ][:VALUES]
        if usual:
            kept[key] = usual
    return kept


def _wrapped(text: str) -> list[str]:
    words, lines = text.split(", "), [" " * 7]
    for word in words:
        if len(lines[-1]) + len(word) > 115:
            lines.append(" " * 7)
        lines[-1] += f" {word},"
    return lines


if __name__ == "__main__":
    main(sys.argv[1])
