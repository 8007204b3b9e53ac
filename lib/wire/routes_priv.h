/*
 * The inside of the route table: built by routes.c, walked by routes_find.c.
 */
#ifndef MGR_WIRE_ROUTES_PRIV_H
#define MGR_WIRE_ROUTES_PRIV_H

#include "wire/route.h"

/*
 * A trie by segment.  A node has at most one child for a parameter and any number for literals; the
 * literal children of all nodes share one hash table, keyed by (parent, segment).  So a look-up costs
 * one probe per segment whatever the number of routes, and no walk visits a node twice.
 */
struct mgr_routes_route {
	struct mgr_routes_route *next; /* of the same node: another method */
	uint32_t owner;
	char method[MGR_ROUTE_METHOD_MAX];
	char pattern[];
};

struct mgr_routes_node {
	uint32_t parent;
	uint32_t param; /* the child for {name}; 0 = none, as the root is nobody's child */
	struct mgr_routes_route *route;
	size_t segment_n;
	char segment[];
};

struct mgr_routes_slot {
	uint32_t hash, node; /* node 0 = free */
};

struct mgr_routes {
	struct mgr_routes_node **node; /* [0] is the root */
	uint32_t node_n, node_cap;
	struct mgr_routes_slot *slot;
	uint32_t slot_n; /* a power of 2, at least twice the nodes */
	uint64_t seed;
};

/* The child of parent for a literal (decoded) segment, 0 = none. */
uint32_t mgr_routes_literal(const struct mgr_routes *routes, uint32_t parent, const char *p, size_t n);

#endif
