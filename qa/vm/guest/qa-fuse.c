/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qa-fuse PATH: mounts a FUSE file system at PATH whose server goes no further than the greeting:
 * statfs, open and all the rest wait until it ends, by any signal.
 *
 * Owns the connection; its end is the end of all that waits. Says "mounted" on standard output.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int greet(int fd)
{
	char request[FUSE_MIN_READ_BUFFER];
	struct {
		struct fuse_out_header header;
		struct fuse_init_out init;
	} answer = {.init = {.major = FUSE_KERNEL_VERSION,
			     .minor = FUSE_KERNEL_MINOR_VERSION,
			     .max_write = 4096}};
	const struct fuse_in_header *header = (const void *)request;

	if (read(fd, request, sizeof request) < (ssize_t)sizeof *header ||
	    header->opcode != FUSE_INIT)
		return -1;
	answer.header.len = sizeof answer;
	answer.header.unique = header->unique;
	return write(fd, &answer, sizeof answer) == sizeof answer ? 0 : -1;
}

int main(int argc, char **argv)
{
	char options[128];
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (argc != 2 || fd < 0)
		return 2;
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mount("qa-fuse", argv[1], "fuse.qa", 0, options) < 0 || greet(fd) < 0) {
		perror(argv[1]);
		return 1;
	}
	puts("mounted");
	fflush(stdout);
	for (;;)
		pause();
}
