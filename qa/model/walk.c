/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Breadth-first search over worlds. Its invariant: states are numbered in the order in which they
 * are found, each knows by which event from which one, so that the first violation found has a
 * shortest counterexample. The edges that must be gone in the end ("fair") are kept for the second
 * question: whether from every state a way leads to rest on which nothing more fails.
 */
#include "qa/model/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct origin {
	uint32_t from;
	struct event event;
};

struct walk {
	struct world *worlds;
	struct origin *origins;
	uint32_t *slots;      /* hash table of 1 + number of the state */
	uint32_t *first_fair; /* by state, into @fair */
	uint32_t *fair;
	size_t fair_count, fair_room;
	uint32_t count, room, slot_mask, limit;
};

static void *grow(void *memory, size_t bytes)
{
	memory = realloc(memory, bytes);
	if (!memory) {
		fputs("model: out of memory\n", stderr);
		exit(EXIT_FAILURE);
	}
	return memory;
}

static uint64_t hash(const struct world *world)
{
	const unsigned char *bytes = (const unsigned char *)world;
	uint64_t sum = 0x9e3779b97f4a7c15u, word;
	size_t at = 0;

	for (; at + sizeof(word) <= sizeof(*world); at += sizeof(word)) {
		memcpy(&word, bytes + at, sizeof(word));
		sum = (sum ^ word) * 0xff51afd7ed558ccdu;
		sum ^= sum >> 29;
	}
	for (; at < sizeof(*world); at++)
		sum = (sum ^ bytes[at]) * 0x100000001b3u;
	return sum ^ sum >> 32;
}

static uint32_t *find_slot(const struct walk *walk, const struct world *world)
{
	uint32_t slot = (uint32_t)hash(world) & walk->slot_mask;

	while (walk->slots[slot] &&
	       memcmp(&walk->worlds[walk->slots[slot] - 1], world, sizeof(*world)) != 0)
		slot = (slot + 1) & walk->slot_mask;
	return &walk->slots[slot];
}

static void grow_slots(struct walk *walk)
{
	uint32_t size = walk->slot_mask ? 2 * (walk->slot_mask + 1) : 1u << 16;

	free(walk->slots);
	walk->slots = calloc(size, sizeof(*walk->slots));
	if (!walk->slots)
		grow(NULL, SIZE_MAX / 2);
	walk->slot_mask = size - 1;
	for (uint32_t i = 0; i < walk->count; i++)
		*find_slot(walk, &walk->worlds[i]) = i + 1;
}

static void grow_states(struct walk *walk)
{
	walk->room = walk->room ? walk->room + walk->room / 2 : 1u << 14;
	walk->worlds = grow(walk->worlds, walk->room * sizeof(*walk->worlds));
	walk->origins = grow(walk->origins, walk->room * sizeof(*walk->origins));
	walk->first_fair = grow(walk->first_fair, (walk->room + 1ul) * sizeof(*walk->first_fair));
}

/* Returns: its number; a new one gets the next. */
static uint32_t number_of(struct walk *walk, const struct world *world, struct origin origin)
{
	if (walk->count >= walk->slot_mask / 2)
		grow_slots(walk);
	uint32_t *slot = find_slot(walk, world);
	if (*slot)
		return *slot - 1;
	if (walk->count == walk->room)
		grow_states(walk);
	walk->worlds[walk->count] = *world;
	walk->origins[walk->count] = origin;
	*slot = ++walk->count;
	return *slot - 1;
}

/* What the freezer alone can do: no deadline needed, and no new agent as long as it is at work. */
#define NEEDS_HELP 0x80000000u

static uint32_t help_of(const struct world *world, struct event event)
{
	bool is_help = event.kind == EVENT_DEADLINE ||
		       ((event.kind == EVENT_RESTART || event.kind == EVENT_WATCHDOG) &&
			world->freezer.process == PROCESS_ALIVE);

	return is_help ? NEEDS_HELP : 0;
}

static void add_fair(struct walk *walk, uint32_t to)
{
	if (walk->fair_count == walk->fair_room) {
		walk->fair_room = walk->fair_room ? 2 * walk->fair_room : 1u << 16;
		walk->fair = grow(walk->fair, walk->fair_room * sizeof(*walk->fair));
	}
	walk->fair[walk->fair_count++] = to;
}

static unsigned int depth_of(const struct walk *walk, uint32_t state)
{
	unsigned int depth = 0;

	for (; state != 0; state = walk->origins[state].from)
		depth++;
	return depth;
}

static void print_way(const struct walk *walk, uint32_t state, unsigned int number)
{
	if (state == 0)
		return;
	const struct origin *origin = &walk->origins[state];
	print_way(walk, origin->from, number - 1);
	printf("# %3u. ", number);
	world_print_event(&walk->worlds[origin->from], origin->event);
	putchar('\n');
}

static void print_counterexample(const struct walk *walk, uint32_t state, const char *violation)
{
	unsigned int length = depth_of(walk, state);

	printf("# found: %s, after %u events:\n", violation, length);
	print_way(walk, state, length);
	puts("# and then:");
	world_print(&walk->worlds[state]);
}

/* Applies all that @state allows. Returns: the violation, whose state is the last one. */
static const char *expand(struct walk *walk, uint32_t state, unsigned long *events)
{
	struct event list[MODEL_MAX_EVENTS];
	unsigned int count = world_list_events(&walk->worlds[state], list);

	walk->first_fair[state] = (uint32_t)walk->fair_count;
	for (unsigned int i = 0; i < count; i++) {
		struct world next = walk->worlds[state];
		world_apply(&next, list[i]);
		(*events)++;
		uint32_t number = walk->count;
		if (world_violation) {
			/* Even where it leads to a known state: this way there is wrong. */
			if (walk->count == walk->room)
				grow_states(walk);
			walk->worlds[number] = next;
			walk->origins[number] = (struct origin){state, list[i]};
			walk->count++;
			return world_violation;
		}
		number = number_of(walk, &next, (struct origin){state, list[i]});
		if (list[i].is_fair && number != state)
			add_fair(walk, number | help_of(&walk->worlds[state], list[i]));
	}
	return NULL;
}

static bool leads_to_good(const struct walk *walk, uint32_t state, const unsigned char *is_good,
			  bool with_help)
{
	for (uint32_t e = walk->first_fair[state]; e < walk->first_fair[state + 1]; e++)
		if ((with_help || !(walk->fair[e] & NEEDS_HELP)) &&
		    is_good[walk->fair[e] & ~NEEDS_HELP])
			return true;
	return false;
}

static void spread(const struct walk *walk, unsigned char *is_good, bool with_help)
{
	bool changes = true;

	while (changes) {
		changes = false;
		for (uint32_t i = walk->count; i-- > 0;) {
			if (is_good[i] || !leads_to_good(walk, i, is_good, with_help))
				continue;
			is_good[i] = true;
			changes = true;
		}
	}
}

/* Whether a way leads from each state to where @is_goal holds. Returns: the first state without; or
 * the count. */
static uint32_t find_stuck(const struct walk *walk, bool (*is_goal)(const struct world *),
			   bool with_help)
{
	unsigned char *is_good = grow(NULL, walk->count);
	uint32_t stuck = 0;

	for (uint32_t i = 0; i < walk->count; i++)
		is_good[i] = is_goal(&walk->worlds[i]);
	spread(walk, is_good, with_help);
	while (stuck < walk->count && is_good[stuck])
		stuck++;
	free(is_good);
	return stuck;
}

static void report(const struct walk *walk, struct walk_result *result, uint32_t state,
		   const char *violation, bool prints)
{
	result->violation = violation;
	result->length = depth_of(walk, state);
	if (prints)
		print_counterexample(walk, state, violation);
}

static void search(struct walk *walk, struct walk_result *result, bool prints)
{
	for (uint32_t i = 0; i < walk->count; i++) {
		if (walk->count > walk->limit) {
			result->is_cut = true;
			return;
		}
		const char *violation = expand(walk, i, &result->events);
		if (violation) {
			report(walk, result, walk->count - 1, violation, prints);
			return;
		}
	}
	walk->first_fair[walk->count] = (uint32_t)walk->fair_count;
	uint32_t stuck = find_stuck(walk, world_is_at_rest, true);
	if (stuck < walk->count) {
		report(walk, result, stuck, "no way leads from here to rest", prints);
		return;
	}
	stuck = find_stuck(walk, world_is_served, false);
	if (stuck < walk->count)
		report(walk, result, stuck, "only the deadline, or a restart, helps here", prints);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

struct walk_result walk(const struct variant *variant, unsigned int limit, bool prints)
{
	struct walk walk = {.limit = limit};
	struct walk_result result = {0};
	struct world first;
	double begun = now();

	world_begin(&first, variant);
	grow_slots(&walk);
	number_of(&walk, &first, (struct origin){0});
	search(&walk, &result, prints);
	result.states = walk.count;
	result.depth = depth_of(&walk, walk.count - 1);
	result.seconds = now() - begun;
	free(walk.worlds);
	free(walk.origins);
	free(walk.slots);
	free(walk.first_fair);
	free(walk.fair);
	return result;
}
