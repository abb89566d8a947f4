/* A 32-bit program of 2011, without a C library: its filters can only be `1`, and its numbers are its own. */

static long call(long nr, long a, long b, long c, long d, long e)
{
	long answer;

	__asm__ volatile("int $0x80" : "=a"(answer) : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e) : "memory");
	return answer;
}

enum { EXIT = 1, READ = 3, WRITE = 4, OPEN = 5, GETPID = 20, PRCTL = 172, EXIT_GROUP = 252 };

static long length(const char *text)
{
	long n = 0;

	while (text[n])
		n++;
	return n;
}

static void tell(const char *text) { call(WRITE, 1, (long)text, length(text), 0, 0); }

void _start(void)
{
	static char buffer[500];
	long file, n;

	call(PRCTL, 36, 0, WRITE, (long)"1", 0);
	call(PRCTL, 36, 0, OPEN, (long)"1", 0);
	file = call(OPEN, (long)"/proc/self/seccomp_filter", 0, 0, 0, 0);
	n = call(READ, file, (long)buffer, sizeof buffer - 1, 0, 0);
	if (call(PRCTL, 22, 13, 0, 0, 0) == 0)
		tell("entered\n");
	call(WRITE, 1, (long)buffer, n, 0, 0);
	call(GETPID, 0, 0, 0, 0, 0);
	tell("still here\n");
	call(EXIT_GROUP, 0, 0, 0, 0, 0);
}
