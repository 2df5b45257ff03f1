/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vsock: addresses, listening, and whom to believe. Called by listener. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "agent/vsock.h"
#include "protocol/error.h"

#define BACKLOG 16
#define LAST_PRIVILEGED_PORT 1023
#define CID_LOOPBACK 1 /* VMADDR_CID_LOCAL; older headers have it under another meaning's name */

static bool parse_number(const char *text, uint32_t *out_number)
{
	char *end = NULL;
	guint64 number;

	if (!g_ascii_isdigit(*text))
		return false;
	number = g_ascii_strtoull(text, &end, 10);
	if (*end || number > UINT32_MAX)
		return false;
	*out_number = number;
	return true;
}

bool sf_vsock_parse(const char *text, SfVsockAddress *out_address, GError **error)
{
	g_auto(GStrv) parts = g_strsplit(text, ":", -1);
	SfVsockAddress address = {.cid = VMADDR_CID_ANY};

	if (g_strv_length(parts) != 2 ||
	    (strcmp(parts[0], "-1") != 0 && !parse_number(parts[0], &address.cid)) ||
	    !parse_number(parts[1], &address.port))
		return sf_throw(error, "'%s' is no vsock address (CID:PORT)", text);
	*out_address = address;
	return true;
}

int sf_vsock_listen(const char *text, GError **error)
{
	SfVsockAddress wanted;
	struct sockaddr_vm address = {.svm_family = AF_VSOCK};
	int fd;

	if (!sf_vsock_parse(text, &wanted, error))
		return -1;
	address.svm_cid = wanted.cid;
	address.svm_port = wanted.port;
	fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		sf_throw_errno(error, "listen on vsock '%s'", text);
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

bool sf_vsock_get_ends(int fd, SfVsockAddress *out_own, SfVsockAddress *out_peer)
{
	struct sockaddr_vm own = {0};
	struct sockaddr_vm peer = {0};
	socklen_t own_len = sizeof(own);
	socklen_t peer_len = sizeof(peer);

	if (getsockname(fd, (struct sockaddr *)&own, &own_len) < 0 ||
	    getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0 ||
	    own.svm_family != AF_VSOCK || peer.svm_family != AF_VSOCK)
		return false;
	*out_own = (SfVsockAddress){own.svm_cid, own.svm_port};
	*out_peer = (SfVsockAddress){peer.svm_cid, peer.svm_port};
	return true;
}

bool sf_vsock_peer_is_trusted(const SfVsockAddress *own, const SfVsockAddress *peer)
{
	if (peer->cid == VMADDR_CID_HYPERVISOR)
		return true;
	/* On a machine that is itself the host, its own processes come from the host's number. */
	if (peer->cid == VMADDR_CID_HOST && own->cid != VMADDR_CID_HOST)
		return true;
	if (peer->cid == CID_LOOPBACK || peer->cid == own->cid)
		return peer->port <= LAST_PRIVILEGED_PORT;
	return false;
}
