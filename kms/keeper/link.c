/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between parent and keeper, with at most one descriptor attached (SCM_RIGHTS). */
#include "kms/keeper/link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for one descriptor, aligned as the kernel wants it. */
union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

kms_err link_send(int fd, const struct link_message *m, int attach)
{
	struct link_message copy = *m;
	struct iovec part = { .iov_base = &copy, .iov_len = sizeof(copy) };
	union control control = { 0 };
	struct msghdr h = { .msg_iov = &part, .msg_iovlen = 1 };
	if (attach >= 0) {
		h.msg_control = control.room;
		h.msg_controllen = sizeof(control.room);
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &attach, sizeof(int));
	}
	return sendmsg(fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)sizeof(copy) ? KMS_OK
	                                                                             : KMS_E_IO;
}

kms_err link_receive(int fd, struct link_message *out, int *out_attached)
{
	struct link_message m = { 0 };
	struct iovec part = { .iov_base = &m, .iov_len = sizeof(m) };
	union control control = { 0 };
	struct msghdr h = { .msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room) };
	ssize_t n = recvmsg(fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return KMS_E_UNAVAILABLE;
	if (n == 0)
		return KMS_E_CONNECTION_LOST;
	if (n != (ssize_t)sizeof(m))
		return KMS_E_IO;

	int attached = -1;
	const struct cmsghdr *c = CMSG_FIRSTHDR(&h);
	if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(&attached, CMSG_DATA(c), sizeof(int));
	m.text[LINK_TEXT_MAX] = '\0';
	*out = m;
	*out_attached = attached;
	return KMS_OK;
}
