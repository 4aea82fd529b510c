#define _GNU_SOURCE
#include "CPoll.h"

#include <errno.h>

#if defined(__linux__)
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int patron_poll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

static int control(int set, int operation, int descriptor, uint32_t token, bool writing) {
    struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0)};
    event.data.u32 = token;
    return epoll_ctl(set, operation, descriptor, &event);
}

int patron_poll_add(int set, int descriptor, uint32_t token, bool writing) {
    return control(set, EPOLL_CTL_ADD, descriptor, token, writing);
}

int patron_poll_change(int set, int descriptor, uint32_t token, bool writing) {
    return control(set, EPOLL_CTL_MOD, descriptor, token, writing);
}

int patron_poll_remove(int set, int descriptor) {
    return control(set, EPOLL_CTL_DEL, descriptor, 0, false);
}

/// epoll_pwait2 is of Linux 5.11; before, the set itself is waited for, which takes a second call.
static int wait_exactly(int set, struct epoll_event *events, int capacity, int64_t nanoseconds) {
    if (nanoseconds <= 0) return epoll_wait(set, events, capacity, 0);
    struct timespec timeout = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
#if defined(SYS_epoll_pwait2)
    int count = (int)syscall(SYS_epoll_pwait2, set, events, capacity, &timeout, (sigset_t *)0, (size_t)0);
    if (count >= 0 || errno != ENOSYS) return count;
#endif
    struct pollfd whole = {.fd = set, .events = POLLIN};
    if (ppoll(&whole, 1, &timeout, (sigset_t *)0) < 0) return -1;
    return epoll_wait(set, events, capacity, 0);
}

int patron_poll_wait(int set, struct patron_ready *ready, int capacity, int64_t nanoseconds) {
    struct epoll_event events[256];
    if (capacity > 256) capacity = 256;
    int count = wait_exactly(set, events, capacity, nanoseconds);
    for (int i = 0; i < count; i++) {
        ready[i].token = events[i].data.u32;
        ready[i].readable = (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0;
        ready[i].writable = (events[i].events & EPOLLOUT) != 0;
    }
    return count;
}

void patron_precise_timers(void) { prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); }

#else

static int missing(void) {
    errno = ENOSYS;
    return -1;
}

int patron_poll_create(void) { return missing(); }
int patron_poll_add(int set, int descriptor, uint32_t token, bool writing) {
    (void)set, (void)descriptor, (void)token, (void)writing;
    return missing();
}
int patron_poll_change(int set, int descriptor, uint32_t token, bool writing) {
    (void)set, (void)descriptor, (void)token, (void)writing;
    return missing();
}
int patron_poll_remove(int set, int descriptor) {
    (void)set, (void)descriptor;
    return missing();
}
int patron_poll_wait(int set, struct patron_ready *ready, int capacity, int64_t nanoseconds) {
    (void)set, (void)ready, (void)capacity, (void)nanoseconds;
    return missing();
}
void patron_precise_timers(void) {}

#endif
