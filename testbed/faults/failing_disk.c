/* A disk that fails, for one process: preloaded, it answers calls on files below one folder.
 *
 * GRIDTALLY_DISK is the folder, GRIDTALLY_DISK_MODE a file with one word, which may change at any time:
 *   right     the real calls
 *   full      no file can grow (ENOSPC) but by what was given back: truncated, deleted
 *   readonly  nothing can be changed, made or deleted (EROFS)
 *   nosync    fsync and fdatasync fail with EIO
 *   short     a write of more than one byte writes half, and says so
 * Files that are not regular, and what lies elsewhere, are never touched. Journals, by which a test
 * knows what was signed, are named journal-* and are left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

static char root[PATH_MAX], mode_file[PATH_MAX];

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void start(void) {
    const char *dir = getenv("GRIDTALLY_DISK"), *file = getenv("GRIDTALLY_DISK_MODE");
    if (dir && file && realpath(dir, root)) snprintf(mode_file, sizeof mode_file, "%s", file);
}

/* The mode's first letter; 'r' for right, 'o' for readonly. */
static char mode(void) {
    char word[16] = {0};
    if (!mode_file[0]) return 'r';
    int fd = (int)syscall(SYS_openat, AT_FDCWD, mode_file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 'r';
    long n = syscall(SYS_read, fd, word, sizeof word - 1);
    syscall(SYS_close, fd);
    if (n <= 0) return 'r';
    return strncmp(word, "readonly", 8) ? word[0] : 'o';
}

static int is_ours(const char *path) {
    const char *name = strrchr(path, '/');
    size_t n = strlen(root);
    if (!root[0] || strncmp(path, root, n) || path[n] != '/') return 0;
    return strncmp(name + 1, "journal-", 8) != 0;
}

static int is_ours_fd(int fd) {
    char link[64], path[PATH_MAX];
    struct stat found;
    if (!root[0] || fd <= 2 || fstat(fd, &found) || !S_ISREG(found.st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return is_ours(path);
}

static int is_ours_path(const char *path) {
    char whole[PATH_MAX], folder[PATH_MAX];
    if (path[0] == '/') return is_ours(path);
    if (!getcwd(folder, sizeof folder)) return 0;
    if (snprintf(whole, sizeof whole, "%s/%s", folder, path) >= (int)sizeof whole) return 0;
    return is_ours(whole);
}

#define FAIL(error) do { errno = (error); return -1; } while (0)

/* What this process has given back since the disk is full: that much may be written again. */
static long long given_back;

/* Whether the disk is full now; when it is not, nothing is remembered of a time when it was. */
static int is_full(void) {
    int full = mode() == 'f';
    if (!full) given_back = 0;
    return full;
}

static long long size_of(int fd) {
    struct stat found;
    return fstat(fd, &found) ? 0 : (long long)found.st_size;
}

/* Let a file of ours reach this size, or return the error that it meets. */
static int grow(int fd, long long size) {
    if (mode() == 'o') return EROFS;
    long long more = size - size_of(fd);
    if (more <= 0 || !is_full()) return 0;
    if (more > given_back) return ENOSPC;
    given_back -= more;
    return 0;
}

static size_t allowed(size_t n) { return mode() == 's' && n > 1 ? n / 2 : n; }

#define WRITER(name, offset_type)                                                        \
    ssize_t name(int fd, const void *bytes, size_t n, offset_type at) {                  \
        static ssize_t (*next)(int, const void *, size_t, offset_type);                  \
        if (!next) next = real(#name);                                                   \
        if (is_ours_fd(fd)) {                                                            \
            n = allowed(n);                                                              \
            int error = grow(fd, (long long)at + (long long)n);                          \
            if (error) FAIL(error);                                                      \
        }                                                                                \
        return next(fd, bytes, n, at);                                                   \
    }
WRITER(pwrite, off_t)
WRITER(pwrite64, off64_t)

ssize_t write(int fd, const void *bytes, size_t n) {
    if (is_ours_fd(fd)) {
        int appends = fcntl(fd, F_GETFL) & O_APPEND;
        n = allowed(n);
        int error = grow(fd, (appends ? size_of(fd) : (long long)lseek(fd, 0, SEEK_CUR)) + (long long)n);
        if (error) FAIL(error);
    }
    return syscall(SYS_write, fd, bytes, n);
}

#define GROWER(name, offset_type)                                                        \
    int name(int fd, offset_type size) {                                                 \
        static int (*next)(int, offset_type);                                            \
        if (!next) next = real(#name);                                                   \
        if (is_ours_fd(fd)) {                                                            \
            long long less = size_of(fd) - (long long)size;                              \
            int error = grow(fd, (long long)size);                                       \
            if (error) FAIL(error);                                                      \
            if (less > 0 && is_full()) given_back += less;                               \
        }                                                                                \
        return next(fd, size);                                                           \
    }
GROWER(ftruncate, off_t)
GROWER(ftruncate64, off64_t)

#define ALLOCATOR(name, offset_type)                                                     \
    int name(int fd, offset_type at, offset_type n) {                                    \
        static int (*next)(int, offset_type, offset_type);                               \
        if (!next) next = real(#name);                                                   \
        int error = is_ours_fd(fd) ? grow(fd, (long long)at + (long long)n) : 0;         \
        return error ? error : next(fd, at, n);                                          \
    }
ALLOCATOR(posix_fallocate, off_t)
ALLOCATOR(posix_fallocate64, off64_t)

int unlink(const char *path) {
    static int (*next)(const char *);
    if (!next) next = real("unlink");
    struct stat found;
    int ours = is_ours_path(path) && !stat(path, &found);
    if (ours && mode() == 'o') FAIL(EROFS);
    int answer = next(path);
    if (!answer && ours && is_full()) given_back += (long long)found.st_size;
    return answer;
}

#define SYNCER(name)                                                                     \
    int name(int fd) {                                                                   \
        static int (*next)(int);                                                         \
        if (!next) next = real(#name);                                                   \
        if (mode() == 'n' && is_ours_fd(fd)) FAIL(EIO);                                  \
        return next(fd);                                                                 \
    }
SYNCER(fsync)
SYNCER(fdatasync)

#define OPENER(name)                                                                     \
    int name(const char *path, int flags, ...) {                                         \
        static int (*next)(const char *, int, ...);                                      \
        if (!next) next = real(#name);                                                   \
        va_list rest;                                                                    \
        va_start(rest, flags);                                                           \
        mode_t bits = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;        \
        va_end(rest);                                                                    \
        int changes = flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC);                   \
        if (changes && mode() == 'o' && is_ours_path(path)) FAIL(EROFS);                 \
        return next(path, flags, bits);                                                  \
    }
OPENER(open)
OPENER(open64)

#define FREE(name, type)                                                                 \
    int name(const char *path, struct type *told) {                                      \
        static int (*next)(const char *, struct type *);                                 \
        if (!next) next = real(#name);                                                   \
        int answer = next(path, told);                                                   \
        if (!answer && root[0] && is_full())                                             \
            told->f_bfree = told->f_bavail = (fsblkcnt_t)given_back / told->f_frsize;    \
        return answer;                                                                   \
    }
FREE(statvfs, statvfs)
FREE(statvfs64, statvfs64)
