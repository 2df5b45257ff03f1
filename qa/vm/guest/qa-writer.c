/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qa-writer: appends checksummed records to files and tells which were acknowledged; checks them.
 *
 *   qa-writer [-s] [-b BYTES] [-r BYTES/S] [-w BYTES] [-d SECONDS] [-l LOG] FILE...
 *   qa-writer --verify FILE...
 *
 * Writing: a process per file. A record is acknowledged when its write (with -s: and its fsync) has
 * returned; then the line "INDEX SEQUENCE START-NS END-NS" (CLOCK_MONOTONIC) goes to LOG, or to the
 * standard output: LOG must lie on a tmpfs or be a device. -b: bytes a record (512), -r: at most so
 * many bytes a second (0, the default: no pause), -w: start over at this size (only to make dirty
 * pages: such a file cannot be verified), -d: stop after this time (else at SIGTERM).
 *
 * Verifying prints, for each file, one line of JSON: the first and last sequence number of the good
 * run of records from the file's beginning, what is torn or missing behind it, and "intact". A tail
 * that is shorter than a record is torn too. Exit status 1 where a file is not intact.
 *
 * Invariant: record N of a file is at N * size, holds N, and its checksum covers all the rest of
 * it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAGIC 0x52465351u /* "QSFR" */
#define RECORD_MIN 64
#define RECORD_MAX (4u << 20)

struct record {
	uint32_t magic;
	uint32_t size;
	uint64_t sequence;
	uint64_t time_ns;
	uint32_t checksum; /* of the whole record, with 0 in this place */
	uint32_t fill;
};

struct options {
	bool sync;
	size_t size;
	uint64_t rate;
	uint64_t wrap;
	double seconds;
	int log;
};

static volatile sig_atomic_t stopped;

static void on_signal(int signo)
{
	(void)signo;
	stopped = 1;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint32_t crc32_of(const void *data, size_t length)
{
	static uint32_t table[256];
	const unsigned char *at = data;
	uint32_t crc = 0xffffffff;

	for (uint32_t i = 0; table[255] == 0 && i < 256; i++) {
		uint32_t value = i;

		for (int bit = 0; bit < 8; bit++)
			value = value & 1 ? value >> 1 ^ 0xedb88320u : value >> 1;
		table[i] = value;
	}
	while (length-- > 0)
		crc = crc >> 8 ^ table[(crc ^ *at++) & 0xff];
	return ~crc;
}

static uint32_t checksum(struct record *record)
{
	uint32_t kept = record->checksum, crc;

	record->checksum = 0;
	/* A big record is there to make dirty pages: its head and its last bytes tell whether it is
	 * torn, and each page between starts with the sequence number. */
	crc = crc32_of(record, record->size <= 4096 ? record->size : 4096);
	record->checksum = kept;
	return crc;
}

static void fill(struct record *record, size_t size, uint64_t sequence)
{
	char *bytes = (char *)record;

	*record = (struct record){MAGIC, (uint32_t)size, sequence, now_ns(), 0, 0};
	for (size_t at = sizeof *record; at + 8 <= size; at += size <= 4096 ? 8 : 512)
		memcpy(bytes + at, &sequence, 8);
	memcpy(bytes + size - 8, &sequence, 8);
	record->checksum = checksum(record);
}

static bool is_good(struct record *record, size_t size, uint64_t sequence)
{
	const char *bytes = (const char *)record;

	if (record->magic != MAGIC || record->size != size || record->sequence != sequence ||
	    record->checksum != checksum(record) || memcmp(bytes + size - 8, &sequence, 8) != 0)
		return false;
	for (size_t at = sizeof *record; at + 8 <= size; at += 512)
		if (memcmp(bytes + at, &sequence, 8) != 0)
			return false;
	return true;
}

static void pace(const struct options *options, uint64_t begin_ns, uint64_t *owed_ns)
{
	uint64_t now = now_ns();
	struct timespec until;

	if (options->rate == 0)
		return;
	*owed_ns += (uint64_t)((double)options->size * 1e9 / (double)options->rate);
	/* After a stall the time that was lost is not made up for: that would be a burst. */
	if (begin_ns + *owed_ns < now)
		*owed_ns = now - begin_ns;
	until.tv_sec = (time_t)((begin_ns + *owed_ns) / 1000000000u);
	until.tv_nsec = (long)((begin_ns + *owed_ns) % 1000000000u);
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static int write_file(const struct options *options, int index, const char *path)
{
	struct record *record = calloc(1, options->size);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	uint64_t begin_ns = now_ns(), owed_ns = 0, offset = 0;
	char line[128];

	for (uint64_t sequence = 0; fd >= 0 && record && !stopped; sequence++) {
		uint64_t start_ns = now_ns(), end_ns;
		ssize_t n;

		if (options->seconds > 0 && (double)(start_ns - begin_ns) > options->seconds * 1e9)
			break;
		fill(record, options->size, sequence);
		n = pwrite(fd, record, options->size, (off_t)offset);
		if (n != (ssize_t)options->size || (options->sync && fsync(fd) < 0)) {
			fprintf(stderr, "%s: record %" PRIu64 ": %s\n", path, sequence,
				strerror(errno));
			return 1;
		}
		end_ns = now_ns();
		n = snprintf(line, sizeof line, "%d %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", index,
			     sequence, start_ns, end_ns);
		if (write(options->log, line, (size_t)n) != n)
			return 1;
		offset += options->size;
		if (options->wrap > 0 && offset >= options->wrap)
			offset = 0;
		pace(options, begin_ns, &owed_ns);
	}
	if (fd < 0)
		perror(path);
	free(record);
	return fd < 0;
}

/* Counts the good records from the beginning, and says what comes behind them. */
static bool verify(const char *path)
{
	struct record head = {0};
	struct record *record = NULL;
	uint64_t good = 0, bad = 0, behind = 0;
	FILE *file = fopen(path, "re");
	size_t n = file ? fread(&head, 1, sizeof head, file) : 0;
	bool intact, known = n == sizeof head && head.size >= RECORD_MIN &&
			     head.size <= RECORD_MAX && head.magic == MAGIC;

	if (known)
		record = calloc(1, head.size);
	if (!file || (known && !record)) {
		perror(path);
		return false;
	}
	rewind(file);
	while (record && (n = fread(record, 1, head.size, file)) > 0) {
		bool is_whole = n == head.size && is_good(record, n, good + bad + behind);

		if (is_whole && bad == 0)
			good++;
		else if (is_whole)
			behind++;
		else
			bad++;
	}
	if (!known && n > 0)
		bad = 1;
	fseek(file, 0, SEEK_END);
	intact = bad == 0;
	printf("{\"file\": \"%s\", \"intact\": %s, \"records\": %" PRIu64 ", \"last\": %" PRId64
	       ", \"torn\": %" PRIu64 ", \"good-behind\": %" PRIu64 ", \"bytes\": %ld}\n",
	       path, intact ? "true" : "false", good, (int64_t)good - 1, bad, behind, ftell(file));
	fclose(file);
	free(record);
	return intact;
}

static bool parse(struct options *options, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "sb:r:w:d:l:")) != -1) {
		if (option == 's')
			options->sync = true;
		else if (option == 'b')
			options->size = strtoull(optarg, NULL, 10);
		else if (option == 'r')
			options->rate = strtoull(optarg, NULL, 10);
		else if (option == 'w')
			options->wrap = strtoull(optarg, NULL, 10);
		else if (option == 'd')
			options->seconds = strtod(optarg, NULL);
		else if (option == 'l')
			options->log =
				open(optarg, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		else
			return false;
	}
	return options->log >= 0 && options->size >= RECORD_MIN && options->size <= RECORD_MAX &&
	       options->size % 8 == 0 && optind < argc;
}

static int write_files(int argc, char **argv)
{
	struct options options = {.size = 512, .log = STDOUT_FILENO};
	struct sigaction action = {.sa_handler = on_signal};
	pid_t parent = getpid();
	int status, worst = 0;
	pid_t pid;

	if (!parse(&options, argc, argv)) {
		fprintf(stderr,
			"usage: qa-writer [-s] [-b BYTES] [-r BYTES/S] [-w BYTES] [-d SECONDS]"
			" [-l LOG] FILE...\n       qa-writer --verify FILE...\n");
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	for (int i = optind; i < argc; i++) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGTERM);
			_exit(getppid() == parent ? write_file(&options, i - optind, argv[i]) : 1);
		}
	}
	while ((pid = wait(&status)) > 0 || errno == EINTR) {
		if (pid < 0) {
			/* Whoever runs us gave us a process group of our own; once is enough. */
			signal(SIGTERM, SIG_IGN);
			signal(SIGINT, SIG_IGN);
			kill(0, SIGTERM);
		} else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			worst = 1;
		}
	}
	return worst;
}

int main(int argc, char **argv)
{
	int status = 0;

	if (argc < 3 || strcmp(argv[1], "--verify") != 0)
		return write_files(argc, argv);
	for (int i = 2; i < argc; i++)
		if (!verify(argv[i]))
			status = 1;
	return status;
}
