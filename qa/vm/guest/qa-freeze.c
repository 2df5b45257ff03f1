/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qa-freeze freeze|thaw PATH...: the raw ioctl, as "another process" that froze a filesystem.
 *
 * Owns nothing. Invariant: it does nothing at all unless the kernel was started with the word
 * snapfreeze.qa, so a slip of the hand cannot freeze the machine that runs the tests.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool in_test_guest(void)
{
	char line[4096];
	char *word, *rest = line;
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return false;
	line[n] = '\0';
	while ((word = strsep(&rest, " \n")))
		if (strcmp(word, "snapfreeze.qa") == 0)
			return true;
	return false;
}

int main(int argc, char **argv)
{
	bool freeze = argc > 2 && strcmp(argv[1], "freeze") == 0;
	bool thaw = argc > 2 && strcmp(argv[1], "thaw") == 0;
	int status = 0;

	if (!in_test_guest()) {
		fprintf(stderr, "qa-freeze: this is not the test guest: refused\n");
		return 77;
	}
	if (!freeze && !thaw) {
		fprintf(stderr, "usage: qa-freeze freeze|thaw PATH...\n");
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);

		if (fd < 0 || ioctl(fd, freeze ? FIFREEZE : FITHAW, 0) < 0) {
			fprintf(stderr, "%s\t%s\n", strerrorname_np(errno), argv[i]);
			status = 1;
		}
		if (fd >= 0)
			close(fd);
	}
	return status;
}
