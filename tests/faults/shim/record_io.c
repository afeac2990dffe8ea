/* Records what a process asks of the disk and of the network, in order.
 *
 * Preloaded into a real hub or edge: every write, truncate, sync, unlink and rename below the folder
 * GRIDTALLY_RECORD_DIR, and every send, receive and close of a socket, is appended to the file
 * GRIDTALLY_RECORD_LOG.<pid> after the real call succeeded, in the order of the calls: one lock is
 * held over both. tests/support/crash_states.py replays a prefix of that record into the files that a
 * power cut at that moment could have left behind.
 *
 * One record: op (1 byte), path length (2), second path length (2), offset (8), data length (4), then
 * path, second path and data; all integers little-endian.
 *   W pwrite/write   T ftruncate (offset = new size)   S fsync/fdatasync   U unlink
 *   R rename (second path = new name)   O open that creates
 *   N send, I receive, C close of a socket (offset = its number)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS_MAX 4096

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *paths[FDS_MAX];
static char sockets[FDS_MAX];
static char root[PATH_MAX];
static int log_fd = -1;

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void start(void) {
    const char *dir = getenv("GRIDTALLY_RECORD_DIR"), *file = getenv("GRIDTALLY_RECORD_LOG");
    if (!dir || !file || !realpath(dir, root)) return;
    char name[PATH_MAX + 16];
    snprintf(name, sizeof name, "%s.%d", file, (int)getpid());
    log_fd = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void put(char op, const char *path, const char *second, int64_t offset, const void *bytes, uint32_t n) {
    if (log_fd < 0) return;
    uint16_t a = (uint16_t)strlen(path), b = (uint16_t)strlen(second);
    struct { char op; uint16_t a, b; int64_t offset; uint32_t n; } __attribute__((packed)) head = {op, a, b, offset, n};
    struct iovec parts[4] = {{&head, sizeof head}, {(void *)path, a}, {(void *)second, b}, {(void *)bytes, n}};
    syscall(SYS_writev, log_fd, parts, 4);
}

static int below_root(const char *path, char *out) {
    char folder[PATH_MAX], *slash;
    if (!root[0] || strlen(path) >= PATH_MAX) return 0;
    strcpy(folder, path);
    slash = strrchr(folder, '/');
    const char *name = slash ? slash + 1 : folder;
    char resolved[PATH_MAX];
    if (slash) *slash = 0;
    if (!realpath(slash ? (folder[0] ? folder : "/") : ".", resolved)) return 0;
    size_t n = strlen(root);
    if (strncmp(resolved, root, n) || (resolved[n] && resolved[n] != '/')) return 0;
    const char *inner = resolved + n + (resolved[n] == '/');
    if (strlen(inner) + 1 + strlen(name) >= PATH_MAX) return 0;
    strcpy(out, inner);
    if (resolved[n]) strcat(out, "/");
    strcat(out, name);
    return 1;
}

static void remember(int fd, const char *path, int flags) {
    char relative[PATH_MAX];
    if (fd < 0 || fd >= FDS_MAX || log_fd < 0) return;
    pthread_mutex_lock(&lock);
    free(paths[fd]);
    paths[fd] = NULL;
    if (below_root(path, relative)) {
        paths[fd] = strdup(relative);
        if (flags & O_TRUNC) put('T', relative, "", 0, "", 0);
        else if (flags & O_CREAT) put('O', relative, "", 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
}

#define OPEN(NAME)                                                                   \
    int NAME(const char *path, int flags, ...) {                                     \
        va_list rest; va_start(rest, flags);                                         \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;    \
        va_end(rest);                                                                \
        int fd = ((int (*)(const char *, int, ...))real(#NAME))(path, flags, mode);  \
        remember(fd, path, flags);                                                   \
        return fd;                                                                   \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(NAME)                                                                        \
    int NAME(int dir, const char *path, int flags, ...) {                                   \
        va_list rest; va_start(rest, flags);                                                \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;           \
        va_end(rest);                                                                       \
        int fd = ((int (*)(int, const char *, int, ...))real(#NAME))(dir, path, flags, mode); \
        if (dir == AT_FDCWD || path[0] == '/') remember(fd, path, flags);                   \
        return fd;                                                                          \
    }
OPENAT(openat)
OPENAT(openat64)

int close(int fd) {
    if (fd == log_fd && fd >= 0) return 0;
    if (fd >= 0 && fd < FDS_MAX) {
        pthread_mutex_lock(&lock);
        free(paths[fd]);
        paths[fd] = NULL;
        if (sockets[fd]) put('C', "", "", fd, "", 0);
        sockets[fd] = 0;
        pthread_mutex_unlock(&lock);
    }
    return ((int (*)(int))real("close"))(fd);
}

static const char *known(int fd) { return fd >= 0 && fd < FDS_MAX ? paths[fd] : NULL; }

#define PWRITE(NAME, OFF)                                                                   \
    ssize_t NAME(int fd, const void *bytes, size_t n, OFF offset) {                         \
        pthread_mutex_lock(&lock);                                                          \
        ssize_t done = ((ssize_t (*)(int, const void *, size_t, OFF))real(#NAME))(fd, bytes, n, offset); \
        if (done > 0 && known(fd)) put('W', known(fd), "", offset, bytes, (uint32_t)done);  \
        pthread_mutex_unlock(&lock);                                                        \
        return done;                                                                        \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *bytes, size_t n) {
    if (!known(fd)) return ((ssize_t (*)(int, const void *, size_t))real("write"))(fd, bytes, n);
    pthread_mutex_lock(&lock);
    off_t offset = lseek(fd, 0, (fcntl(fd, F_GETFL) & O_APPEND) ? SEEK_END : SEEK_CUR);
    ssize_t done = ((ssize_t (*)(int, const void *, size_t))real("write"))(fd, bytes, n);
    if (done > 0) put('W', known(fd), "", offset, bytes, (uint32_t)done);
    pthread_mutex_unlock(&lock);
    return done;
}

#define TRUNCATE(NAME, OFF)                                                     \
    int NAME(int fd, OFF size) {                                                \
        pthread_mutex_lock(&lock);                                              \
        int done = ((int (*)(int, OFF))real(#NAME))(fd, size);                  \
        if (!done && known(fd)) put('T', known(fd), "", size, "", 0);           \
        pthread_mutex_unlock(&lock);                                            \
        return done;                                                            \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(NAME)                                                      \
    int NAME(int fd) {                                                  \
        pthread_mutex_lock(&lock);                                      \
        int done = ((int (*)(int))real(#NAME))(fd);                     \
        if (!done && known(fd)) put('S', known(fd), "", 0, "", 0);      \
        pthread_mutex_unlock(&lock);                                    \
        return done;                                                    \
    }
SYNC(fsync)
SYNC(fdatasync)

int unlink(const char *path) {
    char relative[PATH_MAX];
    pthread_mutex_lock(&lock);
    int inside = below_root(path, relative), done = ((int (*)(const char *))real("unlink"))(path);
    if (!done && inside) put('U', relative, "", 0, "", 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int rename(const char *old, const char *new) {
    char from[PATH_MAX], to[PATH_MAX];
    pthread_mutex_lock(&lock);
    int inside = below_root(old, from) && below_root(new, to);
    int done = ((int (*)(const char *, const char *))real("rename"))(old, new);
    if (!done && inside) put('R', from, to, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return done;
}

/* What the peer has seen, it has seen by now, and nothing this process did later came before. */
ssize_t send(int fd, const void *bytes, size_t n, int flags) {
    ssize_t (*call)(int, const void *, size_t, int) = real("send");
    if (log_fd < 0) return call(fd, bytes, n, flags);
    pthread_mutex_lock(&lock);
    ssize_t done = call(fd, bytes, n, flags | MSG_DONTWAIT);
    if (done > 0) put('N', "", "", fd, bytes, (uint32_t)done);
    if (done > 0 && fd < FDS_MAX) sockets[fd] = 1;
    int wait = done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && !(flags & MSG_DONTWAIT)
        && !(fcntl(fd, F_GETFL) & O_NONBLOCK);
    pthread_mutex_unlock(&lock);
    if (!wait) return done;
    struct pollfd ready = {.fd = fd, .events = POLLOUT};
    poll(&ready, 1, -1);
    return send(fd, bytes, n, flags);
}

/* Received first, recorded second, without the lock: a receive may wait for long. What follows from
 * the bytes can only be done after this returned. */
ssize_t recv(int fd, void *bytes, size_t n, int flags) {
    ssize_t done = ((ssize_t (*)(int, void *, size_t, int))real("recv"))(fd, bytes, n, flags);
    if (done > 0 && log_fd >= 0 && !(flags & MSG_PEEK)) {
        pthread_mutex_lock(&lock);
        put('I', "", "", fd, bytes, (uint32_t)done);
        if (fd < FDS_MAX) sockets[fd] = 1;
        pthread_mutex_unlock(&lock);
    }
    return done;
}
