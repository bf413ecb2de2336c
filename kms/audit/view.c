/* SPDX-License-Identifier: Apache-2.0 */
/* A segment for reading: the file mapped, its head checked, its frames one after the other. */
#include "kms/audit/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kms/audit/segment_private.h"

void segment_view_free(struct segment_view **v)
{
	if (*v == NULL)
		return;
	/* munmap wants a pointer to what may be changed; nothing is. */
	union {
		const uint8_t *from;
		void *to;
	} map = { .from = (*v)->map.p };
	if (map.to != NULL)
		(void)munmap(map.to, (*v)->map.n);
	free(*v);
	*v = NULL;
}

static kms_err map_file(int fd, struct bytes *out)
{
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return KMS_E_AUDIT_IO;
	/* Ours are never empty nor longer than a head can say. */
	if (st.st_size <= 0 || st.st_size > UINT32_MAX)
		return KMS_E_AUDIT_CORRUPT;
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return errno == ENOMEM ? KMS_E_NO_MEMORY : KMS_E_AUDIT_IO;
	*out = bytes_of(p, (size_t)st.st_size);
	return KMS_OK;
}

kms_err segment_view_map(int dir_fd, uint32_t number, struct segment_view **out)
{
	char name[SEGMENT_NAME_MAX];

	segment_name(number, name);
	AUTO(segment_fd_close) int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? KMS_E_NOT_FOUND : KMS_E_AUDIT_IO;
	AUTO(segment_view_free) struct segment_view *v = calloc(1, sizeof(*v));
	if (v == NULL)
		return KMS_E_NO_MEMORY;
	TRY(map_file(fd, &v->map));
	*out = MOVE(v);
	return KMS_OK;
}

kms_err segment_view_read_head(struct segment_view *v, uint32_t number)
{
	struct segment_head h;
	size_t n = 0;

	kms_err e = segment_head_decode(v->map, &h, &n);
	if (e == KMS_E_AUDIT_CORRUPT && bytes_used(v->map, 0) == 0)
		return KMS_E_NOT_FOUND;
	TRY(e);
	/* A segment under another one's name, or cut. */
	if (h.number != number || h.size != v->map.n)
		return KMS_E_AUDIT_CORRUPT;
	v->head = h;
	v->head_len = n;
	return KMS_OK;
}

kms_err segment_view_open(int dir_fd, uint32_t number, struct segment_view **out)
{
	AUTO(segment_view_free) struct segment_view *v = NULL;

	TRY(segment_view_map(dir_fd, number, &v));
	TRY(segment_view_read_head(v, number));
	*out = MOVE(v);
	return KMS_OK;
}

const struct segment_head *segment_view_head(const struct segment_view *v)
{
	return &v->head;
}

kms_err segment_view_next(
    const struct segment_view *v, uint64_t *pos, uint8_t *out_type, struct bytes *out_payload)
{
	size_t used = 0;

	if (*pos == 0)
		*pos = v->head_len;
	CHECK(*pos <= v->map.n);
	TRY(segment_frame_find(
	    bytes_of(v->map.p + *pos, v->map.n - *pos), out_type, out_payload, &used));
	*pos += used;
	return KMS_OK;
}
