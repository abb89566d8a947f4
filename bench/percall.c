/* What a call costs behind a filter: percall ROUNDS NR A0 A1 A2 A3 FILTER...
 *
 * FILTER is a raw program, or "-" for none. Each round forks one child a filter, in an order that turns from round to
 * round, on one CPU; the child installs its filter and makes the call many times. It tells by shared memory, for its
 * filter may deny everything else, and dies by whatever its filter makes of exit. Printed, a line a filter: the least
 * nanoseconds of a call in any batch, and the least of installing: what the machine's other work adds is noise.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 40, CALLS = 2000, MOST = 4096, FILTERS = 16, ROUNDS = 1000 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t); /* by the vDSO: no system call */
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	int rounds = atoi(argv[1]), filters = argc - 7;
	long nr = strtol(argv[2], 0, 0), a[4];
	static struct sock_filter insns[FILTERS][MOST];
	struct sock_fprog prog[FILTERS];
	cpu_set_t one;

	if (filters > FILTERS || rounds > ROUNDS)
		return 2;
	for (int i = 0; i < 4; i++)
		a[i] = strtoul(argv[3 + i], 0, 0);
	for (int i = 0; i < filters; i++) {
		prog[i].filter = insns[i];
		prog[i].len = 0;
		if (argv[7 + i][0] == '-')
			continue;
		int fd = open(argv[7 + i], O_RDONLY);
		prog[i].len = read(fd, insns[i], sizeof insns[i]) / sizeof insns[i][0];
		close(fd);
	}
	double(*told)[ROUNDS][2] = mmap(0, sizeof(double[FILTERS][ROUNDS][2]), PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof one, &one);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (int round = 0; round < rounds; round++)
		for (int turn = 0; turn < filters; turn++) {
			int i = (turn + round) % filters;
			if (fork()) {
				wait(0);
				continue;
			}
			double start = now();
			if (prog[i].len && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog[i]))
				_exit(1);
			told[i][round][1] = now() - start;
			double best = 1e18;
			for (int batch = 0; batch < BATCHES; batch++) {
				start = now();
				for (int call = 0; call < CALLS; call++)
					syscall(nr, a[0], a[1], a[2], a[3], 0, 0);
				double each = (now() - start) / CALLS;
				best = each < best ? each : best;
			}
			told[i][round][0] = best;
			_exit(0);
		}
	for (int i = 0; i < filters; i++) {
		double call = 1e18, install = 1e18;
		for (int round = 0; round < rounds; round++) {
			call = told[i][round][0] < call ? told[i][round][0] : call;
			install = told[i][round][1] < install ? told[i][round][1] : install;
		}
		printf("%.2f %.0f\n", call, install);
	}
	return 0;
}
