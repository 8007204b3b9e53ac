#include "page.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int
page_map(int fd, struct page **ret_page)
{
	void *p = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	*ret_page = p;
	return 0;
}

int
page_new(struct page **ret_page)
{
	int fd = memfd_create("mgr-httpd", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	int r = ftruncate(fd, sizeof(struct page)) < 0 ? -errno : page_map(fd, ret_page);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

void
page_clear(struct page_slot *slot)
{
#define CLEAR(name, help) atomic_store_explicit(&slot->name, 0, memory_order_relaxed);
	PAGE_COUNTERS(CLEAR)
#undef CLEAR
}

void
page_sum(const struct page *page, struct page_slot *ret_sum)
{
	page_clear(ret_sum);
	for (size_t i = 0; i < PAGE_SLOTS; i++) {
#define SUM(name, help) page_add(&ret_sum->name, page_get(&page->slot[i].name));
		PAGE_COUNTERS(SUM)
#undef SUM
	}
}
