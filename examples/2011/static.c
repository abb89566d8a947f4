/* A program that makes just three system calls: read, write, exit. No C library.
   Build: cc -nostdlib -static -O1 -fno-stack-protector -o static static.c
   It copies standard input to standard output; with an argument it first tries to make a folder, which its rules do not allow. */

static long call(long nr, long a, long b, long c)
{
	long result;
	__asm__ volatile("syscall" : "=a"(result) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

__attribute__((used)) static void copy(long argc)
{
	char buffer[4096];
	long got;

	if (argc > 1)
		call(83, (long)"forbidden", 0700, 0);	/* mkdir */
	while ((got = call(0, 0, (long)buffer, sizeof buffer)) > 0)
		call(1, 1, (long)buffer, got);
	call(60, got < 0, 0, 0);			/* exit */
}

__asm__(".globl _start\n_start: mov (%rsp), %rdi\nand $-16, %rsp\ncall copy\n");
