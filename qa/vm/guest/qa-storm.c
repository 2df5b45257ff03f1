/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qa-storm PATH RATE: mounts and unmounts a tmpfs at PATH, RATE times a second, until it gets
 * SIGTERM; then says how often it did.
 *
 * Owns that one mount, and leaves none.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t ending;

static void on_end(int signo)
{
	(void)signo;
	ending = 1;
}

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_end};
	int64_t begun_us = now_us(), count = 0, due_us;

	if (argc != 3 || atoi(argv[2]) < 1)
		return 2;
	sigaction(SIGTERM, &action, NULL);
	while (!ending) {
		if (mount("qa-storm", argv[1], "tmpfs", 0, "size=4k") < 0 ||
		    umount2(argv[1], MNT_DETACH) < 0) {
			perror(argv[1]);
			return 1;
		}
		if (++count == 1) {
			puts("mounting");
			fflush(stdout);
		}
		due_us = begun_us + count * 1000000 / atoi(argv[2]);
		if (due_us > now_us())
			usleep((useconds_t)(due_us - now_us()));
	}
	printf("%lld mounts in %lld ms\n", (long long)count,
	       (long long)(now_us() - begun_us) / 1000);
	return 0;
}
