/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapfreeze-freezer: holds what is frozen, and thaws it whatever happens to the agent. Started by
 * the agent with a socket (fd 3) and the record (fd 4).
 *
 * Its rule: from the first FIFREEZE to the last FITHAW no memory is allocated, no path looked up,
 * nothing executed, nothing logged; any of them may wait for a filesystem that we have frozen
 * ourselves. That is why it links only libc, and why all that it needs is in one static object,
 * locked in memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "agent/freezer/confinement.h"
#include "agent/freezer/core.h"
#include "agent/freezer/limits.h"
#include "agent/freezer/memory.h"
#include "agent/freezer/messages.h"
#include "agent/freezer/worker.h"

enum { FD_SOCKET = 3, FD_RECORD = 4 };
enum { ON_SOCKET, ON_SIGNAL, ON_BOOTTIME, ON_MONOTONIC, ON_DONE, ON_COUNT };

static struct freezer {
	struct sf_core core;
	struct sf_workers workers;
	struct sf_record *record;
	struct sf_limits limits;
	struct pollfd polled[ON_COUNT];
	uint64_t phase_began_us; /* of flush or freeze, for the answer */
	bool may_be_paged;       /* a rehearsal without the right to lock memory */
} freezer;

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct sf_clock now(void)
{
	return (struct sf_clock){clock_ms(CLOCK_BOOTTIME), clock_ms(CLOCK_MONOTONIC)};
}

static void send_message(const struct sf_message *message)
{
	/* A stopped agent must not block us. Of a lost message the record says the same. */
	(void)sf_message_send(FD_SOCKET, message, NULL, 0);
}

static void note_phase(const struct sf_tell *tell)
{
	struct freezer *f = &freezer;

	if (tell->kind == SF_MESSAGE_ENDING) {
		atomic_store(&f->record->end, tell->reason);
		atomic_store(&f->record->ended_ms, clock_ms(CLOCK_BOOTTIME));
		atomic_store(&f->workers.is_ending, true);
	}
}

static void carry_out_tells(void)
{
	struct freezer *f = &freezer;

	for (unsigned int i = 0; i < f->core.tell_count; i++) {
		const struct sf_tell *tell = &f->core.tells[i];
		note_phase(tell);
		struct sf_message message = {
			.magic = SF_MESSAGE_MAGIC,
			.kind = tell->kind,
			.index = tell->index,
			.error = tell->error,
			.reason = tell->reason,
			.lease = tell->lease,
			.count = f->core.frozen,
			.value = (f->workers.operations->now_us() - f->phase_began_us) / 1000,
		};
		send_message(&message);
	}
}

static int lock_tables(bool needed)
{
	return sf_memory_lock_tables(&freezer.core, &freezer.workers, needed);
}

static void close_targets(void)
{
	struct freezer *f = &freezer;

	for (unsigned int i = 0; i < f->core.fd_count; i++)
		close(f->workers.workers[i].fd);
	f->core.fd_count = 0;
}

static void forget_plan(void)
{
	sf_workers_stop(&freezer.workers);
	lock_tables(false);
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static void set_timer(int fd, uint64_t at_ms)
{
	struct itimerspec when = {
		.it_value = {(time_t)(at_ms / 1000), (long)(at_ms % 1000) * 1000000}};

	if (at_ms == UINT64_MAX)
		memset(&when, 0, sizeof(when));
	timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* What the last event asked for. A thaw's threads are started first: a message can wait, a writer
 * cannot. */
static void carry_out(void)
{
	struct freezer *f = &freezer;

	for (unsigned int i = 0; i < f->core.start_count; i++)
		sf_worker_give(&f->workers.workers[f->core.starts[i].index], f->core.starts[i].job);
	/* Before anybody hears of it. What fails here the agent tries again, or its next start. */
	if (f->core.restore)
		(void)sf_limits_restore(&f->limits);
	/* Whoever hears that it is over may unmount what we held; the threads, which have nothing
	 * left to do, end while that is told. */
	if (f->core.forget)
		close_targets();
	carry_out_tells();
	if (f->core.forget)
		forget_plan();
	if (f->core.leave)
		_exit(EXIT_SUCCESS);
	struct sf_clock at = sf_core_wake_at(&f->core);
	set_timer(f->polled[ON_BOOTTIME].fd, at.boottime_ms);
	set_timer(f->polled[ON_MONOTONIC].fd, at.monotonic_ms);
}

static void agent_gone(void)
{
	freezer.polled[ON_SOCKET].fd = -1;
	/* The end of the socket and the signal both tell it. Never carry_out() without a new event:
	 * what the last one asked for would be begun again, a thread would thaw twice. */
	sf_core_agent_gone(&freezer.core, now());
	carry_out();
}

static void take_fds(const struct sf_message *message, const int *fds, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct sf_worker *worker = &freezer.workers.workers[message->index + (int)i];
		worker->fd = fds[i];
		worker->entry = &freezer.record->entries[message->index + (int)i];
	}
}

/* Before the core hears of it: what the threads need must stand when it starts them. */
static bool prepare(const struct sf_message *message)
{
	struct freezer *f = &freezer;

	f->phase_began_us = f->workers.operations->now_us();
	if (message->kind == SF_MESSAGE_PLAN) {
		f->workers.accept_foreign = message->flag;
		if (!f->may_be_paged && lock_tables(true) < 0)
			return false;
	}
	if (message->kind == SF_MESSAGE_FLUSH && f->core.phase == SF_PHASE_LOADED)
		return sf_workers_start(&f->workers, f->core.fd_count) == 0;
	if (message->kind == SF_MESSAGE_FREEZE) {
		/* A core dump to a frozen disk would come before the death that everybody waits
		 * for. */
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		atomic_store(&f->record->begun_ms, clock_ms(CLOCK_BOOTTIME));
	}
	return true;
}

static bool is_measured(uint32_t kind)
{
	return kind == SF_MESSAGE_PLAN || kind == SF_MESSAGE_FLUSH || kind == SF_MESSAGE_FREEZE;
}

static void take_message(const struct sf_message *message, const int *fds, unsigned int fd_count)
{
	if (is_measured(message->kind) && !prepare(message)) {
		agent_gone();
		return;
	}
	if (!sf_core_message(&freezer.core, message, fd_count, now())) {
		while (fd_count > 0)
			close(fds[--fd_count]);
		agent_gone();
		return;
	}
	take_fds(message, fds, fd_count);
	carry_out();
}

static void read_socket(void)
{
	static struct sf_message message;
	static int fds[SF_MESSAGE_MAX_FDS];
	unsigned int fd_count;
	int result;

	while (freezer.polled[ON_SOCKET].fd >= 0 &&
	       (result = sf_message_receive(FD_SOCKET, &message, fds, &fd_count)) != 0) {
		if (result < 0)
			agent_gone();
		else
			take_message(&message, fds, fd_count);
	}
}

static void drain(int fd)
{
	char ignored[sizeof(struct signalfd_siginfo)];

	while (read(fd, ignored, sizeof(ignored)) > 0)
		;
}

static void collect_done(void)
{
	struct freezer *f = &freezer;

	drain(f->polled[ON_DONE].fd);
	/* The count: forgetting the plan on the last one ends them all. */
	for (unsigned int i = 0; i < f->workers.count; i++) {
		struct sf_worker *worker = &f->workers.workers[i];
		if (!atomic_exchange(&worker->is_done, false))
			continue;
		sf_core_done(&f->core, i, worker->error, now());
		carry_out();
	}
}

static void run(void)
{
	struct freezer *f = &freezer;

	for (;;) {
		if (poll(f->polled, ON_COUNT, -1) < 0)
			continue;
		/* The agent's word first: a thaw or a heartbeat that is there counts before the
		 * clock does. */
		if (f->polled[ON_SOCKET].revents)
			read_socket();
		if (f->polled[ON_SIGNAL].revents) {
			drain(f->polled[ON_SIGNAL].fd);
			agent_gone();
		}
		if (f->polled[ON_DONE].revents)
			collect_done();
		if (f->polled[ON_BOOTTIME].revents || f->polled[ON_MONOTONIC].revents) {
			drain(f->polled[ON_BOOTTIME].fd);
			drain(f->polled[ON_MONOTONIC].fd);
			sf_core_tick(&f->core, now());
			carry_out();
		}
	}
}

static int open_signals(pid_t agent)
{
	sigset_t mask;
	int fd;

	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	/* EOF alone is not enough: a thread in D state keeps the socket of a dead agent open. */
	prctl(PR_SET_PDEATHSIG, SIGUSR1);
	if (getppid() != agent)
		raise(SIGUSR1);
	return fd;
}

static bool map_record(void)
{
	struct stat info;

	if (fstat(FD_RECORD, &info) < 0 || (uint64_t)info.st_size != sizeof(struct sf_record))
		return false;
	freezer.record = mmap(NULL, sizeof(struct sf_record), PROT_READ | PROT_WRITE, MAP_SHARED,
			      FD_RECORD, 0);
	close(FD_RECORD);
	return freezer.record != MAP_FAILED;
}

static bool open_events(pid_t agent)
{
	struct freezer *f = &freezer;
	int fds[ON_COUNT] = {
		[ON_SOCKET] = FD_SOCKET,
		[ON_SIGNAL] = open_signals(agent),
		[ON_BOOTTIME] = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC),
		[ON_MONOTONIC] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
		[ON_DONE] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC),
	};

	for (int i = 0; i < ON_COUNT; i++) {
		f->polled[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
		if (fds[i] < 0)
			return false;
	}
	f->workers.done_event = fds[ON_DONE];
	return fcntl(FD_SOCKET, F_SETFD, FD_CLOEXEC) == 0;
}

/* Returns: NULL, or what is missing; in a rehearsal nothing is, since nothing can hang on us. */
static const char *lock_down(bool rehearse)
{
	freezer.may_be_paged = !sf_memory_lock();
	lock_tables(false);
	if (freezer.may_be_paged && !rehearse)
		return "cannot lock its memory (mlockall): raise the limit of locked memory\n";
	return NULL;
}

static int fail(const char *why)
{
	(void)!write(STDERR_FILENO, "snapfreeze-freezer: ", 20);
	(void)!write(STDERR_FILENO, why, strlen(why));
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	const char *why;
	bool rehearse = argc == 3 && strcmp(argv[2], "--rehearse") == 0;

	if (argc < 2 || (argc == 3 && !rehearse) || argc > 3)
		return fail("is started by snapfreeze-agent, not by hand\n");
	freezer.workers.operations = rehearse ? &sf_operations_rehearsal : &sf_operations_real;
	sf_core_init(&freezer.core);
	if (!map_record() || !open_events((pid_t)strtol(argv[1], NULL, 10)))
		return fail("is started by snapfreeze-agent, not by hand\n");
	/* Where they cannot be opened the agent cannot lower them either. */
	(void)sf_limits_open(&freezer.limits, "/proc", &freezer.record->limits);
	why = lock_down(rehearse);
	if (why)
		return fail(why);
	/* Before the first message is read. */
	int result = sf_confine(!rehearse);
	send_message(&(struct sf_message){.magic = SF_MESSAGE_MAGIC,
					  .kind = SF_MESSAGE_READY,
					  .index = -1,
					  .error = -result});
	run();
}
