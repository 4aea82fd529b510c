// Ends a program at its n-th step on the file system, for tests of what a crash leaves behind.
//
// Preloaded into a program (LD_PRELOAD), it counts the calls that make, name, sync or remove files
// below one folder, and kills the process just before the n-th. As after a power cut it can also
// take back what was not yet durable: bytes appended since a file's last fsync, and names made or
// changed since their folder's last fsync. Bytes written over others stay: nothing does that.
//
//   CRASH_ROOT   the folder, an absolute path without symbolic links
//   CRASH_AT     n, from 1; absent: no crash
//   CRASH_POWER  1: lose what was not durable
//   CRASH_SIGNAL this signal comes instead of SIGKILL: the program may answer it, and goes on with
//                the step if it has not ended itself by then
//   CRASH_LINKS  0: the folder is on a file system without hard links
//   CRASH_COUNT  a file that gets the number of steps when the program ends by itself
//
// Removed names do not come back: nothing may depend on a removal being durable, and a file that
// nothing names is not harmful.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST 4096

// A file with bytes that no fsync has followed.
struct dirty { char path[PATH_MAX]; int is_used; };
// How much of a file is durable: what was there when it was opened, or at its last fsync.
struct durable { char path[PATH_MAX]; off_t size; int is_used; };
// A name that was made or replaced and whose folder has not been synced since, in order.
struct change { char path[PATH_MAX], from[PATH_MAX], saved[PATH_MAX]; int is_used, is_folder; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct dirty dirty[MOST];
static struct durable durables[MOST];
static struct change changes[MOST];
static char root[PATH_MAX];
static int crash_at, loses_power, has_links = 1, signal_number, step, change_count;
static char count_path[PATH_MAX];
static __thread int is_inside;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void start(void) {
    const char *value = getenv("CRASH_ROOT");
    if (value) snprintf(root, sizeof root, "%s", value);
    if ((value = getenv("CRASH_AT"))) crash_at = atoi(value);
    if ((value = getenv("CRASH_POWER"))) loses_power = atoi(value);
    if ((value = getenv("CRASH_LINKS"))) has_links = atoi(value);
    if ((value = getenv("CRASH_SIGNAL"))) signal_number = atoi(value);
    if ((value = getenv("CRASH_COUNT"))) snprintf(count_path, sizeof count_path, "%s", value);
}

__attribute__((destructor)) static void finish(void) {
    if (!count_path[0]) return;
    FILE *file = fopen(count_path, "w");
    if (!file) abort();
    fprintf(file, "%d\n", step);
    fclose(file);
}

// The absolute path of a name that need not exist; 0 where it is not below the root.
static int resolve(int folder, const char *name, char *path) {
    char base[PATH_MAX] = "";
    if (!root[0] || !name) return 0;
    if (name[0] != '/') {
        if (folder == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) return 0;
        } else {
            char link[64];
            snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
            ssize_t length = readlink(link, base, sizeof base - 1);
            if (length < 0) return 0;
            base[length] = 0;
        }
    }
    char full[2 * PATH_MAX];
    snprintf(full, sizeof full, "%s%s%s", base, base[0] ? "/" : "", name);
    // Without "//", "/./" and a "/" at the end, so that names can be compared.
    size_t n = 0;
    for (const char *p = full; *p && n + 1 < PATH_MAX;) {
        if (*p == '/') {
            while (*p == '/' || (p[0] == '.' && p[-1] == '/' && (p[1] == '/' || !p[1]))) p++;
            if (*p) path[n++] = '/';
        } else {
            path[n++] = *p++;
        }
    }
    path[n] = 0;
    size_t length = strlen(root);
    return strncmp(path, root, length) == 0 && (path[length] == '/' || !path[length]);
}

static int path_of(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    char target[PATH_MAX];
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length < 0) return 0;
    target[length] = 0;
    return resolve(AT_FDCWD, target, path);
}

static off_t durable_size(const char *path) {
    for (int i = 0; i < MOST; i++)
        if (durables[i].is_used && strcmp(durables[i].path, path) == 0) return durables[i].size;
    return 0;
}

static void set_durable(const char *path, off_t size, int replaces) {
    int place = -1;
    for (int i = 0; i < MOST; i++) {
        if (durables[i].is_used && strcmp(durables[i].path, path) == 0) {
            if (replaces) durables[i].size = size;
            return;
        }
        if (!durables[i].is_used && place < 0) place = i;
    }
    if (place < 0) abort();
    durables[place].is_used = 1;
    durables[place].size = size;
    snprintf(durables[place].path, sizeof durables[place].path, "%s", path);
}

static void lose_power(void) {
    // Bytes first: their files may be among the names that go back.
    for (int i = 0; i < MOST; i++) {
        struct stat status;
        if (!dirty[i].is_used || lstat(dirty[i].path, &status) || !S_ISREG(status.st_mode)) continue;
        // Of what is not durable half, and zeros where some of the rest would be.
        off_t sure = durable_size(dirty[i].path);
        if (status.st_size <= sure) continue;
        off_t kept = (status.st_size - sure) / 2;
        if (truncate(dirty[i].path, sure + kept) ||
            truncate(dirty[i].path, status.st_size - kept / 2))
            abort();
    }
    for (int i = change_count - 1; i >= 0; i--) {
        struct change *c = &changes[i];
        if (!c->is_used) continue;
        if (c->from[0]) {
            rename(c->path, c->from);
            if (c->saved[0]) rename(c->saved, c->path);
        } else if (c->is_folder) {
            char command[PATH_MAX + 32];
            unsetenv("LD_PRELOAD");
            snprintf(command, sizeof command, "rm -rf '%s'", c->path);
            if (system(command)) abort();
        } else {
            unlink(c->path);
        }
    }
}

// One more step is about to be taken. Holds the lock on return.
static void take_step(void) {
    pthread_mutex_lock(&lock);
    is_inside = 1;
    step++;
    if (crash_at && step == crash_at && signal_number) {
        // The answer takes steps too, which need the lock; it may wait for this one to end.
        is_inside = 0;
        pthread_mutex_unlock(&lock);
        kill(getpid(), signal_number);
        usleep(100000);
        pthread_mutex_lock(&lock);
        is_inside = 1;
    } else if (crash_at && step == crash_at) {
        if (loses_power) lose_power();
        for (int i = 0; i < change_count; i++)
            if (changes[i].saved[0]) unlink(changes[i].saved);
        kill(getpid(), SIGKILL);
        pause();
    }
}

static void end_step(void) {
    int error = errno;
    is_inside = 0;
    pthread_mutex_unlock(&lock);
    errno = error;
}

static struct change *new_change(const char *path) {
    if (change_count == MOST) abort();
    struct change *c = &changes[change_count++];
    memset(c, 0, sizeof *c);
    c->is_used = 1;
    snprintf(c->path, sizeof c->path, "%s", path);
    return c;
}

static void mark_dirty(const char *path) {
    int place = -1;
    for (int i = 0; i < MOST; i++) {
        if (dirty[i].is_used && strcmp(dirty[i].path, path) == 0) return;
        if (!dirty[i].is_used && place < 0) place = i;
    }
    if (place < 0) abort();
    dirty[place].is_used = 1;
    snprintf(dirty[place].path, sizeof dirty[place].path, "%s", path);
}

// Files below a renamed folder keep what is known of them.
static void follow(char *path, const char *from, const char *to) {
    size_t length = strlen(from);
    if (strncmp(path, from, length) != 0 || (path[length] && path[length] != '/')) return;
    char moved[2 * PATH_MAX];
    snprintf(moved, sizeof moved, "%s%s", to, path + length);
    snprintf(path, PATH_MAX, "%s", moved);
}

static void did_rename(const char *from, const char *to, const char *saved) {
    for (int i = 0; i < MOST; i++) {
        if (dirty[i].is_used) follow(dirty[i].path, from, to);
        // What was there under the new name is another file.
        if (durables[i].is_used && strcmp(durables[i].path, to) == 0) durables[i].is_used = 0;
    }
    for (int i = 0; i < MOST; i++)
        if (durables[i].is_used) follow(durables[i].path, from, to);
    struct change *c = new_change(to);
    snprintf(c->from, sizeof c->from, "%s", from);
    snprintf(c->saved, sizeof c->saved, "%s", saved);
}

static void did_sync(const char *path) {
    for (int i = 0; i < MOST; i++)
        if (dirty[i].is_used && strcmp(dirty[i].path, path) == 0) dirty[i].is_used = 0;
    struct stat status;
    if (lstat(path, &status)) return;
    if (loses_power && S_ISREG(status.st_mode)) set_durable(path, status.st_size, 1);
    if (!S_ISDIR(status.st_mode)) return;
    size_t length = strlen(path);
    for (int i = 0; i < change_count; i++) {
        struct change *c = &changes[i];
        const char *slash = strrchr(c->path, '/');
        if (!c->is_used || (size_t)(slash - c->path) != length || strncmp(c->path, path, length))
            continue;
        c->is_used = 0;
        if (c->saved[0]) unlink(c->saved);
        c->saved[0] = 0;
    }
}

static int opened(int (*call)(int, const char *, int, mode_t), int folder, const char *name,
                  int flags, mode_t mode) {
    char path[PATH_MAX];
    struct stat status;
    if (is_inside || !resolve(folder, name, path)) return call(folder, name, flags, mode);
    if (!(flags & O_CREAT)) {
        int writes = (flags & O_ACCMODE) != O_RDONLY && !(flags & O_TRUNC);
        if (loses_power && writes && lstat(path, &status) == 0 && S_ISREG(status.st_mode)) {
            pthread_mutex_lock(&lock);
            set_durable(path, status.st_size, 0);
            pthread_mutex_unlock(&lock);
        }
        return call(folder, name, flags, mode);
    }
    take_step();
    int is_new = lstat(path, &status) != 0;
    if (loses_power && !is_new && S_ISREG(status.st_mode))
        set_durable(path, flags & O_TRUNC ? 0 : status.st_size, flags & O_TRUNC);
    int descriptor = call(folder, name, flags, mode);
    if (descriptor >= 0 && is_new) new_change(path);
    end_step();
    return descriptor;
}

static int call_openat(int folder, const char *name, int flags, mode_t mode) {
    REAL(openat);
    return real(folder, name, flags, mode);
}

#define MODE \
    mode_t mode = 0; \
    if (flags & O_CREAT) { \
        va_list list; \
        va_start(list, flags); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }

int open(const char *name, int flags, ...) { MODE return opened(call_openat, AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE return opened(call_openat, AT_FDCWD, name, flags, mode); }
int openat(int folder, const char *name, int flags, ...) { MODE return opened(call_openat, folder, name, flags, mode); }
int openat64(int folder, const char *name, int flags, ...) { MODE return opened(call_openat, folder, name, flags, mode); }

static void wrote(int descriptor) {
    char path[PATH_MAX];
    if (is_inside || !loses_power || !path_of(descriptor, path)) return;
    int error = errno;
    pthread_mutex_lock(&lock);
    mark_dirty(path);
    pthread_mutex_unlock(&lock);
    errno = error;
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
    REAL(write);
    ssize_t result = real(descriptor, bytes, count);
    if (result > 0) wrote(descriptor);
    return result;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    REAL(pwrite);
    ssize_t result = real(descriptor, bytes, count, offset);
    if (result > 0) wrote(descriptor);
    return result;
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    REAL(writev);
    ssize_t result = real(descriptor, parts, count);
    if (result > 0) wrote(descriptor);
    return result;
}

int ftruncate(int descriptor, off_t size) {
    REAL(ftruncate);
    char path[PATH_MAX];
    int result = real(descriptor, size);
    if (result || is_inside || !loses_power || !path_of(descriptor, path)) return result;
    pthread_mutex_lock(&lock);
    if (size < durable_size(path)) set_durable(path, size, 1);
    pthread_mutex_unlock(&lock);
    return result;
}

static int synced(int (*call)(int), int descriptor) {
    char path[PATH_MAX];
    if (is_inside || !path_of(descriptor, path)) return call(descriptor);
    take_step();
    int result = call(descriptor);
    if (result == 0) did_sync(path);
    end_step();
    return result;
}

static int call_fsync(int descriptor) { REAL(fsync); return real(descriptor); }
static int call_fdatasync(int descriptor) { REAL(fdatasync); return real(descriptor); }
int fsync(int descriptor) { return synced(call_fsync, descriptor); }
int fdatasync(int descriptor) { return synced(call_fdatasync, descriptor); }

static int call_renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    REAL(renameat2);
    return real(a, from, b, to, flags);
}

static int renamed(int a, const char *from, int b, const char *to, unsigned flags) {
    char source[PATH_MAX], target[PATH_MAX], saved[PATH_MAX + 16] = "";
    if (is_inside || !resolve(a, from, source) || !resolve(b, to, target))
        return call_renameat2(a, from, b, to, flags);
    take_step();
    struct stat status;
    if (loses_power && lstat(target, &status) == 0 && S_ISREG(status.st_mode)) {
        snprintf(saved, sizeof saved, "%s.saved-%d", target, step);
        if (link(target, saved)) abort();
    }
    int result = call_renameat2(a, from, b, to, flags);
    if (result == 0) did_rename(source, target, saved);
    else if (saved[0]) unlink(saved);
    end_step();
    return result;
}

int rename(const char *from, const char *to) { return renamed(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int a, const char *from, int b, const char *to) { return renamed(a, from, b, to, 0); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags) { return renamed(a, from, b, to, flags); }

int link(const char *from, const char *to) {
    REAL(link);
    char path[PATH_MAX];
    if (is_inside || !resolve(AT_FDCWD, to, path)) return real(from, to);
    if (!has_links) {
        errno = EPERM;
        return -1;
    }
    take_step();
    int result = real(from, to);
    if (result == 0) new_change(path);
    end_step();
    return result;
}

int mkdir(const char *name, mode_t mode) {
    REAL(mkdir);
    char path[PATH_MAX];
    if (is_inside || !resolve(AT_FDCWD, name, path)) return real(name, mode);
    take_step();
    int result = real(name, mode);
    if (result == 0) new_change(path)->is_folder = 1;
    end_step();
    return result;
}

#define REMOVAL(name, parameters, arguments, folder, which) \
    int name parameters { \
        REAL(name); \
        char path[PATH_MAX]; \
        if (is_inside || !resolve(folder, which, path)) return real arguments; \
        take_step(); \
        int result = real arguments; \
        if (result == 0) \
            for (int i = 0; i < MOST; i++) { \
                if (dirty[i].is_used && !strcmp(dirty[i].path, path)) dirty[i].is_used = 0; \
                if (durables[i].is_used && !strcmp(durables[i].path, path)) \
                    durables[i].is_used = 0; \
                if (i < change_count && !strcmp(changes[i].path, path) && !changes[i].from[0]) \
                    changes[i].is_used = 0; \
            } \
        end_step(); \
        return result; \
    }

REMOVAL(unlink, (const char *file), (file), AT_FDCWD, file)
REMOVAL(rmdir, (const char *file), (file), AT_FDCWD, file)
REMOVAL(unlinkat, (int folder, const char *file, int flags), (folder, file, flags), folder, file)
REMOVAL(remove, (const char *file), (file), AT_FDCWD, file)
