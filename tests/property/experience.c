/* What a process experiences that makes system calls behind a filter: test_agreement.py asks, this tells.
 *
 * Input, in native order: the filter (u32 instructions, struct sock_filter[]), then u32 calls, each of eight u64: 0 for
 * `syscall`, 1 for `int $0x80`; the number; six arguments. Output: two s64 a call: 0 and what it returned, 1 and the data
 * of a trap, 2 and the signal that it died of.
 *
 * No call is ever made: a first filter answers MARKER to everything, and of two errnos the kernel takes that of the filter
 * that came later (kernel/seccomp.c, seccomp_run_filters). So MARKER is what an allowed call returns.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARKER 4000
#define PASS 0x5afe0000000000c1ull /* in the last argument: lets the second filter in */

struct call { uint64_t how, nr, args[6]; };
struct result { int64_t kind, value; };

static struct result *volatile results;
static volatile uint32_t at;
static jmp_buf next;

static void trapped(int signal, siginfo_t *info, void *context)
{
	results[at].kind = 1;
	results[at].value = info->si_errno;
	longjmp(next, 1); /* makes no system call, as no signal mask was saved */
}

static int64_t made(const struct call *c)
{
	int64_t ret;
	register uint64_t r10 __asm__("r10") = c->args[3];
	register uint64_t r8 __asm__("r8") = c->args[4];
	register uint64_t r9 __asm__("r9") = c->args[5];

	if (c->how == 0) {
		__asm__ volatile("syscall" : "=a"(ret), "+r"(r10), "+r"(r8), "+r"(r9)
			: "a"(c->nr), "D"(c->args[0]), "S"(c->args[1]), "d"(c->args[2]) : "rcx", "r11", "memory");
		return ret;
	}
	/* Needs -mno-red-zone: what lies below the stack pointer is overwritten. */
	__asm__ volatile("push %%rbp; mov %[sixth], %%rbp; int $0x80; pop %%rbp"
		: "=a"(ret), [sixth] "+r"(r9), "+r"(r8), "+r"(r10)
		: "a"(c->nr), "b"(c->args[0]), "c"(c->args[1]), "d"(c->args[2]), "S"(c->args[3]), "D"(c->args[4])
		: "r11", "memory");
	return (int32_t)ret;
}

static void confine(const struct sock_fprog *filter)
{
	uint32_t half = offsetof(struct seccomp_data, args[5]);
	struct sock_filter first[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, half),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)PASS, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, half + 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(PASS >> 32), 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | MARKER),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog all = { sizeof first / sizeof *first, first };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &all) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, filter, 0, 0, PASS))
		_exit(1);
}

static void experience(const struct sock_fprog *filter, const struct call *calls, uint32_t from, uint32_t count)
{
	struct sigaction action = { .sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigaction(SIGSYS, &action, NULL);
	confine(filter);
	at = from;
	if (_setjmp(next))
		at++;
	for (; at < count; at++) {
		results[at].kind = 2; /* unless it returns */
		results[at].value = made(&calls[at]);
		results[at].kind = 0;
	}
	for (;;)
		__builtin_trap(); /* SIGILL: the end. A call to leave would be answered as well. */
}

static void *taken(size_t size, uint32_t *count)
{
	void *memory;

	if (fread(count, 4, 1, stdin) != 1)
		return NULL;
	memory = malloc(size * *count + 1);
	if (!memory || fread(memory, size, *count, stdin) != *count)
		exit(1);
	return memory;
}

int main(void)
{
	uint32_t insns, count, from;
	struct sock_filter *filter;

	struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	while ((filter = taken(sizeof *filter, &insns))) {
		struct call *calls = taken(sizeof *calls, &count);
		struct sock_fprog prog = { insns, filter };
		struct result *shared = mmap(NULL, (count + 1) * sizeof *shared, PROT_READ | PROT_WRITE,
					     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		if (!calls || shared == MAP_FAILED)
			return 1;
		results = shared;
		for (from = 0; from < count; from++) { /* a new process after each death */
			int status;
			pid_t child = fork();

			if (child == 0)
				experience(&prog, calls, from, count);
			if (child < 0 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
				return 1;
			while (from < count && shared[from].kind != 2)
				from++;
			if (from < count)
				shared[from].value = WTERMSIG(status);
		}
		fwrite(shared, sizeof *shared, count, stdout);
		fflush(stdout);
		munmap(shared, (count + 1) * sizeof *shared);
		free(filter);
		free(calls);
	}
	return 0;
}
