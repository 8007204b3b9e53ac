#include "wire/routes_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"

#define FIRST_NODES 16u

static uint32_t
hash_of(const struct mgr_routes *routes, uint32_t parent, const char *p, size_t n)
{
	const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t h = (routes->seed ^ parent) * odd ^ n;
	uint64_t word;

	for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		h = (h ^ word) * odd;
		h ^= h >> 32;
	}
	for (word = 0; n > 0; n--)
		word = word << 8 | (unsigned char)p[n - 1];
	h = (h ^ word) * odd;
	return (uint32_t)(h >> 32);
}

uint32_t
mgr_routes_literal(const struct mgr_routes *routes, uint32_t parent, const char *p, size_t n)
{
	uint32_t hash = hash_of(routes, parent, p, n), mask = routes->slot_n - 1;

	for (uint32_t i = hash & mask; routes->slot[i].node != 0; i = (i + 1) & mask) {
		if (routes->slot[i].hash != hash)
			continue;
		const struct mgr_routes_node *node = routes->node[routes->slot[i].node];
		if (node->parent == parent && node->segment_n == n && memcmp(node->segment, p, n) == 0)
			return routes->slot[i].node;
	}
	return 0;
}

static void
put_slot(struct mgr_routes_slot *slot, uint32_t slot_n, struct mgr_routes_slot entry)
{
	uint32_t i = entry.hash & (slot_n - 1);

	while (slot[i].node != 0)
		i = (i + 1) & (slot_n - 1);
	slot[i] = entry;
}

/* Makes room for one node more: 0 or -ENOMEM. */
static int
grow(struct mgr_routes *routes)
{
	if (routes->node_n < routes->node_cap)
		return 0;
	uint32_t cap = routes->node_cap == 0 ? FIRST_NODES : 2 * routes->node_cap;
	struct mgr_routes_node **node = reallocarray(routes->node, cap, sizeof(*node));
	if (node == NULL)
		return -ENOMEM;
	routes->node = node;
	struct mgr_routes_slot *slot = calloc(2 * (size_t)cap, sizeof(*slot));
	if (slot == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < routes->slot_n; i++)
		if (routes->slot[i].node != 0)
			put_slot(slot, 2 * cap, routes->slot[i]);
	free(routes->slot);
	routes->slot = slot;
	routes->slot_n = 2 * cap;
	routes->node_cap = cap;
	return 0;
}

static int
add_node(struct mgr_routes *routes, uint32_t parent, const char *segment, size_t n, uint32_t *ret_node)
{
	int r = grow(routes);

	if (r < 0)
		return r;
	struct mgr_routes_node *node = calloc(1, sizeof(*node) + n);
	if (node == NULL)
		return -ENOMEM;
	node->parent = parent;
	node->segment_n = n;
	memcpy(node->segment, segment, n);
	*ret_node = routes->node_n;
	routes->node[routes->node_n++] = node;
	return 0;
}

int
mgr_routes_new(struct mgr_routes **ret_routes)
{
	struct mgr_routes *routes = calloc(1, sizeof(*routes));
	uint32_t root;

	if (routes == NULL)
		return -ENOMEM;
	routes->seed = mgr_rand();
	int r = add_node(routes, 0, "", 0, &root);
	if (r < 0) {
		mgr_routes_free(routes);
		return r;
	}
	*ret_routes = routes;
	return 0;
}

void
mgr_routes_free(struct mgr_routes *routes)
{
	if (routes == NULL)
		return;
	for (uint32_t i = 0; i < routes->node_n; i++) {
		struct mgr_routes_route *next;

		for (struct mgr_routes_route *route = routes->node[i]->route; route != NULL; route = next) {
			next = route->next;
			free(route);
		}
		free(routes->node[i]);
	}
	free(routes->node);
	free(routes->slot);
	free(routes);
}

/* The child of a pattern's segment, made when it is missing. */
static int
get_child(struct mgr_routes *routes, uint32_t parent, const char *segment, size_t n, uint32_t *ret_child)
{
	bool is_param = segment[0] == '{';
	uint32_t child = is_param ? routes->node[parent]->param : mgr_routes_literal(routes, parent, segment, n);
	int r;

	if (child == 0) {
		r = add_node(routes, parent, segment, is_param ? 0 : n, &child);
		if (r < 0)
			return r;
		if (is_param)
			routes->node[parent]->param = child;
		else
			put_slot(routes->slot, routes->slot_n,
				 (struct mgr_routes_slot){hash_of(routes, parent, segment, n), child});
	}
	*ret_child = child;
	return 0;
}

/* What mgr_route_parse has let through, but for reserved names: the caller may own those. */
static bool
fits(const char *method, const char *pattern)
{
	size_t param_n = 0;

	if (strlen(method) >= MGR_ROUTE_METHOD_MAX || pattern[0] != '/' || strlen(pattern) > MGR_ROUTE_PATTERN_MAX)
		return false;
	for (const char *p = pattern; *p == '/' && pattern[1] != '\0';) {
		const char *segment = p + 1, *open, *close;

		p = strchrnul(segment, '/');
		open = memchr(segment, '{', (size_t)(p - segment));
		close = memchr(segment, '}', (size_t)(p - segment));
		if (p == segment || (open != NULL && (open != segment || close != p - 1)))
			return false;
		param_n += open != NULL;
	}
	return param_n <= MGR_ROUTE_PARAM_MAX;
}

static struct mgr_routes_route *
new_route(const char *method, const char *pattern, uint32_t owner)
{
	size_t n = strlen(pattern) + 1;
	struct mgr_routes_route *route = calloc(1, sizeof(*route) + n);

	if (route == NULL)
		return NULL;
	route->owner = owner;
	memcpy(route->method, method, strlen(method) + 1);
	memcpy(route->pattern, pattern, n);
	return route;
}

int
mgr_routes_add(struct mgr_routes *routes, const char *method, const char *pattern, uint32_t owner,
	       uint32_t *ret_conflict)
{
	uint32_t at = 0;

	if (!fits(method, pattern))
		return -EINVAL;
	for (const char *p = pattern; *p == '/' && pattern[1] != '\0';) {
		const char *segment = p + 1;

		p = strchrnul(segment, '/');
		int r = get_child(routes, at, segment, (size_t)(p - segment), &at);
		if (r < 0)
			return r;
	}
	struct mgr_routes_route **tail = &routes->node[at]->route;
	for (; *tail != NULL; tail = &(*tail)->next) {
		if (strcmp((*tail)->method, method) != 0)
			continue;
		if ((*tail)->owner == owner)
			return 0;
		*ret_conflict = (*tail)->owner;
		return -EEXIST;
	}
	*tail = new_route(method, pattern, owner);
	return *tail != NULL ? 0 : -ENOMEM;
}
