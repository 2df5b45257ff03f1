/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qa-hog PROCESSES [SCORE]: takes all the memory there is, again and again, until it gets SIGTERM.
 * Says "pressed" on standard output for each of its processes that the kernel killed for want of
 * memory.
 *
 * Owns its processes, which die with it. Invariant: the kernel takes them before anybody else, and
 * never this one.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK (4 << 20)

static void set_oom_score(const char *score)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, score, strlen(score)) < 0)
		_exit(1);
	close(fd);
}

/* What it has taken it goes over again, so that what was swapped out comes back. */
static _Noreturn void take(const char *score)
{
	enum { CHUNKS = 1 << 16 };
	static char *chunks[CHUNKS];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, SIG_DFL);
	set_oom_score(score);
	for (int count = 0;; count++) {
		char *chunk = count < CHUNKS ? mmap(NULL, CHUNK, PROT_READ | PROT_WRITE,
						    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
					     : MAP_FAILED;

		if (chunk == MAP_FAILED) {
			usleep(1000);
			continue;
		}
		chunks[count] = chunk;
		/* Not all the same: nothing may merge or drop these pages. */
		for (int at = 0; at < CHUNK; at += 4096)
			memcpy(chunk + at, &at, sizeof at);
		for (int i = 0; i < count; i += 8)
			chunks[i][0]++;
	}
}

static volatile sig_atomic_t ending;

static void on_end(int signo)
{
	(void)signo;
	ending = 1;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_end};
	int processes = argc > 1 ? atoi(argv[1]) : 2, running = 0;

	setvbuf(stdout, NULL, _IONBF, 0);
	sigaction(SIGTERM, &action, NULL);
	set_oom_score("-1000");
	mlockall(MCL_CURRENT | MCL_FUTURE);
	while (!ending) {
		for (; running < processes && !ending; running++) {
			pid_t pid = fork();

			if (pid == 0)
				take(argc > 2 ? argv[2] : "1000");
			if (pid < 0)
				break;
		}
		if (wait(NULL) > 0) {
			running--;
			puts("pressed");
		}
	}
	signal(SIGTERM, SIG_IGN);
	kill(0, SIGTERM);
	while (wait(NULL) > 0)
		;
	return 0;
}
