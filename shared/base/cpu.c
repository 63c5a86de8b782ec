/* cpu.c - usable CPUs, instruction sets and resident memory, asked of the operating system and of CPUID.
 * Owns:   reading cgroup files, CPUID and XCR0. Does not: cache an answer (callers ask once, at start) or pick kernels.
 */
#include "shared/base/cpu.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__linux__)
#include <sched.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#elif defined(__APPLE__)
#include <mach/mach.h>
#include <sys/sysctl.h>
#endif
#if defined(__GLIBC__)
#include <dlfcn.h>
#include <malloc.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* A line of /proc/self/cgroup is an id, controller names and a path; the kernel bounds the path by PATH_MAX. */
#define CGROUP_PATH_CAP 4096
#define CGROUP_LINE_CAP (CGROUP_PATH_CAP + 256)

/* ---- CPUs ---------------------------------------------------------------------------------------------------- */

/* The file folder/name as text of at most cap - 1 characters. */
static bool read_small(const char *folder, const char *name, char *ret_text, size_t cap)
{
    char path[2 * CGROUP_PATH_CAP];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return false;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool ok = fgets(ret_text, (int)cap, file) != NULL;
    fclose(file);
    return ok;
}

/* CPUs that a quota gives, rounded up: 1.5 CPUs run two threads better than one. INT_MAX where nothing binds: "max" in
 * v2 and -1 in v1 are not positive numbers. */
static int quota_cpus(const char *quota_text, const char *period_text)
{
    char *end;
    errno = 0;
    long long quota = strtoll(quota_text, &end, 10);
    if (end == quota_text || errno != 0 || quota <= 0)
        return INT_MAX;
    long long period = strtoll(period_text, &end, 10);
    if (end == period_text || errno != 0 || period <= 0)
        return INT_MAX;
    long long cpus = quota / period + (quota % period != 0);
    return cpus > INT_MAX ? INT_MAX : (int)cpus;
}

static int folder_cpus_v2(const char *folder)
{
    char text[64];
    if (!read_small(folder, "cpu.max", text, sizeof text))
        return INT_MAX;
    const char *space = strchr(text, ' ');
    return space == NULL ? INT_MAX : quota_cpus(text, space);
}

static int folder_cpus_v1(const char *folder)
{
    char quota[32], period[32];
    if (!read_small(folder, "cpu.cfs_quota_us", quota, sizeof quota) ||
        !read_small(folder, "cpu.cfs_period_us", period, sizeof period))
        return INT_MAX;
    return quota_cpus(quota, period);
}

/* The smallest quota from mount/path up to the mount itself. Inside a container the path may name folders of the host
 * that do not exist below the mount; those are passed over, and the mount's own files then hold the quota. */
static int walk_cpus(const char *mount, const char *path, int (*folder_cpus)(const char *folder))
{
    char folder[2 * CGROUP_PATH_CAP];
    size_t n_mount = strlen(mount);
    int n = snprintf(folder, sizeof folder, "%s%s", mount, path);
    if (n < 0 || (size_t)n >= sizeof folder)
        return INT_MAX;

    int least = INT_MAX;
    for (;;) {
        int cpus = folder_cpus(folder);
        if (cpus < least)
            least = cpus;
        char *slash = strrchr(folder + n_mount, '/');
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, n) == 0 && (at[n] == '\0' || at[n] == ','))
            return true;
    }
    return false;
}

/* One line "id:controllers:path". No controllers means the v2 tree; v1 mounts "cpu" under its controller list. */
static int line_cpus(const char *cgroup_root, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (path == NULL)
        return INT_MAX;
    controllers++;
    *path++ = '\0';
    if (*controllers == '\0')
        return walk_cpus(cgroup_root, path, folder_cpus_v2);
    if (!has_word(controllers, "cpu"))
        return INT_MAX;

    char mount[CGROUP_PATH_CAP];
    int n = snprintf(mount, sizeof mount, "%s/%s", cgroup_root, controllers);
    if (n < 0 || (size_t)n >= sizeof mount)
        return INT_MAX;
    return walk_cpus(mount, path, folder_cpus_v1);
}

int vx_cpu_count_from(const char *cgroup_root, const char *self_cgroup, int host)
{
    int least = host;
    FILE *file = fopen(self_cgroup, "re");
    if (file != NULL) {
        char line[CGROUP_LINE_CAP];
        while (fgets(line, sizeof line, file) != NULL) {
            int cpus = line_cpus(cgroup_root, line);
            if (cpus < least)
                least = cpus;
        }
        fclose(file);
    }
    return least < 1 ? 1 : least;
}

static int host_cpus(void)
{
#if defined(__linux__)
    cpu_set_t set; /* fails with EINVAL on hosts of more than 1,024 CPUs: the online count then serves */
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return CPU_COUNT(&set);
#elif defined(__APPLE__)
    int active = 0;
    size_t size = sizeof active;
    if (sysctlbyname("hw.activecpu", &active, &size, NULL, 0) == 0)
        return active;
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : online > INT_MAX ? INT_MAX : (int)online;
}

int vx_cpu_count(void)
{
    return vx_cpu_count_from("/sys/fs/cgroup", "/proc/self/cgroup", host_cpus());
}

/* ---- instruction sets ---------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
/* Feature bits by leaf and register, as the processor manuals number them; cpuid.h names differ between compilers. */
enum {
    LEAF1_ECX_FMA = 1 << 12,
    LEAF1_ECX_OSXSAVE = 1 << 27,
    LEAF1_ECX_AVX = 1 << 28,
    LEAF7_EBX_AVX2 = 1 << 5,
    LEAF7_EBX_AVX512F = 1 << 16,
    LEAF7_EBX_AVX512DQ = 1 << 17,
    LEAF7_EBX_AVX512BW = 1 << 30,
    LEAF7_ECX_AVX512VBMI = 1 << 1,
    LEAF7_ECX_AVX512VNNI = 1 << 11,
    LEAF7_EDX_AMX = 1 << 22 | 1 << 24 | 1 << 25, /* BF16, TILE, INT8 */
    LEAF7_1_EAX_AVXVNNI = 1 << 4,                /* of subleaf 1 */
    LEAF7_1_EAX_AVX512BF16 = 1 << 5,
    XCR0_YMM = 0x06,      /* SSE and AVX state */
    XCR0_ZMM = 0xE6,      /* these, mask registers, and both halves of the ZMM file */
    XCR0_TILES = 0x60000, /* shapes of tiles, and tiles */
};
#define LEAF7_EBX_AVX512VL (1u << 31)

typedef struct {
    bool avx2, avx_vnni, avx512, avx512_vnni, avx512_bf16, avx512vbmi, amx;
} x86_features;

static uint32_t read_xcr0(void)
{
    uint32_t low, high;
    /* The intrinsic would need -mxsave for this whole file. */
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static bool has_all(uint32_t value, uint32_t bits)
{
    return (value & bits) == bits;
}

/* A feature counts only if the OS saves its registers on a context switch, which XCR0 states. macOS turns the ZMM bits
 * on at a thread's first use, so AVX-512 reads as absent there: AVX2 is then used. */
static x86_features detect_x86(void)
{
    x86_features found = {0};
    uint32_t eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !has_all(ecx, LEAF1_ECX_OSXSAVE | LEAF1_ECX_AVX | LEAF1_ECX_FMA))
        return found;
    uint32_t xcr0 = read_xcr0();
    if (!has_all(xcr0, XCR0_YMM) || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
        return found;
    found.avx2 = has_all(ebx, LEAF7_EBX_AVX2);
    found.avx512 = found.avx2 && has_all(xcr0, XCR0_ZMM) &&
                   has_all(ebx, LEAF7_EBX_AVX512F | LEAF7_EBX_AVX512DQ | LEAF7_EBX_AVX512BW | LEAF7_EBX_AVX512VL);
    found.avx512vbmi = found.avx512 && has_all(ecx, LEAF7_ECX_AVX512VBMI);
    found.avx512_vnni = found.avx512 && has_all(ecx, LEAF7_ECX_AVX512VNNI);
    const bool amx = has_all(xcr0, XCR0_TILES) && has_all(edx, LEAF7_EDX_AMX);
    /* Leaf 7's EAX is the number of its last subleaf. */
    if (eax < 1 || !__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx))
        return found;
    found.avx_vnni = found.avx2 && has_all(eax, LEAF7_1_EAX_AVXVNNI);
    found.avx512_bf16 = found.avx512_vnni && has_all(eax, LEAF7_1_EAX_AVX512BF16);
    found.amx = found.avx512_bf16 && amx;
    return found;
}

/* Tiles are 8 KiB that a context switch has to save, so Linux (since 5.16) lets only those use them that ask; others get
 * SIGILL. Granted once, it holds for the process, and asking again changes nothing. */
static bool may_use_tiles(void)
{
#if defined(__linux__)
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* their names are missing from older headers */
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
#else
    return false; /* no Mac has them */
#endif
}
#elif defined(__aarch64__)
static bool has_neon_dot(void)
{
#if defined(__APPLE__)
    int found = 0;
    size_t size = sizeof found;
    return sysctlbyname("hw.optional.arm.FEAT_DotProd", &found, &size, NULL, 0) == 0 && found;
#else
    enum { HWCAP_BIT_ASIMDDP = 1 << 20 }; /* its name is missing from older headers */
    return (getauxval(AT_HWCAP) & HWCAP_BIT_ASIMDDP) != 0;
#endif
}
#endif

bool vx_isa_available(vx_isa isa)
{
    switch (isa) {
    case VX_ISA_SCALAR: return true;
#if defined(__x86_64__)
    case VX_ISA_AVX2: return detect_x86().avx2;
    case VX_ISA_AVX_VNNI: return detect_x86().avx_vnni;
    case VX_ISA_AVX512: return detect_x86().avx512;
    case VX_ISA_AVX512_VNNI: return detect_x86().avx512_vnni;
    case VX_ISA_AVX512_BF16: return detect_x86().avx512_bf16;
    case VX_ISA_AMX: return detect_x86().amx && may_use_tiles();
#elif defined(__aarch64__)
    case VX_ISA_NEON: return true; /* part of the base architecture */
    case VX_ISA_NEON_DOT: return has_neon_dot();
#endif
    default: return false;
    }
}

vx_isa vx_isa_best(void)
{
    int isa = VX_ISA_LAST;
    while (!vx_isa_available((vx_isa)isa)) /* SCALAR always is */
        isa--;
    return (vx_isa)isa;
}

vx_isa vx_isa_base(vx_isa isa)
{
    switch (isa) {
    case VX_ISA_NEON_DOT: return VX_ISA_NEON;
    case VX_ISA_AVX_VNNI: return VX_ISA_AVX2;
    case VX_ISA_AVX512_VNNI:
    case VX_ISA_AVX512_BF16:
    case VX_ISA_AMX: return VX_ISA_AVX512;
    default: return isa;
    }
}

const char *vx_isa_name(vx_isa isa)
{
    switch (isa) {
    case VX_ISA_SCALAR: return "scalar";
    case VX_ISA_NEON: return "neon";
    case VX_ISA_NEON_DOT: return "neondot";
    case VX_ISA_AVX2: return "avx2";
    case VX_ISA_AVX_VNNI: return "avxvnni";
    case VX_ISA_AVX512: return "avx512";
    case VX_ISA_AVX512_VNNI: return "avx512vnni";
    case VX_ISA_AVX512_BF16: return "avx512bf16";
    case VX_ISA_AMX: return "amx";
    }
    return "unknown";
}

bool vx_cpu_has_avx512vbmi(void)
{
#if defined(__x86_64__)
    return detect_x86().avx512vbmi;
#else
    return false;
#endif
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

unsigned long long vx_rss_bytes(void)
{
#if defined(__APPLE__)
    mach_task_basic_info_data_t task;
    mach_msg_type_number_t count = MACH_TASK_BASIC_INFO_COUNT;
    if (task_info(mach_task_self(), MACH_TASK_BASIC_INFO, (task_info_t)&task, &count) != KERN_SUCCESS)
        return 0;
    return task.resident_size;
#else
    /* statm: total and resident size, in pages */
    char text[128], *at, *end;
    if (!read_small("/proc/self", "statm", text, sizeof text) || (at = strchr(text, ' ')) == NULL)
        return 0;
    unsigned long long pages = strtoull(at, &end, 10);
    long page_bytes = sysconf(_SC_PAGESIZE);
    return end == at || page_bytes < 1 ? 0 : pages * (unsigned long long)page_bytes;
#endif
}

void vx_heap_trim(void)
{
#if defined(__GLIBC__)
    /* Where another malloc is in use, a sanitizer's or a preloaded one, malloc_trim first sets glibc's own up; two threads
     * that do so at once end the process when they end. */
    Dl_info owner;
    void *in_use = dlsym(RTLD_DEFAULT, "malloc");
    if (in_use && dladdr(in_use, &owner) != 0 && owner.dli_fname && strstr(owner.dli_fname, "libc.so"))
        (void)malloc_trim(0);
#endif
}

#if defined(__linux__)
/* VmHWM of /proc/self/status, 0 if it is not there. getrusage would not do: its peak survives exec, so that a program
 * started by a large one reports its parent's. */
static unsigned long long high_water_bytes(void)
{
    static const char key[] = "VmHWM:";
    FILE *file = fopen("/proc/self/status", "re");
    if (file == NULL)
        return 0;
    unsigned long long kib = 0;
    char line[256];
    while (kib == 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, sizeof key - 1) == 0)
            kib = strtoull(line + sizeof key - 1, NULL, 10);
    fclose(file);
    return kib * 1024;
}
#endif

unsigned long long vx_rss_peak_bytes(void)
{
#if defined(__linux__)
    unsigned long long peak = high_water_bytes();
    if (peak > 0)
        return peak;
#endif
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0 || usage.ru_maxrss < 0)
        return 0;
#if defined(__APPLE__)
    return (unsigned long long)usage.ru_maxrss; /* bytes here, KiB on Linux */
#else
    return (unsigned long long)usage.ru_maxrss * 1024u;
#endif
}
