/* uncache.c - takes files out of the page cache, so that their next reader waits for the disk. Linux.
 * Usage:  uncache <LIST   one path a line; says how much of them is in memory after it
 * Owns:   that one advice to the kernel. Does not: write anything, need rights beyond reading. What is dirty (sync first)
 *         or mapped by a running program stays: of a shared library that others use no more is dropped than they allow.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__linux__)
enum { PAGES_AT_ONCE = 4096 };

/* Bytes of a file that are in memory. */
static long long resident(int fd, long long size)
{
    const long page = sysconf(_SC_PAGESIZE);
    const long long window = (long long)page * PAGES_AT_ONCE;
    unsigned char pages[PAGES_AT_ONCE];
    long long found = 0;
    for (long long at = 0; at < size; at += window) {
        const size_t len = (size_t)(size - at < window ? size - at : window);
        void *map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, (off_t)at);
        if (map == MAP_FAILED)
            return found;
        if (mincore(map, len, pages) == 0) {
            for (size_t i = 0; i < (len + (size_t)page - 1) / (size_t)page; i++)
                found += (pages[i] & 1) ? page : 0;
        }
        munmap(map, len);
    }
    return found;
}

int main(void)
{
    char path[4096];
    long long files = 0, bytes = 0, left = 0;
    while (fgets(path, sizeof path, stdin)) {
        struct stat st;
        path[strcspn(path, "\n")] = '\0';
        const int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
            posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0) {
            files++;
            bytes += st.st_size;
            left += resident(fd, st.st_size);
        }
        if (fd >= 0)
            close(fd);
    }
    printf("%lld files, %.1f MB, %.1f MB still in memory\n", files, (double)bytes / 1e6, (double)left / 1e6);
    return files > 0 ? 0 : 1;
}
#else
int main(void)
{
    fputs("uncache: needs Linux\n", stderr);
    return 1;
}
#endif
