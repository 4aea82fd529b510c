// The few C things that Swift's Glibc overlay lacks. Everything here is a thin wrapper over one
// instruction or one system interface; no logic lives in C.
#ifndef CPLATFORM_H
#define CPLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <signal.h>
#if defined(__linux__)
#include <malloc.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#endif
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

/// Asks for the cache line of an address in the first- or the second-level cache; any address will
/// do.
static inline void patron_prefetch_first(const void *address) { __builtin_prefetch(address, 0, 3); }
static inline void patron_prefetch_second(const void *address) {
    __builtin_prefetch(address, 0, 2);
}

#if defined(__x86_64__)
#include <cpuid.h>

static inline bool patron_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t registers[4]) {
    return __get_cpuid_count(leaf, subleaf, &registers[0], &registers[1], &registers[2],
                             &registers[3]) != 0;
}

/// The XCR0 register: which vector states the operating system saves. Only valid where CPUID.1
/// ECX bit 27 (OSXSAVE) is set.
static inline uint64_t patron_xgetbv(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

/// CRC-32C of `count` bytes continuing from `state` (already inverted), by the SSE 4.2
/// instruction, eight bytes at a time. Only where CPUID.1 ECX bit 20 is set.
__attribute__((target("sse4.2"))) static inline uint32_t patron_crc32c_sse42(
    uint32_t state, const uint8_t *bytes, size_t count) {
    uint64_t crc = state;
    while (count >= 8) {
        uint64_t word;
        __builtin_memcpy(&word, bytes, 8);
        crc = __builtin_ia32_crc32di(crc, word);
        bytes += 8;
        count -= 8;
    }
    uint32_t tail = (uint32_t)crc;
    while (count > 0) {
        tail = __builtin_ia32_crc32qi(tail, *bytes);
        bytes += 1;
        count -= 1;
    }
    return tail;
}

/// The same of three runs of `count` bytes each (a multiple of eight) that lie one behind the other,
/// side by side: an instruction takes three cycles, and one begins every cycle.
__attribute__((target("sse4.2"))) static inline void patron_crc32c_sse42_three(
    uint32_t states[3], const uint8_t *bytes, size_t count) {
    uint64_t a = states[0], b = states[1], c = states[2];
    for (const uint8_t *end = bytes + count; bytes < end; bytes += 8) {
        uint64_t words[3];
        __builtin_memcpy(&words[0], bytes, 8);
        __builtin_memcpy(&words[1], bytes + count, 8);
        __builtin_memcpy(&words[2], bytes + 2 * count, 8);
        a = __builtin_ia32_crc32di(a, words[0]);
        b = __builtin_ia32_crc32di(b, words[1]);
        c = __builtin_ia32_crc32di(c, words[2]);
    }
    states[0] = (uint32_t)a;
    states[1] = (uint32_t)b;
    states[2] = (uint32_t)c;
}
#endif

/// Has the calling thread, and those that it makes, run only while a processor has nothing else to
/// do. False where the system has no such class or does not allow it.
static inline bool patron_run_when_idle(void) {
#if defined(__linux__)
    struct sched_param parameters = {0};
    const int idle = 5; /* SCHED_IDLE, which glibc shows with _GNU_SOURCE only */
    return sched_setscheduler(0, idle, &parameters) == 0;
#else
    return false;
#endif
}

/// The system's number of the calling thread; 0 where it has none.
static inline int patron_thread_number(void) {
#if defined(__linux__)
    return (int)syscall(SYS_gettid);
#else
    return 0;
#endif
}

/// Takes `patron_run_when_idle` back for a thread of this process; 0 is the calling one. False where
/// that is not allowed: it takes the right to the thread's nice value (RLIMIT_NICE, CAP_SYS_NICE).
static inline bool patron_run_as_usual(int thread) {
#if defined(__linux__)
    struct sched_param parameters = {0};
    return sched_setscheduler(thread, SCHED_OTHER, &parameters) == 0;
#else
    (void)thread;
    return false;
#endif
}

static inline void *patron_try_both_ways(void *unused) {
    (void)unused;
    static const char yes = 1;
    return patron_run_when_idle() && patron_run_as_usual(0) ? (void *)&yes : NULL;
}

/// Whether threads can be had to run when idle and as usual again, tried by one that ends then.
static inline bool patron_can_run_as_usual_again(void) {
    pthread_t thread;
    void *result = NULL;
    if (pthread_create(&thread, NULL, patron_try_both_ways, NULL) != 0) return false;
    pthread_join(thread, &result);
    return result != NULL;
}

/// Lowers the calling thread's share of the processor: 0 is the usual, 19 the least.
static inline void patron_be_nice(int value) {
#if defined(__linux__)
    setpriority(PRIO_PROCESS, 0, value);
#else
    (void)value;
#endif
}

/// Asks that the calling thread's turns on a processor are short and come soon: Linux from 6.12 on
/// (`sched_setattr`, which glibc lacks before 2.41).
static inline void patron_ask_for_short_turns(uint64_t nanoseconds) {
#if defined(__linux__) && defined(SYS_sched_setattr)
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } attributes = {.size = sizeof attributes, .runtime = nanoseconds};
    /* The rest stays as it is: SCHED_OTHER is 0. */
    attributes.nice = getpriority(PRIO_PROCESS, 0);
    syscall(SYS_sched_setattr, 0, &attributes, 0);
#else
    (void)nanoseconds;
#endif
}

/// Keeps memory that is freed for the next allocation, for programs that work and end: given back
/// to the system, every page of it would be zeroed and mapped anew. Blocks of 4 MiB and more, which
/// large pages make cheap, are still given back at once, and so is what is beyond 64 MiB.
static inline void patron_keep_freed_memory(void) {
#if defined(__GLIBC__)
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
#endif
}

/// Asks for large pages in the whole ones of 2 MiB within some memory.
static inline void patron_use_large_pages(void *base, size_t count) {
#if defined(MADV_HUGEPAGE)
    uintptr_t size = (uintptr_t)2 << 20;
    uintptr_t first = ((uintptr_t)base + size - 1) & ~(size - 1);
    uintptr_t last = ((uintptr_t)base + count) & ~(size - 1);
    if (first < last) madvise((void *)first, last - first, MADV_HUGEPAGE);
#endif
}

/// Lets the system begin to write a part of a file to the disk, so that a later fsync(2) finds less
/// to do. A wish: errors are left to fsync.
void patron_start_writing(int descriptor, int64_t offset, int64_t count);

/// flock(2), hidden in Swift by the struct of the same name.
static inline int patron_flock(int descriptor, int operation) { return flock(descriptor, operation); }

/// Whether a signal is ignored, as nohup(1) and the background jobs of some shells have it.
static inline bool patron_is_ignored(int number) {
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/// Ends the process by a signal's default action, whatever action it has now.
_Noreturn static inline void patron_end_by(int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    signal(number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    raise(number);
    _exit(128 + number);
}

#endif
