/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qa-mounts COUNT FOLDER SOURCE [bind]: a long mount table. Mounts a tmpfs at FOLDER and COUNT more
 * below it, by turns a bind mount of the folder SOURCE and a tmpfs of its own (with "bind" only the
 * former): FOLDER/0, FOLDER/1, ... One "umount -l FOLDER" takes all away. A program, since a
 * mount(8) for each takes minutes.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	char path[4096];
	long count;

	if (argc != 4 && argc != 5)
		return 2;
	count = strtol(argv[1], NULL, 10);
	if (mkdir(argv[2], 0755) < 0 || mount("tmpfs", argv[2], "tmpfs", 0, "size=64m") < 0)
		return fail(argv[2]);
	for (long i = 0; i < count; i++) {
		snprintf(path, sizeof path, "%s/%ld", argv[2], i);
		if (mkdir(path, 0755) < 0)
			return fail(path);
		if (argc == 4 && i % 2 ? mount("tmpfs", path, "tmpfs", 0, "size=4k")
				       : mount(argv[3], path, NULL, MS_BIND, NULL))
			return fail(path);
	}
	return 0;
}
