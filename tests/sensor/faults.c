/* Faults for a program that runs with this library preloaded: a disk that takes nothing, and a clock that somebody sets.
 *
 * The file named by FAULTS says which, at any moment: eight bytes, what the system's date is wrong by in nanoseconds, and eight more, not
 * zero while everything below the folder named by FAULTS_FOLDER is read-only. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *faults;
static const char *folder;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS");
    folder = getenv("FAULTS_FOLDER");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = file >= 0 ? mmap(NULL, 16, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
    if (map != MAP_FAILED) faults = map;
    if (file >= 0) close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && faults && clock == CLOCK_REALTIME) {
        int64_t ns = now->tv_sec * 1000000000LL + now->tv_nsec + faults[0];
        now->tv_sec = ns / 1000000000LL;
        now->tv_nsec = ns % 1000000000LL;
    }
    return failed;
}

static int is_below(const char *path) { return faults && faults[1] && folder && !strncmp(path, folder, strlen(folder)); }

static int is_refused(int file) {
    char link[64], path[4096];
    if (!faults || !faults[1]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (!is_below(path)) return 0;
    errno = EROFS;
    return 1;
}

#define NEXT(name, ...) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))(__VA_ARGS__)
#define GUARDED(kind, name, declared, ...) \
    kind name declared { return is_refused(file) ? -1 : NEXT(name, __VA_ARGS__); }

GUARDED(ssize_t, pwrite, (int file, const void *data, size_t size, off_t at), file, data, size, at)
GUARDED(ssize_t, pwrite64, (int file, const void *data, size_t size, off64_t at), file, data, size, at)
GUARDED(ssize_t, pwritev2, (int file, const struct iovec *data, int count, off_t at, int flags), file, data, count, at, flags)
GUARDED(ssize_t, pwritev64v2, (int file, const struct iovec *data, int count, off64_t at, int flags), file, data, count, at, flags)
GUARDED(ssize_t, write, (int file, const void *data, size_t size), file, data, size)
GUARDED(int, fdatasync, (int file), file)
GUARDED(int, fsync, (int file), file)
GUARDED(int, ftruncate, (int file, off_t size), file, size)
GUARDED(int, ftruncate64, (int file, off64_t size), file, size)

static int opened(const char *path, int flags, int mode) {
    if ((flags & (O_WRONLY | O_RDWR | O_CREAT)) && is_below(path)) {
        errno = EROFS;
        return -1;
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

#define MODE(flags) \
    int mode = 0; \
    if ((flags) & O_CREAT) { va_list rest; va_start(rest, flags); mode = va_arg(rest, int); va_end(rest); }

int open(const char *path, int flags, ...) { MODE(flags) return opened(path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return opened(path, flags | O_LARGEFILE, mode); }
