/* Runs of system calls on small files. Each returns 0, or an errno; what is done half-way is told by the caller's text.
   `note` is NULL, or is called before each step that changes something: for tests, which note it down or die there. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __APPLE__
#define CHANGED(found) ((found).st_mtimespec)
#else
#define CHANGED(found) ((found).st_mtim)
#endif
#define BILLION 1000000000LL

typedef void (*note_step)(const char *step, const char *path, const char *target);
static note_step note = NULL;
static void set_note(note_step step) { note = step; }
#define NOTE(step, path, target) do { if (note != NULL) note(step, path, target); } while (0)

/* A file of its own, locked; -1 with errno set. */
static int lock_file(const char *path, int how) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return -1;
    while (flock(fd, how) < 0) {
        if (errno == EINTR) continue;
        int why = errno;
        close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

/* Nanoseconds since 1970; -1 with errno set. */
static long long changed_at(const char *path) {
    struct stat found;
    if (stat(path, &found) < 0) return -1;
    return (long long)CHANGED(found).tv_sec * BILLION + CHANGED(found).tv_nsec;
}

/* Share a lock by way of its gate, `or_not` where that would mean to wait; -1 with errno set. */
static int share_lock(const char *gate, const char *lock, int or_not) {
    int why, shared, passing = lock_file(gate, LOCK_SH | or_not);
    if (passing < 0) return -1;
    shared = lock_file(lock, LOCK_SH | or_not);
    why = errno;
    close(passing);
    errno = why;
    return shared;
}

/* Share a lock by way of its gate, see when a record was changed (-1: there is none), and then hold the key alone. */
static int enter_locks(const char *gate, const char *lock, const char *record, const char *key,
                       int *shared, int *held, long long *changed) {
    int why = 0;
    *held = -1;
    *changed = -1;
    *shared = share_lock(gate, lock, 0);
    if (*shared < 0) return errno;
    *changed = changed_at(record);
    if (*changed >= 0) {
        *held = lock_file(key, LOCK_EX);
        if (*held >= 0) return 0;
        why = errno;
    } else if (errno == ENOENT) {
        return 0;
    } else {
        why = errno;
    }
    close(*shared);
    *shared = -1;
    return why;
}

/* A new file of these bytes, its time of change in nanoseconds set unless that is -1, synced where it is to last. */
static int write_file(const char *path, const char *data, size_t size, long long changed, int durable) {
    int why = 0, fd;
    NOTE("open", path, "");
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return errno;
    NOTE("write", path, "");
    while (!why && size > 0) {
        ssize_t written = write(fd, data, size);
        if (written >= 0) {
            data += written;
            size -= (size_t)written;
        } else if (errno != EINTR) {
            why = errno;
        }
    }
    if (!why && changed >= 0) {
        struct timespec times[2] = {{changed / BILLION, changed % BILLION}, {changed / BILLION, changed % BILLION}};
        if (futimens(fd, times) < 0) why = errno;
    }
    if (!why && durable) {
        NOTE("sync", path, "");
        if (fsync(fd) < 0) why = errno;
    }
    close(fd);
    return why;
}

/* Bring a whole file system to the disk, of which a file is open. It fails for what has failed since that was opened. */
static int sync_file_system(int fd, const char *path) {
    NOTE("sync all", path, "");
#ifdef __linux__
    return syncfs(fd) < 0 ? errno : 0;
#else
    return ENOSYS;
#endif
}

enum change { RENAME, UNLINK };

/* Rename a file into a folder, or unlink one there, and sync the folder. It is open before anything changes: afterwards
   there may be no file handle left. `reached` tells how far it came: 0 there is no such folder, 1 nothing is changed, 2
   changed, and perhaps not synced. */
static int change_folder(enum change what, const char *path, const char *target, const char *folder, int durable,
                         int *reached) {
    int why = 0, fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *reached = 0;
    if (fd < 0) return errno;
    *reached = 1;
    if (what == RENAME) {
        NOTE("rename", path, target);
        if (rename(path, target) < 0) why = errno;
    } else {
        NOTE("unlink", path, "");
        if (unlink(path) < 0) why = errno;
    }
    if (!why) {
        *reached = 2;
        if (durable) {
            NOTE("sync", folder, "");
            if (fsync(fd) < 0) why = errno;
        }
    }
    close(fd);
    return why;
}

/* The folder of a file, made where it lacks, with those above it. */
static int make_folder_of(const char *path) {
    char folder[PATH_MAX];
    const char *end = strrchr(path, '/');
    if (end == NULL || (size_t)(end - path) >= sizeof folder) return ENAMETOOLONG;
    memcpy(folder, path, (size_t)(end - path));
    folder[end - path] = 0;
    NOTE("mkdir", folder, "");
    if (mkdir(folder, 0700) == 0 || errno == EEXIST) return 0;
    if (errno != ENOENT) return errno;
    int why = make_folder_of(folder);
    if (why) return why;
    return mkdir(folder, 0700) == 0 || errno == EEXIST ? 0 : errno;
}

/* Rename a file into a folder that is made where it lacks; or, where there is no file to rename, remove what stands
   there. Nothing is synced. */
static int place_file(const char *path, const char *target) {
    if (!*path) {
        NOTE("unlink", target, "");
        return unlink(target) < 0 && errno != ENOENT ? errno : 0;
    }
    NOTE("rename", path, target);
    if (rename(path, target) == 0) return 0;
    if (errno != ENOENT) return errno;
    int why = make_folder_of(target);
    if (why) return why;
    return rename(path, target) < 0 ? errno : 0;
}

/* Up to so many bytes of a file; -1 with errno set. Where there may be more, `more` is the file, still open. */
static ssize_t read_file(const char *path, char *into, size_t size, int *more) {
    ssize_t got, all = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *more = -1;
    if (fd < 0) return -1;
    while ((size_t)all < size) {
        got = read(fd, into + all, size - (size_t)all);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            int why = errno;
            close(fd);
            errno = why;
            return -1;
        }
        if (got == 0) {
            close(fd);
            return all;
        }
        all += got;
    }
    *more = fd;
    return all;
}
