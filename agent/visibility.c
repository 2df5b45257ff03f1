/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owns the answer to "which mount does this path lead to". A mount is reached where its parent is
 * reached and no sibling lies over its mount point; it is visible where it is reached and no child
 * lies over its root. Called by mounts only, once per table.
 */
#include "config.h"

#include <string.h>

#include "agent/visibility.h"

/* The parent of all whose own parent is not in the table. Ids of mounts are never negative. */
#define NO_PARENT (-1)

typedef enum { UNKNOWN, IN_WORK, REACHED, HIDDEN } State;

typedef struct {
	SfMount *mount;
	guint parent; /* an index into the table, or @n */
	guint index;
	int parent_id; /* NO_PARENT where it is not in the table */
	bool has_cover;
	State state;
} Node;

typedef struct {
	Node *nodes;
	guint n;
} Tree;

/* '/' sorts before all other letters, so that what lies below a path follows it at once. */
static int compare_paths(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	if (*a == *b)
		return 0;
	if (*a == '\0' || *b == '\0')
		return *a == '\0' ? -1 : 1;
	if (*a == '/' || *b == '/')
		return *a == '/' ? -1 : 1;
	return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
}

static int compare_nodes(gconstpointer a, gconstpointer b)
{
	const Node *left = *(Node *const *)a;
	const Node *right = *(Node *const *)b;
	int by_path;

	if (left->parent_id != right->parent_id)
		return left->parent_id < right->parent_id ? -1 : 1;
	by_path = compare_paths(left->mount->path, right->mount->path);
	if (by_path != 0)
		return by_path;
	return left->index < right->index ? -1 : left->index > right->index;
}

static bool path_is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	if (strncmp(path, folder, length) != 0)
		return false;
	return path[length] == '/' || (length == 1 && path[1] != '\0');
}

static void find_parents(Tree *tree, const GPtrArray *mounts)
{
	g_autoptr(GHashTable) by_id = g_hash_table_new(NULL, NULL);

	for (guint i = 0; i < tree->n; i++) {
		const SfMount *mount = g_ptr_array_index(mounts, i);

		g_hash_table_insert(by_id, GINT_TO_POINTER(mount->id), &tree->nodes[i]);
	}
	for (guint i = 0; i < tree->n; i++) {
		SfMount *mount = g_ptr_array_index(mounts, i);
		Node *node = &tree->nodes[i];
		Node *parent = g_hash_table_lookup(by_id, GINT_TO_POINTER(mount->parent));

		*node = (Node){.mount = mount, .index = i, .parent_id = NO_PARENT};
		node->parent = tree->n;
		if (parent && parent != node) {
			node->parent = parent - tree->nodes;
			node->parent_id = mount->parent;
		}
	}
}

/* What hides a mount from the side: a sibling at the same path that came later, or one at a folder
 * above. */
static void hide_behind_siblings(Tree *tree)
{
	g_autofree Node **sorted = g_new(Node *, tree->n + 1); /* never NULL */
	const Node *cover = NULL;

	for (guint i = 0; i < tree->n; i++)
		sorted[i] = &tree->nodes[i];
	qsort(sorted, tree->n, sizeof(*sorted), compare_nodes);

	for (guint i = 0; i < tree->n; i++) {
		Node *node = sorted[i];
		const Node *next = i + 1 < tree->n ? sorted[i + 1] : NULL;

		if (next && next->parent_id == node->parent_id &&
		    g_str_equal(next->mount->path, node->mount->path))
			node->state = HIDDEN;
		else if (cover && cover->parent_id == node->parent_id &&
			 path_is_below(node->mount->path, cover->mount->path))
			node->state = HIDDEN;
		else
			cover = node;
	}
}

/* Look-ups of absolute paths begin in the process's root, below whatever is mounted over it since:
 * the kernel never leads from "/" to a mount at "/" above it. */
static void hide_above_root(Tree *tree)
{
	for (guint i = 0; i < tree->n; i++) {
		Node *node = &tree->nodes[i];

		if (node->parent == tree->n || !g_str_equal(node->mount->path, "/"))
			continue;
		if (tree->nodes[node->parent].parent == tree->n)
			node->state = HIDDEN;
	}
}

/* Its own id as parent: taken out of the sorting, so that it hides no sibling either. */
static void set_above_root_aside(Tree *tree)
{
	for (guint i = 0; i < tree->n; i++)
		if (tree->nodes[i].state == HIDDEN)
			tree->nodes[i].parent_id = NO_PARENT - 1;
}

static void settle(Tree *tree, Node *node)
{
	const Node *parent;

	if (node->parent == tree->n) {
		node->state = REACHED;
		return;
	}
	parent = &tree->nodes[node->parent];
	node->state = parent->state == REACHED ? REACHED : HIDDEN;
	node->mount->is_behind_remote =
		parent->mount->is_behind_remote || sf_fskind_is_remote(parent->mount->kind);
	node->mount->is_behind_autofs =
		parent->mount->is_behind_autofs || parent->mount->kind == SF_FSKIND_AUTOFS;
}

/* Climbs to the first ancestor that is settled and comes back down. No recursion: a chain of mounts
 * may be as long as the table. */
static void reach(Tree *tree, guint index, GArray *climbed)
{
	g_array_set_size(climbed, 0);
	while (index != tree->n && tree->nodes[index].state == UNKNOWN) {
		tree->nodes[index].state = IN_WORK;
		g_array_append_val(climbed, index);
		index = tree->nodes[index].parent;
	}
	for (guint i = climbed->len; i > 0; i--)
		settle(tree, &tree->nodes[g_array_index(climbed, guint, i - 1)]);
}

void sf_visibility_mark(const GPtrArray *mounts)
{
	guint n = mounts->len;
	g_autofree Node *nodes = g_new0(Node, n + 1);
	g_autoptr(GArray) climbed = g_array_new(FALSE, FALSE, sizeof(guint));
	Tree tree = {.nodes = nodes, .n = n};

	find_parents(&tree, mounts);
	hide_above_root(&tree);
	set_above_root_aside(&tree);
	hide_behind_siblings(&tree);
	for (guint i = 0; i < n; i++)
		reach(&tree, i, climbed);

	for (guint i = 0; i < n; i++) {
		const Node *node = &nodes[i];

		if (node->parent == n || node->parent_id < NO_PARENT)
			continue;
		if (g_str_equal(node->mount->path, nodes[node->parent].mount->path))
			nodes[node->parent].has_cover = true;
	}
	for (guint i = 0; i < n; i++)
		nodes[i].mount->visible = nodes[i].state == REACHED && !nodes[i].has_cover;
}
