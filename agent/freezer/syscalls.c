/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The system calls of the freezer, from its first message to its end, as a table, and the program
 * of the kernel's filter that is made of it. Called by confinement.c once, before any thread is
 * started. Only libc.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "agent/freezer/syscalls.h"

/* The numbers below mean something else to a machine's other kinds of programs. */
#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__i386__)
#define OWN_ARCH AUDIT_ARCH_I386
#elif defined(__aarch64__) && __BYTE_ORDER == __LITTLE_ENDIAN
#define OWN_ARCH AUDIT_ARCH_AARCH64
#elif defined(__arm__) && defined(__ARM_EABI__) && __BYTE_ORDER == __LITTLE_ENDIAN
#define OWN_ARCH AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64
#define OWN_ARCH AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && __BYTE_ORDER == __LITTLE_ENDIAN
#define OWN_ARCH AUDIT_ARCH_PPC64LE
#elif defined(__s390x__)
#define OWN_ARCH AUDIT_ARCH_S390X
#elif defined(__loongarch64) && defined(AUDIT_ARCH_LOONGARCH64)
#define OWN_ARCH AUDIT_ARCH_LOONGARCH64
#else
#define OWN_ARCH 0
#endif

#ifdef __s390x__
#define CLONE_FLAGS_AT 1 /* clone(2): the stack comes first there */
#else
#define CLONE_FLAGS_AT 0
#endif

#define ALL_BITS UINT32_MAX
#define RULES_MAX 80
/* What emit_rule() makes of one, and what stands before and behind them all. */
#define RULE_LENGTH 6
#define FRAME_LENGTH 8

/* A call is admitted where the low half of @argument, of which only the bits of @mask count, is
 * @value; without a mask, always. No argument here has a meaning in its high half. */
struct rule {
	uint32_t number;
	uint32_t argument, mask, value;
};

static const struct rule rules[] = {
	/* The threads wait for their jobs, the loop for events. */
	{__NR_futex},
#ifdef __NR_poll
	{__NR_poll},
#endif
	{__NR_ppoll},
	{__NR_restart_syscall},
	{__NR_rt_sigreturn},
	/* The agent's messages and our own; timers, signals, the threads' word that they are done;
	 * the limits of dirty memory. Whatever is open was opened before, or sent by the agent. */
	{__NR_recvmsg},
	{__NR_sendmsg},
#ifdef __NR_socketcall
	{__NR_socketcall, 0, ALL_BITS, 16 /* linux/net.h: SYS_SENDMSG */},
	{__NR_socketcall, 0, ALL_BITS, 17 /* SYS_RECVMSG */},
#endif
	{__NR_read},
	{__NR_write},
	{__NR_close},
	{__NR_pread64},
	{__NR_pwrite64},
	{__NR_timerfd_settime},
	/* The work, beside the two ioctls. */
	{__NR_syncfs},
	/* The time, where the kernel does not tell it without a call, and pauses. */
	{__NR_clock_gettime},
	{__NR_clock_nanosleep},
	{__NR_nanosleep},
#ifdef __NR_futex_time64
	/* What libc calls instead on a machine of 32 bits. */
	{__NR_futex_time64},
	{__NR_ppoll_time64},
	{__NR_timerfd_settime64},
	{__NR_clock_gettime64},
	{__NR_clock_nanosleep_time64},
#endif
	/* Memory, for threads and their stacks, and none that could be executed. */
	{__NR_brk},
#if defined(__s390x__)
	/* Its arguments lie in memory, where no filter reads. */
	{__NR_mmap},
#elif defined(__NR_mmap)
	{__NR_mmap, 2, PROT_EXEC, 0},
#endif
#ifdef __NR_mmap2
	{__NR_mmap2, 2, PROT_EXEC, 0},
#endif
	{__NR_mprotect, 2, PROT_EXEC, 0},
	{__NR_munmap},
	{__NR_madvise},
	{__NR_mlock},
	{__NR_munlock},
	/* A malloc that begins asks for some; without, it takes the clock. */
	{__NR_getrandom},
	/* Threads, and no processes. */
	{__NR_clone, CLONE_FLAGS_AT, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM},
	{__NR_set_robust_list},
#ifdef __NR_rseq
	{__NR_rseq},
#endif
	{__NR_rt_sigaction},
	{__NR_rt_sigprocmask},
	{__NR_gettid},
	{__NR_sched_yield},
	{__NR_prctl, 0, ALL_BITS, PR_SET_DUMPABLE},
	{__NR_exit},
	{__NR_exit_group},
};

static const struct rule freezing_rules[] = {
	{__NR_ioctl, 1, ALL_BITS, FIFREEZE},
	{__NR_ioctl, 1, ALL_BITS, FITHAW},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
_Static_assert(COUNT(rules) + COUNT(freezing_rules) <= RULES_MAX, "the program has no room");

struct program {
	struct sock_filter code[RULES_MAX * RULE_LENGTH + FRAME_LENGTH];
	unsigned short length;
};

static void emit(struct program *program, uint16_t code, uint8_t if_true, uint8_t if_false,
		 uint32_t value)
{
	program->code[program->length++] =
		(struct sock_filter)BPF_JUMP(code, value, if_true, if_false);
}

static void emit_load(struct program *program, size_t offset)
{
	emit(program, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static void emit_return(struct program *program, uint32_t action)
{
	emit(program, BPF_RET | BPF_K, 0, 0, action);
}

static size_t argument_offset(uint32_t argument)
{
	size_t low_half = __BYTE_ORDER == __LITTLE_ENDIAN ? 0 : sizeof(uint32_t);

	return offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t) + low_half;
}

/* With the call's number loaded, before and after. */
static void emit_rule(struct program *program, const struct rule *rule)
{
	if (rule->mask == 0) {
		emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, rule->number);
		emit_return(program, SECCOMP_RET_ALLOW);
		return;
	}
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, RULE_LENGTH - 1, rule->number);
	emit_load(program, argument_offset(rule->argument));
	emit(program, BPF_ALU | BPF_AND | BPF_K, 0, 0, rule->mask);
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, rule->value);
	emit_return(program, SECCOMP_RET_ALLOW);
	emit_load(program, offsetof(struct seccomp_data, nr));
}

static void build(struct program *program, bool may_freeze)
{
	emit_load(program, offsetof(struct seccomp_data, arch));
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, OWN_ARCH);
	emit_return(program, SECCOMP_RET_ERRNO | EPERM);
	emit_load(program, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < COUNT(rules); i++)
		emit_rule(program, &rules[i]);
	for (size_t i = 0; may_freeze && i < COUNT(freezing_rules); i++)
		emit_rule(program, &freezing_rules[i]);
#ifdef __NR_clone3
	/* Its flags lie in memory, where no filter reads: libc then calls clone(2). */
	emit(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, __NR_clone3);
	emit_return(program, SECCOMP_RET_ERRNO | ENOSYS);
#endif
	emit_return(program, SECCOMP_RET_ERRNO | EPERM);
}

int sf_syscalls_confine(bool may_freeze)
{
	static struct program program;
	struct sock_fprog handed = {.filter = program.code};

	if (OWN_ARCH == 0)
		return -ENOSYS;
	program.length = 0;
	build(&program, may_freeze);
	handed.len = program.length;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &handed, 0, 0) < 0 ? -errno : 0;
}
