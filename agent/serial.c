/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The isa-serial channel: a terminal line in raw mode. Handed to port by channels. */
#include "config.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include "agent/serial.h"
#include "protocol/error.h"

/* No echo above all: the host would read its own requests back. CLOCAL: a virtual line has no
 * carrier whose loss would mean anything. */
static bool make_raw(int fd)
{
	struct termios line;

	if (tcgetattr(fd, &line) < 0)
		return false;
	cfmakeraw(&line);
	line.c_cflag |= CLOCAL | CREAD;
	line.c_cc[VMIN] = 1;
	line.c_cc[VTIME] = 0;
	cfsetspeed(&line, B38400);
	return tcsetattr(fd, TCSANOW, &line) == 0;
}

int sf_serial_open(const char *path, GError **error)
{
	int fd = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0) {
		sf_throw_errno(error, "open '%s'", path);
		return -1;
	}
	if (!make_raw(fd)) {
		sf_throw_errno(error, "set up serial line '%s'", path);
		close(fd);
		return -1;
	}
	/* What a console wrote or a boot loader was sent before is no request. */
	tcflush(fd, TCIFLUSH);
	return fd;
}
