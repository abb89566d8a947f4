/* What a process may be doing when it is attached to. `attach_targets MODE`: says "ready", waits in the way of MODE,
 * then says what the wait returned, its errno, and the errno of a mkdir(2). */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void say(const char *text) { write(1, text, strlen(text)); }

static void report(long result)
{
	int why = result < 0 ? errno : 0;
	mkdir("/nonexistent/folder", 0700);
	char text[80];
	snprintf(text, sizeof text, "%ld %d %d\n", result, why, errno);
	say(text);
}

static void handler(int number) { (void)number; }

#define LIMIT 6 /* seconds that the timed waits take */

static double seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Waits that a stop ends with EINTR, and that are made anew; whether they end when they should have. */
static int timed(const char *mode)
{
	struct timespec limit = { LIMIT, 0 };
	struct epoll_event event;
	int fd = epoll_create1(0), pair[2];
	double began = seconds();
	long result;
	if (!strcmp(mode, "epoll-timed")) {
		say("ready\n");
		result = epoll_wait(fd, &event, 1, LIMIT * 1000);
	} else if (!strcmp(mode, "epoll-twice")) {
		/* the limit of the second is that of the first, whatever happened to that */
		say("ready\n");
		result = epoll_pwait(fd, &event, 1, LIMIT * 750, NULL);
		if (!result)
			result = epoll_pwait(fd, &event, 1, LIMIT * 250, NULL);
	} else if (!strcmp(mode, "sigwait-timed")) {
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigprocmask(SIG_BLOCK, &set, NULL);
		say("ready\n");
		result = sigtimedwait(&set, NULL, &limit);
	} else if (!strcmp(mode, "semaphore-timed")) {
		struct sembuf take = { 0, -1, 0 };
		int set = semget(IPC_PRIVATE, 1, 0600);
		say("ready\n");
		result = semtimedop(set, &take, 1, &limit);
		int why = errno;
		semctl(set, 0, IPC_RMID);
		errno = why;
#ifdef SYS_epoll_pwait2
	} else if (!strcmp(mode, "epoll-timespec")) {
		long long words[2] = { LIMIT, 0 };
		say("ready\n");
		result = syscall(SYS_epoll_pwait2, fd, &event, 1, words, NULL, 8);
		if (words[0] != LIMIT || words[1])
			result = 7;
#endif
	} else if (!strcmp(mode, "receive")) {
		/* a socket's own limit begins anew */
		struct timeval own = { LIMIT - 1, 0 };
		char c;
		socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
		setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &own, sizeof own);
		say("ready\n");
		result = recv(pair[0], &c, 1, 0);
	} else
		return 0;
	double took = seconds() - began;
	report(result);
	say(took < LIMIT - 0.001 && strcmp(mode, "receive") ? "early\n" : took > LIMIT * 1.4 ? "late\n" : "on time\n");
	return 1;
}

static void filter(unsigned flags, int nr, unsigned ret)
{
	struct sock_filter code[] = {
		{ 0x20, 0, 0, 0 }, { 0x15, 0, 1, nr }, { 0x06, 0, 0, ret }, { 0x06, 0, 0, SECCOMP_RET_ALLOW },
	};
	struct sock_fprog program = { 4, code };
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program))
		say("no filter\n");
}

static void *own_filter(void *unused)
{
	filter(0, SYS_mkdir, SECCOMP_RET_ALLOW);
	say("ready\n");
	char c;
	read(0, &c, 1);
	return unused;
}

static void *survivor(void *unused)
{
	usleep(100000);
	say("ready\n");
	char c;
	report(read(0, &c, 1));
	return unused;
}

int main(int count, char **words)
{
	const char *mode = count > 1 ? words[1] : "";
	char c;
	pthread_t thread;
	if (!strncmp(mode, "filtered-", 9)) {
		filter(0, SYS_rmdir, SECCOMP_RET_ERRNO | EPERM);
		mode += 9;
	}
	if (timed(mode))
		return 0;
	if (!strcmp(mode, "nanosleep")) {
		struct timespec limit = { 2, 0 };
		say("ready\n");
		report(syscall(SYS_nanosleep, &limit, NULL));
	} else if (!strcmp(mode, "poll")) {
		struct pollfd never = { -1, 0, 0 };
		say("ready\n");
		report(poll(&never, 1, 2000));
	} else if (!strcmp(mode, "select")) {
		fd_set set;
		FD_ZERO(&set);
		FD_SET(0, &set);
		say("ready\n");
		report(select(1, &set, NULL, NULL, NULL));
	} else if (!strcmp(mode, "epoll")) {
		struct epoll_event event = { EPOLLIN, { 0 } };
		int fd = epoll_create1(0);
		epoll_ctl(fd, EPOLL_CTL_ADD, 0, &event);
		say("ready\n");
		report(epoll_wait(fd, &event, 1, -1));
	} else if (!strcmp(mode, "read")) {
		say("ready\n");
		report(read(0, &c, 1));
	} else if (!strcmp(mode, "futex")) {
		struct timespec limit = { 2, 0 };
		int word = 0;
		say("ready\n");
		report(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &limit, NULL, 0));
	} else if (!strcmp(mode, "sigwait")) {
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigprocmask(SIG_BLOCK, &set, NULL);
		say("ready\n");
		report(sigwaitinfo(&set, NULL));
	} else if (!strcmp(mode, "semaphore")) {
		struct sembuf take = { 0, -1, 0 };
		int set = semget(IPC_PRIVATE, 1, 0600);
		if (fork() == 0) {
			struct sembuf give = { 0, 1, 0 };
			read(0, &c, 1);
			semop(set, &give, 1);
			_exit(0);
		}
		say("ready\n");
		long result = semop(set, &take, 1);
		semctl(set, 0, IPC_RMID);
		report(result);
	} else if (!strcmp(mode, "handled")) {
		struct sigaction action = { .sa_handler = handler };
		sigaction(SIGUSR1, &action, NULL);
		int fd = epoll_create1(0);
		struct epoll_event event;
		say("ready\n");
		report(epoll_wait(fd, &event, 1, 60000));
	} else if (!strcmp(mode, "busy")) {
		say("ready\n");
		struct pollfd input = { 0, POLLIN, 0 };
		long calls = 0;
		while (!poll(&input, 1, 0))
			calls++;
		report(calls < 0);
	} else if (!strcmp(mode, "leader")) {
		pthread_create(&thread, NULL, survivor, NULL);
		pthread_exit(NULL);
	} else if (!strcmp(mode, "vfork")) {
		say("ready\n");
		if (vfork() == 0) {
			read(0, &c, 1);
			_exit(0);
		}
		report(0);
	} else if (!strcmp(mode, "own-filter")) {
		pthread_create(&thread, NULL, own_filter, NULL);
		pthread_join(thread, NULL);
		report(0);
	} else if (!strcmp(mode, "kills-seccomp")) {
		filter(0, SYS_seccomp, SECCOMP_RET_KILL_PROCESS);
		say("ready\n");
		report(read(0, &c, 1));
	} else if (!strcmp(mode, "filtered")) {
		filter(0, SYS_rmdir, SECCOMP_RET_ERRNO | EPERM);
		say("ready\n");
		report(read(0, &c, 1));
	} else if (!strcmp(mode, "strict")) {
		say("ready\n");
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
		read(0, &c, 1);
		syscall(SYS_exit, 0);
	} else if (!strcmp(mode, "zombie")) {
		if (fork() == 0)
			_exit(0);
		say("ready\n");
		read(0, &c, 1);
	}
	return 0;
}
