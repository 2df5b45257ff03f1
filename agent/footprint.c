/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Owns nothing: makes the process small while it waits. Called by agent.c once all is open. */
#include "config.h"

#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/footprint.h"

#define MAX_RANGES 128

typedef struct {
	struct {
		uintptr_t begin, end;
	} ranges[MAX_RANGES];
	unsigned int count;
	bool is_safe;
} Found;

/* Relocations of the text itself are private changes in a segment that says it is read-only. */
static bool has_text_relocations(const ElfW(Dyn) * entry)
{
	for (; entry->d_tag != DT_NULL; entry++)
		if (entry->d_tag == DT_TEXTREL ||
		    (entry->d_tag == DT_FLAGS && entry->d_un.d_val & DF_TEXTREL))
			return true;
	return false;
}

static void add_range(Found *found, uintptr_t begin, uintptr_t end)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	if (found->count == MAX_RANGES)
		return;
	found->ranges[found->count].begin = begin - begin % page;
	found->ranges[found->count++].end = end + (page - end % page) % page;
}

/* Only what is mapped read-only from its file: in a segment that was ever writable there are pages
 * of our own, which would be lost. */
static int find_ranges(struct dl_phdr_info *object, size_t size, void *user_data)
{
	Found *found = user_data;

	for (int i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
		uintptr_t begin = object->dlpi_addr + segment->p_vaddr;

		if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W))
			add_range(found, begin, begin + segment->p_filesz);
		else if (segment->p_type == PT_DYNAMIC)
			found->is_safe &= !has_text_relocations((const void *)begin);
	}
	return 0;
}

void sf_footprint_shrink(void)
{
	Found found = {.is_safe = true};

	malloc_trim(0);
	/* All are found before the first is given back: the look-up reads the libraries' headers.
	 */
	dl_iterate_phdr(find_ranges, &found);
	/* Linking and starting touch most of a library once, and the kernel maps the pages around
	 * each of those too. Where it fails the process is larger, and that is all. */
	for (unsigned int i = 0; found.is_safe && i < found.count; i++)
		(void)madvise((void *)found.ranges[i].begin,
			      found.ranges[i].end - found.ranges[i].begin, MADV_DONTNEED);
}
