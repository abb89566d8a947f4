/*
 * A program of 2011: speaks form a, b or c of the seccomp filter interface and says what it was answered.
 *
 *     abi2011 FORM CASE [WORD]
 *
 * Prints one line an answer: its name and its value, errors as -errno. After the filters are entered it makes
 * no call but write(1), exit_group and what the case is about. tests/kernel/test_abi2011.py knows what is right.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GET_MODE = 21, SET_MODE = 22, GET = 35, SET = 36, CLEAR = 37 };

static char form;
static char *self;

static long result(long value) { return value == -1 ? -errno : value; }

/* Through the library's own door, so that errno is what a program of then would see. */
static long ask(long option, long a, long b, long c, long d)
{
	return result(syscall(SYS_prctl, option, a, b, c, d));
}

static void say(const char *name, long value)
{
	char line[200];
	int length = snprintf(line, sizeof line, "%s %ld\n", name, value);
	syscall(SYS_write, 1, line, length);
}

static void tell(const char *name, const char *text)
{
	char line[700];
	int length = snprintf(line, sizeof line, "%s %s\n", name, text);
	syscall(SYS_write, 1, line, length);
}

static void leave(int code) { syscall(SYS_exit_group, code); }

/* ---- the calls, in the form that is spoken; what a form does not pass is garbage, as in a variadic call */

static long set(long nr, const void *text)
{
	if (form == 'b')
		return ask(SET, nr, (long)text, 0x5a5a5a5a, 0x77);
	return ask(SET, 0, nr, (long)text, 0x77);
}

static long clear(long nr)
{
	if (form == 'b')
		return ask(CLEAR, nr, 0x123456789, 3, 4);
	return ask(CLEAR, 0, nr, 3, 4);
}

static long get(long nr, char *buffer, long size)
{
	if (form == 'b')
		return ask(GET, nr, (long)buffer, size, 0);
	return ask(GET, 0, nr, (long)buffer, size);
}

static long mode(void) { return ask(GET_MODE, 0, 0, 0, 0); }

static const char *policy = "sys_write: fd == 1 || fd == 2\nexit_group: 1\nsys_prctl: 1\nsys_exit: 1\n";

static long enter(void)
{
	if (form == 'a')
		return ask(SET_MODE, 2, (long)policy, 0, 0);
	return form == 'b' ? ask(SET_MODE, 2, 0, 0, 0) : ask(SET_MODE, 13, 0, 0, 0);
}

static void usual(void)
{
	set(SYS_write, "fd == 1 || fd == 2");
	set(SYS_exit_group, "1");
	set(SYS_prctl, "1");
	set(SYS_exit, "1");
}

static void confine(void)
{
	if (form != 'a')
		usual();
	say("enter", enter());
	say("mode", mode());
}

/* A child that runs what follows `if (child())`; the parent says how it ended. */
static int child(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		return 1;
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		say("signal", WTERMSIG(status));
	else
		say("status", WEXITSTATUS(status));
	return 0;
}

/* ---- the cases */

static void case_modes(void)
{
	say("before", mode());
	confine();
	say("again", enter());
	leave(0);
}

static void case_allowed(void)
{
	confine();
	tell("still", "here");
	leave(7);
}

static void case_no_entry(void)
{
	confine();
	syscall(SYS_getpid);
	tell("still", "here");
	leave(0);
}

static void case_no_match(void)
{
	confine();
	syscall(SYS_write, 3, "x", 1);
	tell("still", "here");
	leave(0);
}

static void case_raw_registers(void)
{
	confine();
	/* fd is an int, but 2011 compared the whole register */
	syscall(SYS_write, 0x100000001, "x", 1);
	tell("still", "here");
	leave(0);
}

static void case_texts(void)
{
	char buffer[300];

	say("first", set(SYS_read, "fd == 1 || fd == 2"));
	say("second", set(SYS_read, "  fd != 2\t\n"));
	memset(buffer, 'x', sizeof buffer);
	say("get", get(SYS_read, buffer, sizeof buffer));
	tell("text", buffer);
	say("always", set(SYS_write, "1"));
	say("get", get(SYS_write, buffer, sizeof buffer));
	tell("text", buffer);
	say("narrowed", set(SYS_write, "fd == 1"));
	say("get", get(SYS_write, buffer, sizeof buffer));
	tell("text", buffer);
	say("never", set(SYS_close, "0"));
	say("get", get(SYS_close, buffer, sizeof buffer));
	tell("text", buffer);
	say("one", set(SYS_read, "1"));
	say("get", get(SYS_read, buffer, sizeof buffer));
	tell("text", buffer);
}

static void case_errors(void)
{
	char buffer[300], longer[300];
	char *page = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	say("get before any", get(SYS_read, buffer, sizeof buffer));
	say("clear before any", clear(SYS_read));
	say("good", set(SYS_read, "fd == 1"));
	say("null", set(SYS_write, 0));
	munmap(page + 4096, 4096);
	memset(page, ' ', 4096);
	say("unreadable", set(SYS_write, page + 4090));
	say("out of range", set(-1, "1"));
	say("out of range", set(0x80000000L, "1"));
	say("empty", set(SYS_write, ""));
	say("spaces", set(SYS_write, " \t\n"));
	say("no filter", set(SYS_write, "fd =="));
	say("no such argument", set(SYS_write, "nosuch == 1"));
	say("of another call", set(SYS_write, "dfd == 1"));
	say("no arguments known", set(183, "fd == 1")); /* afs_syscall, never implemented */
	say("no arguments known, always", set(185, "1"));
	memset(longer, ' ', sizeof longer);
	memcpy(longer, "fd == 1", 7);
	memcpy(longer + 290, "|| 1 ", 5);
	longer[299] = 0;
	say("too long", set(SYS_write, longer));
	strcpy(longer, "fd == 1");
	while (strlen(longer) < 232)
		strcat(longer, "        ");
	strcat(longer, "|| fd == 2");
	say("nearly too long", set(SYS_close, longer));
	say("merged too long", set(SYS_close, "fd == 1"));
	say("small buffer", get(SYS_read, buffer, 7));
	say("just large enough", get(SYS_read, buffer, 8));
	say("null buffer", get(SYS_read, 0, 100));
	say("read-only buffer", get(SYS_read, (char *)"const", 100));
	say("no such filter", get(SYS_write, buffer, sizeof buffer));
	say("clear", clear(SYS_read));
	say("clear again", clear(SYS_read));
	say("get cleared", get(SYS_read, buffer, sizeof buffer));
	say("bad mode", ask(SET_MODE, 7, 0, 0, 0));
	if (form == 'c') {
		say("bad type", ask(SET, 2, SYS_read, (long)"1", 0));
		say("bad type", ask(CLEAR, 2, SYS_read, 0, 0));
		say("bad type", ask(GET, 2, SYS_read, (long)buffer, 100));
	}
	say("mode", mode());
}

static void case_event(void)
{
	char buffer[300];
	long id = atol(self);

	say("set", ask(SET, 1, id, (long)"fd == 1", 0));
	say("get", ask(GET, 1, id, (long)buffer, sizeof buffer));
	tell("text", buffer);
	say("same call", get(SYS_write, buffer, sizeof buffer));
	say("clear", ask(CLEAR, 1, id, 0, 0));
	say("no such event", ask(SET, 1, 65535, (long)"1", 0));
}

static void case_narrow(void)
{
	usual();
	set(SYS_getpid, "1");
	set(SYS_close, "fd != 5");
	say("enter", enter());
	say("new call", set(SYS_getuid, "1"));
	say("narrow", set(SYS_close, "fd != 6"));
	say("close 7", result(syscall(SYS_close, 77)));
	if (form == 'b')
		say("with one", set(SYS_close, "1"));
	say("clear", clear(SYS_getpid));
	say("clear again", clear(SYS_getpid));
	say("back again", set(SYS_getpid, "1"));
	say("get", get(SYS_getpid, (char *)policy, 100));
	tell("still", "here");
	syscall(SYS_close, 6);
	tell("still", "here");
	leave(0);
}

static void case_cleared(void)
{
	usual();
	set(SYS_getpid, "1");
	say("enter", enter());
	say("getpid", syscall(SYS_getpid) > 0);
	say("clear", clear(SYS_getpid));
	syscall(SYS_getpid);
	tell("still", "here");
	leave(0);
}

static void case_most(void)
{
	/* numbers that no call has do; C's are any int, and go up from where execve is not among them */
	long most = form == 'b' ? 511 : 65535, first = form == 'b' ? 0 : 1000, n;
	long answer = 0;

	for (n = 0; n < most && !answer; n++)
		answer = set(first + n, "1");
	say("sets", n);
	say("answer", answer);
	say("one more", set(first + n, "1"));
}

static void case_execve(void)
{
	char buffer[300];

	say("execve", set(SYS_execve, "1"));
	say("another", set(SYS_read, "1"));
	say("get", get(SYS_execve, buffer, sizeof buffer));
}

static void case_execve_dropped(void)
{
	char buffer[300];

	usual();
	say("execve", set(SYS_execve, "1"));
	say("setuid", syscall(SYS_setresuid, 65534, 65534, 65534));
	say("get", get(SYS_execve, buffer, sizeof buffer));
	say("change", set(SYS_read, "1"));
	say("get", get(SYS_execve, buffer, sizeof buffer));
	say("execve", set(SYS_execve, "1"));
}

static void case_execve_dropped_in_force(void)
{
	char *argv[] = {self, "a", "hello", 0};

	usual();
	set(SYS_close, "1");
	set(SYS_setresuid, "1");
	say("execve", set(SYS_execve, "1"));
	say("enter", enter());
	syscall(SYS_setresuid, 65534, 65534, 65534);
	say("change", clear(SYS_close));
	syscall(SYS_execve, self, argv, 0);
	tell("still", "here");
	leave(0);
}

static void case_fork_idle(void)
{
	char buffer[300];

	usual();
	if (child()) {
		say("get in child", get(SYS_write, buffer, sizeof buffer));
		say("mode in child", mode());
		leave(0);
	}
	say("get", get(SYS_write, buffer, sizeof buffer));
}

static void case_fork_entered(void)
{
	char buffer[300];
	pid_t pid;
	int status;

	usual();
	set(SYS_clone, "1");
	set(SYS_fork, "1");
	set(SYS_wait4, "1");
	set(SYS_getpid, "1");
	say("enter", enter());
	pid = syscall(SYS_fork);
	if (pid == 0) {
		say("mode in child", mode());
		say("get in child", get(SYS_write, buffer, sizeof buffer));
		say("clear in child", clear(SYS_getpid));
		syscall(SYS_getpid);
		leave(0);
	}
	syscall(SYS_wait4, pid, &status, 0, 0);
	say("signal", WTERMSIG(status));
	/* the child's change was its own */
	say("getpid", syscall(SYS_getpid) > 0);
	say("get", get(SYS_getpid, buffer, sizeof buffer));
	pid = syscall(SYS_fork);
	if (pid == 0)
		syscall(SYS_getuid);
	syscall(SYS_wait4, pid, &status, 0, 0);
	say("signal", WTERMSIG(status));
	leave(0);
}

static int untraced(void *unused)
{
	(void)unused;
	tell("in child", "here");
	syscall(SYS_getuid);
	return 0;
}

static void case_clone_untraced(void)
{
	static char stack[65536];
	int status;

	usual();
	set(SYS_clone, "1");
	set(SYS_wait4, "1");
	say("enter", enter());
	say("cloned", clone(untraced, stack + sizeof stack, CLONE_UNTRACED | SIGCHLD, 0) > 0);
	syscall(SYS_wait4, -1, &status, 0, 0);
	say("signal", WTERMSIG(status));
	leave(0);
}

static void *in_thread(void *unused)
{
	usual();
	set(SYS_madvise, "1");
	set(SYS_rt_sigprocmask, "1");
	set(SYS_futex, "1");
	say("enter in thread", enter());
	syscall(SYS_getuid);
	tell("still", "here");
	return unused;
}

static void case_thread(void)
{
	pthread_t thread;

	pthread_create(&thread, 0, in_thread, 0);
	pthread_join(thread, 0);
	/* a mode is one thread's, and so is its death */
	say("mode", mode());
	say("getuid", syscall(SYS_getuid) >= 0);
}

static void *inherits(void *unused)
{
	say("mode in thread", mode());
	syscall(SYS_getuid);
	tell("still", "here");
	return unused;
}

static void case_thread_inherits(void)
{
	pthread_t thread;
	int nr;

	usual();
	/* what pthread_create and pthread_join need */
	for (nr = 0; nr < 450; nr++)
		if (nr != SYS_getuid && nr != SYS_execve)
			set(nr, "1");
	say("enter", enter());
	pthread_create(&thread, 0, inherits, 0);
	pthread_join(thread, 0);
	tell("still", "here");
	leave(0);
}

static void case_proc(void)
{
	char buffer[2000];
	int file;
	long length;

	set(SYS_write, "fd == 1");
	set(SYS_uname, "1");
	set(SYS_open, "1");
	set(SYS_openat, "1");
	set(SYS_read, "1");
	set(SYS_exit_group, "1");
	set(SYS_prctl, "1");
	set(500, "1");
	file = syscall(SYS_open, "/proc/self/seccomp_filter", O_RDONLY);
	length = syscall(SYS_read, file, buffer, sizeof buffer - 1);
	buffer[length > 0 ? length : 0] = 0;
	syscall(SYS_write, 1, buffer, strlen(buffer));
	say("enter", enter());
	file = syscall(SYS_openat, AT_FDCWD, "/proc/self/seccomp_filter", O_RDONLY);
	length = syscall(SYS_read, file, buffer, 13);
	say("read", length);
	say("no such file", result(syscall(SYS_open, "/no/such/seccomp_filter", O_RDONLY)));
	say("not there", result(syscall(SYS_open, "/proc/1000000000/seccomp_filter", O_RDONLY)));
	leave(0);
}

static void case_proc_of_another(void)
{
	char path[100], buffer[2000];
	int pipes[2], file;
	long length;
	pid_t pid;

	pipe(pipes);
	pid = fork();
	if (pid == 0) {
		usual();
		close(pipes[0]);
		write(pipes[1], "x", 1);
		pause();
	}
	read(pipes[0], path, 1);
	snprintf(path, sizeof path, "/proc/%d", pid);
	chdir(path);
	file = open("seccomp_filter", O_RDONLY);
	length = read(file, buffer, sizeof buffer - 1);
	buffer[length > 0 ? length : 0] = 0;
	write(1, buffer, strlen(buffer));
	file = openat(open("/proc/self", O_RDONLY | O_DIRECTORY), "seccomp_filter", O_RDONLY);
	say("own", read(file, buffer, sizeof buffer));
	kill(pid, SIGKILL);
}

static void case_strict(void)
{
	say("enter", ask(SET_MODE, 1, 0, 0, 0));
	tell("still", "here");
	syscall(SYS_exit, 3);
}

static void case_strict_refuses(void)
{
	say("enter", ask(SET_MODE, 1, 0, 0, 0));
	leave(0);
}

/* ---- starting later */

static void case_hello(void)
{
	tell("hello", "there");
	leave(5);
}

static void case_hello_refused(void)
{
	tell("hello", "there");
	syscall(SYS_getuid);
	leave(5);
}

static long enter_later(void)
{
	static char text[9000];

	if (form == 'b') {
		int nr;

		for (nr = 0; nr < 450; nr++)
			if (nr != SYS_getuid && nr != SYS_execve)
				set(nr, "1");
		return ask(SET_MODE, 2, 1 << 1, 0, 0);
	}
	snprintf(text, sizeof text, "%s%s%s", policy,
		 "sys_brk: 1\nsys_mmap: 1\nsys_mprotect: 1\nsys_munmap: 1\nsys_access: 1\nsys_openat: 1\nsys_read: 1\n"
		 "sys_pread64: 1\nsys_close: 1\nsys_newfstat: 1\nsys_newfstatat: 1\nsys_arch_prctl: 1\n"
		 "sys_set_tid_address: 1\nsys_set_robust_list: 1\nsys_rseq: 1\nsys_prlimit64: 1\nsys_getrandom: 1\n"
		 "old_select: 1\nold_mmap: 1\nsys_idle: 1\nsys_vm: 1\nsys_olduname: 1\n\n",
		 "on_next_syscall: 1");
	return ask(SET_MODE, 2, (long)text, 0, 0);
}

static void later(const char *then)
{
	char *argv[] = {self, (char[]){form, 0}, (char *)then, 0};

	enter_later(); /* and nothing in between: A waits for the next call only */
	execve(self, argv, 0);
	tell("not", "executed");
}

static void case_later(void) { later("hello"); }
static void case_later_refused(void) { later("hello_refused"); }

static void case_next_call(void)
{
	long entered = enter_later();

	syscall(SYS_getuid); /* passes, whatever it is */
	say("enter", entered);
	syscall(SYS_getuid);
	tell("still", "here");
	leave(0);
}

static void case_on_exec(void)
{
	char *argv[] = {self, "b", "hello", 0};

	say("enter", enter_later());
	say("mode", mode());
	say("getuid", syscall(SYS_getuid) >= 0);
	if (child()) { /* inherited: the child waits for its own exec */
		say("getuid in child", syscall(SYS_getuid) >= 0);
		leave(0);
	}
	/* it fails, and ends the delay all the same */
	say("execve", result(syscall(SYS_execve, "/no/such/program", argv, 0)));
	syscall(SYS_getuid);
	tell("still", "here");
	leave(0);
}

static void case_on_exec_allowed(void)
{
	char *argv[] = {self, "b", "hello_refused", 0};

	set(SYS_execve, "1");
	enter_later();
	/* a filter allows this one: the delay goes on */
	syscall(SYS_execve, self, argv, 0);
}

/* ---- the other word size: int 0x80 from 64-bit code */

static long call_32(long nr, long a, long b, long c, long d)
{
	long answer;

	__asm__ volatile("int $0x80" : "=a"(answer) : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d) : "memory", "r8", "r9", "r10", "r11");
	return answer;
}

static long set_32(const char *low, long nr)
{
	return form == 'b' ? call_32(172, SET, nr, (long)low, 0) : call_32(172, SET, 0, nr, (long)low);
}

static void case_word_size(void)
{
	char *low = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	strcpy(low, "fd == 1");
	strcpy(low + 100, "1");
	if (child()) {
		say("32-bit filter", set_32(low, 4));
		say("32-bit always", set_32(low + 100, 4));
		say("64-bit change", set(SYS_write, "1"));
		leave(0);
	}
	usual();
	say("32-bit change", set_32(low + 100, 4));
	say("enter", enter());
	call_32(20, 0, 0, 0, 0); /* getpid */
	tell("still", "here");
	leave(0);
}

static void case_seccomp_2(void)
{
	say("seccomp", result(syscall(SYS_seccomp, 1, 0, 0)));
}

static void case_bad_policy(void)
{
	say("unknown call", ask(SET_MODE, 2, (long)"sys_nosuch: 1\n", 0, 0));
	say("no rule", ask(SET_MODE, 2, (long)"sys_read\n", 0, 0));
	say("no filter", ask(SET_MODE, 2, (long)"sys_read: fd ==\n", 0, 0));
	say("no text", ask(SET_MODE, 2, 0x7ffffffff000, 0, 0));
	say("mode", mode());
}

#define CASE(name) {#name, case_##name}
static const struct { const char *name; void (*run)(void); } cases[] = {
	CASE(modes), CASE(allowed), CASE(no_entry), CASE(no_match), CASE(raw_registers), CASE(texts), CASE(errors),
	CASE(event), CASE(narrow), CASE(cleared), CASE(most), CASE(execve), CASE(execve_dropped),
	CASE(execve_dropped_in_force), CASE(fork_idle), CASE(fork_entered), CASE(clone_untraced), CASE(thread),
	CASE(thread_inherits), CASE(proc), CASE(proc_of_another), CASE(strict), CASE(strict_refuses), CASE(hello),
	CASE(hello_refused), CASE(later), CASE(later_refused), CASE(next_call), CASE(on_exec), CASE(on_exec_allowed),
	CASE(word_size), CASE(seccomp_2), CASE(bad_policy),
};

int main(int argc, char **argv)
{
	unsigned at;

	if (argc < 3)
		return 2;
	form = argv[1][0];
	self = argc > 3 ? argv[3] : argv[0];
	for (at = 0; at < sizeof cases / sizeof *cases; at++) {
		if (!strcmp(cases[at].name, argv[2])) {
			cases[at].run();
			return 0;
		}
	}
	return 2;
}
