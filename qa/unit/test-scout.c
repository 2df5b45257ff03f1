/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* agent/scout and what travels from it: the main loop goes on while tables are read, however long
 * that takes. A table that takes its time is a FIFO here. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/lookout.h"
#include "agent/plan-variant.h"
#include "agent/scout.h"
#include "qa/unit/fake-machine.h"

#define ROOT "20 1 253:1 / / rw - ext4 /dev/vda1 rw\n"
#define DATA "71 70 253:2 / /data rw - ext4 /dev/vda2 rw\n"
#define LONG_MS 60000

typedef struct {
	bool is_done;
	GVariant *variant;
	char *error;
} Answer;

static FakeMachine *machine_new(void)
{
	FakeMachine *machine = fake_machine_new(ROOT "21 20 0:5 / /dev rw - devtmpfs dev rw\n");

	fake_machine_add_vda(machine, 3);
	return machine;
}

/* @table: (nullable): a FIFO */
static char *add_process(FakeMachine *machine, int pid, const char *space, const char *table)
{
	g_autofree char *link = g_strdup_printf("proc/%d/ns/mnt", pid);
	g_autofree char *root = g_strdup_printf("proc/%d/root", pid);
	g_autofree char *file = g_strdup_printf("proc/%d/mountinfo", pid);
	char *path = g_build_filename(machine->folder, file, NULL);

	fake_machine_link(machine, root, "/");
	if (table)
		fake_machine_write(machine, file, table);
	fake_machine_link(machine, link, space);
	if (!table)
		g_assert_cmpint(mkfifo(path, 0600), ==, 0);
	return path;
}

static void on_answer(GVariant *variant, const GError *error, gpointer user_data)
{
	Answer *answer = user_data;

	g_assert_false(answer->is_done);
	g_assert_true((variant == NULL) == (error != NULL));
	answer->is_done = true;
	answer->variant = variant ? g_variant_ref(variant) : NULL;
	answer->error = error ? g_strdup(error->message) : NULL;
}

static void answer_clear(Answer *answer)
{
	g_clear_pointer(&answer->variant, g_variant_unref);
	g_clear_pointer(&answer->error, g_free);
	answer->is_done = false;
}

static void wait_answer(Answer *answer)
{
	while (!answer->is_done)
		g_main_context_iteration(NULL, TRUE);
}

static void ask(SfScout *scout, SfScoutQuestion question, Answer *answer)
{
	answer_clear(answer);
	sf_scout_ask(scout, question, LONG_MS, on_answer, answer);
	g_assert_false(answer->is_done);
	wait_answer(answer);
}

static SfScout *scout_new(FakeMachine *machine)
{
	g_autoptr(GError) error = NULL;
	SfScout *scout = sf_scout_start(&machine->source, NULL, NULL, &error);

	g_assert_no_error(error);
	return scout;
}

/* The reader waits in open(2) until this. */
static int open_fifo(const char *path)
{
	int fd = -1;

	while (fd < 0) {
		fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		g_assert_true(fd >= 0 || errno == ENXIO);
		g_main_context_iteration(NULL, FALSE);
	}
	return fd;
}

static gboolean on_tick(gpointer user_data)
{
	++*(unsigned int *)user_data;
	return G_SOURCE_CONTINUE;
}

static void test_main_loop_goes_on(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autofree char *fifo = add_process(machine, 7, "mnt:[2]", NULL);
	g_autoptr(SfScout) scout = scout_new(machine);
	g_autoptr(SfPlan) plan = NULL;
	Answer answer = {0};
	unsigned int ticks = 0;
	guint timer = g_timeout_add(1, on_tick, &ticks);
	int fd;

	sf_scout_ask(scout, SF_SCOUT_PLAN, LONG_MS, on_answer, &answer);
	/* Opening it would let the reader go on; that it waits shows in that nothing is answered.
	 */
	while (ticks < 50)
		g_main_context_iteration(NULL, TRUE);
	g_assert_false(answer.is_done);
	g_assert_true(sf_scout_is_asked(scout));
	fd = open_fifo(fifo);
	g_assert_cmpint(write(fd, DATA, strlen(DATA)), ==, strlen(DATA));
	close(fd);
	wait_answer(&answer);
	g_source_remove(timer);
	plan = sf_plan_from_variant(answer.variant, NULL);
	g_assert_cmpuint(plan->targets->len, ==, 2);
	answer_clear(&answer);
}

static void test_too_late(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autoptr(SfScout) scout = scout_new(machine);
	Answer answer = {0};

	g_free(add_process(machine, 7, "mnt:[2]", NULL));
	sf_scout_ask(scout, SF_SCOUT_PLAN, 100, on_answer, &answer);
	wait_answer(&answer);
	g_assert_cmpstr(answer.error, ==, "the mount tables were not read within 0.1 s");
	/* Whose answer would it be? */
	ask(scout, SF_SCOUT_BEFORE_THAW, &answer);
	g_assert_cmpstr(answer.error, ==, "the mount tables were not read within 0.1 s");
	answer_clear(&answer);
}

static void assert_ends(const char *fifo)
{
	int fd;

	do {
		fd = open(fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0)
			close(fd);
		g_main_context_iteration(NULL, FALSE);
	} while (fd >= 0);
	g_assert_cmpint(errno, ==, ENXIO);
}

/* Whoever gives a freeze up waits for nothing, and no process is left. */
static void test_freed_while_it_reads(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autofree char *fifo = add_process(machine, 7, "mnt:[2]", NULL);
	SfScout *scout = scout_new(machine);
	Answer answer = {0};
	int fd;

	sf_scout_ask(scout, SF_SCOUT_PLAN, LONG_MS, on_answer, &answer);
	fd = open_fifo(fifo);
	sf_scout_free(scout);
	close(fd);
	assert_ends(fifo);
	g_assert_false(answer.is_done);
}

static void on_answer_free(GVariant *variant, const GError *error, gpointer user_data)
{
	SfScout **scout = user_data;

	g_clear_pointer(scout, sf_scout_free);
}

static void test_freed_by_its_answer(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	SfScout *scout = scout_new(machine);

	sf_scout_ask(scout, SF_SCOUT_PLAN, LONG_MS, on_answer_free, &scout);
	while (scout)
		g_main_context_iteration(NULL, TRUE);
}

static void assert_same_target(const SfTarget *a, const SfTarget *b)
{
	g_assert_cmpstr(a->name, ==, b->name);
	g_assert_cmpstr(a->fstype, ==, b->fstype);
	g_assert_cmpstr(a->source, ==, b->source);
	g_assert_cmpmem(a->devices->data, a->devices->len * sizeof(SfDevice), b->devices->data,
			b->devices->len * sizeof(SfDevice));
	g_assert_cmpuint(a->routes->len, ==, b->routes->len);
	for (guint i = 0; i < a->routes->len; i++) {
		const SfRoute *left = &g_array_index(a->routes, SfRoute, i);
		const SfRoute *right = &g_array_index(b->routes, SfRoute, i);

		g_assert_cmpstr(left->path, ==, right->path);
		g_assert_cmpint(left->mount_id, ==, right->mount_id);
		g_assert_true(sf_namespace_equal(left->space, right->space));
	}
	if (b->space) {
		g_assert_cmpint(a->space->pid, ==, b->space->pid);
		g_assert_cmpstr(a->space->process, ==, b->space->process);
		g_assert_cmpstr(a->space->command, ==, b->space->command);
	}
	g_assert_cmpint(a->fd, ==, -1);
}

static SfPlan *travel(const SfPlan *plan)
{
	g_autoptr(GVariant) variant = g_variant_ref_sink(sf_plan_to_variant(plan));
	g_autoptr(GBytes) bytes = g_variant_get_data_as_bytes(variant);
	g_autoptr(GVariant) arrived = g_variant_ref_sink(
		g_variant_new_from_bytes(G_VARIANT_TYPE(SF_PLAN_VARIANT_TYPE), bytes, FALSE));
	g_autoptr(GError) error = NULL;
	SfPlan *copy = sf_plan_from_variant(arrived, &error);

	g_assert_no_error(error);
	return copy;
}

/* Names are bytes, and need not be text. */
static void test_plan_travels(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autoptr(SfPlan) plan = NULL;
	g_autoptr(SfPlan) copy = NULL;

	g_free(add_process(machine, 7, "mnt:[2]",
			   "71 70 253:2 / /d\xff rw - ext4 /dev/vda2 rw\n" DATA));
	fake_machine_write(machine, "proc/7/comm", "box\n");
	fake_machine_mount(machine, ROOT "21 20 0:5 / /dev rw - devtmpfs dev rw\n"
					 "22 20 7:0 / /img rw - ext4 /dev/loop0 rw\n"
					 "23 20 0:9 / /zfs rw - zfs tank rw\n");
	fake_machine_loop(machine, "loop0", "7:0", "/a.img");
	plan = sf_plan_new(&machine->source, NULL, NULL);
	copy = travel(plan);
	g_assert_true(sf_plan_equal(copy, plan));
	g_assert_cmpuint(plan->edges->len, >, 0);
	g_assert_true(copy->is_whole);
	for (guint i = 0; i < plan->targets->len; i++)
		assert_same_target(copy->targets->pdata[i], plan->targets->pdata[i]);
	/* Only what the answer names. */
	g_assert_cmpuint(plan->left_out->len, ==, 2);
	g_assert_cmpuint(copy->left_out->len, ==, 1);
	const SfLeftOut *left_out = copy->left_out->pdata[0];
	g_assert_cmpstr(left_out->mountpoint, ==, "/zfs");
	g_assert_cmpint(left_out->reason, ==, SF_LEFT_OUT_UNSUPPORTED);
}

static void test_no_plan(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autoptr(SfPlan) plan = sf_plan_new(&machine->source, NULL, NULL);
	g_autoptr(GVariant) variant = NULL;
	g_autoptr(GError) error = NULL;
	SfPlanEdge edge = {.before = 0, .after = 7};

	g_array_append_val(plan->edges, edge);
	variant = g_variant_ref_sink(sf_plan_to_variant(plan));
	g_assert_null(sf_plan_from_variant(variant, &error));
	g_assert_nonnull(strstr(error->message, "no plan"));
}

static void test_error_of_the_plan(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	const char *const mountpoints[] = {"/gone", NULL};
	g_autoptr(SfScout) scout = sf_scout_start(&machine->source, mountpoints, NULL, NULL);
	Answer answer = {0};

	ask(scout, SF_SCOUT_PLAN, &answer);
	g_assert_nonnull(strstr(answer.error, "'/gone' is not a mount point"));
	answer_clear(&answer);
}

static SfTablesChange check(SfScout *scout, SfScoutQuestion question)
{
	Answer answer = {0};
	SfTablesChange change;

	ask(scout, question, &answer);
	change = g_variant_get_byte(answer.variant);
	answer_clear(&answer);
	return change;
}

/* The reasons, each followed by a line's end. */
static char *look(SfScout *scout, SfScoutQuestion question)
{
	g_autofree const char **reasons = NULL;
	Answer answer = {0};
	char *text;

	ask(scout, question, &answer);
	reasons = g_variant_get_bytestring_array(answer.variant, NULL);
	text = g_strjoinv("\n", (char **)reasons);
	answer_clear(&answer);
	return text;
}

static void test_keeps_watch(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autoptr(SfScout) scout = scout_new(machine);
	g_autofree char *first = NULL;
	g_autofree char *second = NULL;
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;
	Answer answer = {0};

	ask(scout, SF_SCOUT_PLAN, &answer);
	answer_clear(&answer);
	g_assert_cmpint(check(scout, SF_SCOUT_CHECK_OPENED), !=, SF_TABLES_OTHER);
	first = add_process(machine, 7, "mnt:[2]", ROOT);
	g_assert_cmpint(check(scout, SF_SCOUT_CHECK_FLUSHED), ==, SF_TABLES_EQUAL);
	after = look(scout, SF_SCOUT_AFTER_FREEZE);
	g_assert_cmpstr(after, ==, "");
	second = add_process(machine, 8, "mnt:[3]", DATA);
	before = look(scout, SF_SCOUT_BEFORE_THAW);
	g_assert_nonnull(strstr(before, "8/root/data' (ext4) is writable and was not frozen"));
}

static void test_ways(void)
{
	g_autoptr(FakeMachine) machine = machine_new();
	g_autoptr(GArray) devices = g_array_new(FALSE, FALSE, sizeof(SfDevice));
	const SfDevice wanted[] = {SF_DEVICE(253, 2), SF_DEVICE(253, 3)};
	g_autoptr(SfScout) scout = NULL;
	g_autoptr(GVariant) content = NULL;
	g_autoptr(SfPlan) ways = NULL;
	const char *trouble;
	Answer answer = {0};

	g_free(add_process(machine, 7, "mnt:[2]", DATA));
	g_array_append_vals(devices, wanted, 2);
	scout = sf_scout_start(&machine->source, NULL, devices, NULL);
	ask(scout, SF_SCOUT_WAYS, &answer);
	g_variant_get(answer.variant, "(@" SF_PLAN_VARIANT_TYPE "^&ay)", &content, &trouble);
	ways = sf_plan_from_variant(content, NULL);
	g_assert_cmpuint(ways->targets->len, ==, 1);
	g_assert_cmpstr(((const SfTarget *)ways->targets->pdata[0])->mountpoint, ==, "/data");
	g_assert_nonnull(strstr(trouble, "filesystem 253:3 is frozen and mounted nowhere"));
	answer_clear(&answer);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/scout/main-loop-goes-on", test_main_loop_goes_on);
	g_test_add_func("/scout/too-late", test_too_late);
	g_test_add_func("/scout/freed-while-it-reads", test_freed_while_it_reads);
	g_test_add_func("/scout/freed-by-its-answer", test_freed_by_its_answer);
	g_test_add_func("/scout/plan-travels", test_plan_travels);
	g_test_add_func("/scout/no-plan", test_no_plan);
	g_test_add_func("/scout/error-of-the-plan", test_error_of_the_plan);
	g_test_add_func("/scout/keeps-watch", test_keeps_watch);
	g_test_add_func("/scout/ways", test_ways);
	return g_test_run();
}
