// Waiting for many sockets at once, with a timeout in nanoseconds: epoll, which Swift's Glibc overlay
// lacks. Thin wrappers; no logic lives here. Only Linux has it: elsewhere every call fails with ENOSYS.
#ifndef CPOLL_H
#define CPOLL_H

#include <stdbool.h>
#include <stdint.h>

/// A socket with something to do.
struct patron_ready {
    /// What it was added with.
    uint32_t token;
    /// There is something to read, or the other side is gone.
    bool readable;
    bool writable;
};

/// A new set of sockets, or -1 with errno.
int patron_poll_create(void);

/// Adds a socket; `writing` asks for room to write too. 0, or -1 with errno.
int patron_poll_add(int set, int descriptor, uint32_t token, bool writing);
int patron_poll_change(int set, int descriptor, uint32_t token, bool writing);
int patron_poll_remove(int set, int descriptor);

/// Waits for at most `nanoseconds` (0: not at all). The number of ready sockets, at most `capacity`,
/// or -1 with errno.
int patron_poll_wait(int set, struct patron_ready *ready, int capacity, int64_t nanoseconds);

/// Lets timers of the calling thread end when they are due, not up to 50 microseconds later.
void patron_precise_timers(void);

#endif
