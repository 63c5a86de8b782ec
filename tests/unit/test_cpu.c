/* test_cpu.c - CPU counts from made-up cgroup trees, instruction sets against the compiler's own detection, memory. */
#include "shared/base/cpu.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#endif

#include <setjmp.h>

#include <cmocka.h>

/* Sanitizers bring an allocator of their own. gcc and clang tell of them in different ways. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VX_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define VX_SANITIZED
#endif
#endif

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- a cgroup tree that exists only for one case ------------------------------------------------------------- */

#define MAX_FILES    6

typedef struct {
    const char *label;
    const char *self_cgroup; /* NULL: the file does not exist */
    int host;
    int want;
    struct {
        const char *path, *content;
    } files[MAX_FILES];
} cgroup_case;

static const cgroup_case cases[] = {
    {"no cgroup file", NULL, 8, 8, {{"cpu.max", "100000 100000\n"}}},
    {"host below one", NULL, 0, 1, {{0}}},
    {"v2 unlimited", "0::/\n", 8, 8, {{"cpu.max", "max 100000\n"}}},
    {"v2 no files", "0::/a/b\n", 8, 8, {{0}}},
    {"v2 whole CPUs", "0::/\n", 8, 2, {{"cpu.max", "200000 100000\n"}}},
    {"v2 rounds up", "0::/\n", 8, 2, {{"cpu.max", "100001 100000\n"}}},
    {"v2 a fraction", "0::/\n", 8, 1, {{"cpu.max", "5000 100000\n"}}},
    {"v2 other period", "0::/\n", 8, 3, {{"cpu.max", "60000 20000\n"}}},
    {"v2 above the host", "0::/\n", 2, 2, {{"cpu.max", "900000 100000\n"}}},
    {"v2 no line feed at the end", "0::/", 8, 2, {{"cpu.max", "200000 100000"}}},
    {"v2 leaf binds", "0::/a/b\n", 8, 1, {{"a/b/cpu.max", "100000 100000\n"}, {"a/cpu.max", "300000 100000\n"}}},
    {"v2 parent binds", "0::/a/b\n", 8, 3, {{"a/b/cpu.max", "max 100000\n"}, {"a/cpu.max", "300000 100000\n"}}},
    {"v2 root binds", "0::/a/b\n", 8, 2, {{"a/b/cpu.max", "400000 100000\n"}, {"cpu.max", "200000 100000\n"}}},
    {"v2 another group does not", "0::/a\n", 8, 8, {{"b/cpu.max", "100000 100000\n"}}},
    {"v2 path of the host, files of the container", "0::/docker/abc\n", 8, 2, {{"cpu.max", "200000 100000\n"}}},
    {"v2 group outside the namespace", "0::/../x\n", 8, 2, {{"cpu.max", "200000 100000\n"}}},
    {"v2 garbage", "0::/\n", 8, 8, {{"cpu.max", "lots of it\n"}}},
    {"v2 empty", "0::/\n", 8, 8, {{"cpu.max", ""}}},
    {"v2 one number", "0::/\n", 8, 8, {{"cpu.max", "200000\n"}}},
    {"v2 period zero", "0::/\n", 8, 8, {{"cpu.max", "200000 0\n"}}},
    {"v2 negative", "0::/\n", 8, 8, {{"cpu.max", "-200000 100000\n"}}},
    {"v2 too large for 64 bits", "0::/\n", 8, 8, {{"cpu.max", "99999999999999999999999 100000\n"}}},
    {"v2 more CPUs than an int", "0::/\n", 8, 8, {{"cpu.max", "9223372036854775807 1\n"}}},
    {"v1 unlimited",
     "4:cpu,cpuacct:/\n",
     8,
     8,
     {{"cpu,cpuacct/cpu.cfs_quota_us", "-1\n"}, {"cpu,cpuacct/cpu.cfs_period_us", "100000\n"}}},
    {"v1 rounds up",
     "4:cpu,cpuacct:/\n",
     8,
     3,
     {{"cpu,cpuacct/cpu.cfs_quota_us", "250000\n"}, {"cpu,cpuacct/cpu.cfs_period_us", "100000\n"}}},
    {"v1 parent binds",
     "9:memory:/m\n4:cpuacct,cpu:/a/b\n",
     8,
     1,
     {{"cpuacct,cpu/a/cpu.cfs_quota_us", "50000\n"},
      {"cpuacct,cpu/a/cpu.cfs_period_us", "100000\n"},
      {"cpuacct,cpu/a/b/cpu.cfs_quota_us", "-1\n"},
      {"cpuacct,cpu/a/b/cpu.cfs_period_us", "100000\n"}}},
    {"v1 cpuset and cpuacct are not cpu",
     "2:cpuset:/\n3:cpuacct:/\n",
     8,
     8,
     {{"cpuset/cpu.cfs_quota_us", "100000\n"},
      {"cpuset/cpu.cfs_period_us", "100000\n"},
      {"cpuacct/cpu.cfs_quota_us", "100000\n"},
      {"cpuacct/cpu.cfs_period_us", "100000\n"}}},
    {"v1 without a period", "4:cpu:/\n", 8, 8, {{"cpu/cpu.cfs_quota_us", "100000\n"}}},
    {"v1 beside an empty v2",
     "1:cpu:/\n0::/\n",
     8,
     2,
     {{"cpu/cpu.cfs_quota_us", "200000\n"}, {"cpu/cpu.cfs_period_us", "100000\n"}}},
    {"lines that are none", "\n:\n::\nabc\n0:\n4:cpu\n", 8, 8, {{"a/cpu.max", "100000 100000\n"}}},
};

static void put(const char *root, const char *path, const char *content)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        assert_true(mkdir(full, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(full, "wb");
    assert_non_null(file);
    assert_true(fputs(content, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* Removes what put made: the file, and its folders once they are empty. */
static void take_back(const char *root, const char *path)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", root, path);
    unlink(full);
    for (char *slash; (slash = strrchr(full + strlen(root) + 1, '/')) != NULL;) {
        *slash = '\0';
        if (rmdir(full) != 0)
            return;
    }
}

static int count_of(const cgroup_case *c)
{
    char root[] = "/tmp/vx_test_cpu_XXXXXX", self[64];
    assert_non_null(mkdtemp(root));
    snprintf(self, sizeof self, "%s/self", root);
    if (c->self_cgroup != NULL)
        put(root, "self", c->self_cgroup);
    for (size_t i = 0; i < MAX_FILES && c->files[i].path != NULL; i++)
        put(root, c->files[i].path, c->files[i].content);

    int got = vx_cpu_count_from(root, self, c->host);

    for (size_t i = 0; i < MAX_FILES && c->files[i].path != NULL; i++)
        take_back(root, c->files[i].path);
    unlink(self);
    assert_int_equal(rmdir(root), 0);
    return got;
}

static void quotas_bind(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int got = count_of(&cases[i]);
        if (got != cases[i].want)
            fail_msg("%s: %d CPUs, want %d", cases[i].label, got, cases[i].want);
    }
}

/* Lines longer than any path the kernel gives must not overrun or be taken for two. */
static void endless_lines_are_harmless(void **state)
{
    (void)state;
    static char line[20000];
    static const char head[] = "0::/";
    memset(line, 'a', sizeof line - 2);
    memcpy(line, head, sizeof head - 1);
    line[sizeof line - 2] = '\n';
    cgroup_case c = {"endless", line, 8, 8, {{"x/cpu.max", "100000 100000\n"}}};
    assert_int_equal(count_of(&c), 8);
}

static void this_machine_has_a_cpu(void **state)
{
    (void)state;
    int count = vx_cpu_count();
    assert_in_range(count, 1, (uintmax_t)sysconf(_SC_NPROCESSORS_CONF));
}

static void affinity_binds(void **state)
{
    (void)state;
#if defined(__linux__)
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &before))
            CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    int count = vx_cpu_count();
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(count, 1);
#else
    skip(); /* no scheduling mask here */
#endif
}

/* ---- instruction sets ---------------------------------------------------------------------------------------- */

static void levels_agree_with_the_compiler(void **state)
{
    (void)state;
    assert_true(vx_isa_available(VX_ISA_SCALAR));
    assert_false(vx_isa_available((vx_isa)99));
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#if defined(__APPLE__)
    avx512 = vx_isa_available(VX_ISA_AVX512); /* the compiler trusts the lazy ZMM state there, cpu.c does not */
#endif
    assert_int_equal(vx_isa_available(VX_ISA_AVX2), avx2);
    assert_int_equal(vx_isa_available(VX_ISA_AVX512), avx512);
    assert_int_equal(vx_cpu_has_avx512vbmi(), avx512 && __builtin_cpu_supports("avx512vbmi"));
    assert_false(vx_isa_available(VX_ISA_NEON));
    assert_int_equal(vx_isa_available(VX_ISA_AVX512_VNNI), avx512 && __builtin_cpu_supports("avx512vnni"));
    assert_false(vx_isa_available(VX_ISA_NEON_DOT));
    assert_int_equal(vx_isa_base(vx_isa_best()), avx512 ? VX_ISA_AVX512 : avx2 ? VX_ISA_AVX2 : VX_ISA_SCALAR);
#elif defined(__aarch64__)
    assert_true(vx_isa_available(VX_ISA_NEON));
    assert_false(vx_isa_available(VX_ISA_AVX2));
    assert_false(vx_cpu_has_avx512vbmi());
    assert_int_equal(vx_isa_base(vx_isa_best()), VX_ISA_NEON);
#endif
    for (int isa = VX_ISA_SCALAR; isa <= VX_ISA_LAST; isa++) {
        assert_true(isa <= (int)vx_isa_best() || !vx_isa_available((vx_isa)isa));
        /* An extension without the vectors that it extends would be of no use. */
        assert_true(!vx_isa_available((vx_isa)isa) || vx_isa_available(vx_isa_base((vx_isa)isa)));
    }
}

#if defined(__linux__) && defined(__x86_64__)
/* A word of the flags that the kernel found. */
static bool proc_says(const char *flag)
{
    char line[8192], word[64];
    snprintf(word, sizeof word, " %s ", flag);
    bool found = false;
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = ' ';
        found = strncmp(line, "flags", 5) == 0 && strstr(line, word);
    }
    if (file)
        fclose(file);
    return found;
}
#endif

/* The kernel shows flags of AMX where it would save its registers, and may still refuse it to a process; what it granted
 * can be asked for. */
static void amx_is_there_where_it_is_permitted(void **state)
{
    (void)state;
    const bool there = vx_isa_available(VX_ISA_AMX);
    assert_int_equal(vx_isa_available(VX_ISA_AMX), there);
    assert_string_equal(vx_isa_name(VX_ISA_AMX), "amx");
#if defined(__linux__) && defined(__x86_64__)
    const bool flags =
        proc_says("amx_tile") && proc_says("amx_bf16") && proc_says("amx_int8") && proc_says("avx512_bf16");
    enum { GET_PERMISSION = 0x1022, TILE_DATA = 18 };
    unsigned long long permitted = 0;
    const bool asked = syscall(SYS_arch_prctl, GET_PERMISSION, &permitted) == 0;
    printf("# amx: %s\n", there ? "permitted" : flags ? "refused" : "not there");
    assert_int_equal(there, flags && asked && (permitted >> TILE_DATA & 1) != 0);
#else
    assert_false(there);
#endif
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_string_equal(vx_isa_name(VX_ISA_SCALAR), "scalar");
    assert_string_equal(vx_isa_name(VX_ISA_NEON), "neon");
    assert_string_equal(vx_isa_name(VX_ISA_AVX2), "avx2");
    assert_string_equal(vx_isa_name(VX_ISA_AVX512), "avx512");
    assert_string_equal(vx_isa_name((vx_isa)99), "unknown");
    for (int isa = VX_ISA_SCALAR; isa <= VX_ISA_LAST; isa++)
        for (int other = VX_ISA_SCALAR; other < isa; other++)
            assert_string_not_equal(vx_isa_name((vx_isa)isa), vx_isa_name((vx_isa)other));
}

/* ---- memory -------------------------------------------------------------------------------------------------- */

/* 64 MiB touched must show now, be gone from "now" after unmapping, and stay in the peak. Half is asked for: the kernel
 * counts pages per thread and folds them in later. The upper bounds leave room for the shadow memory of sanitizers,
 * and still see a mistaken unit. */
static void resident_memory_follows_use(void **state)
{
    (void)state;
    const size_t size = (size_t)64 << 20;
    unsigned long long before = vx_rss_bytes();
    assert_true(before > 0);
    void *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    assert_true(block != MAP_FAILED);
    memset(block, 1, size);
    unsigned long long with = vx_rss_bytes();
    assert_int_equal(munmap(block, size), 0);
    assert_true(with >= before + size / 2);
    assert_true(with < before + 16 * (unsigned long long)size);
    assert_true(vx_rss_bytes() <= with - size / 2);
    assert_true(vx_rss_peak_bytes() >= before + size / 2);
    assert_true(vx_rss_peak_bytes() < with + 16 * (unsigned long long)size);
}

/* Small blocks come from the heap, which the last of them holds up: freed, the others stay until they are given back. */
static void freed_memory_is_given_back(void **state)
{
    (void)state;
#if !defined(__GLIBC__) || defined(VX_SANITIZED)
    vx_heap_trim(); /* has nothing to do here, and does no harm */
    skip();
#else
    enum { N = 2048, BYTES = 16384 }; /* below the size from which glibc maps a block of its own */
    static char *blocks[N];
    for (size_t i = 0; i < N; i++) {
        blocks[i] = malloc(BYTES);
        assert_non_null(blocks[i]);
        memset(blocks[i], 1, BYTES);
    }
    for (size_t i = 0; i + 1 < N; i++)
        free(blocks[i]);
    const unsigned long long before = vx_rss_bytes();
    vx_heap_trim();
    assert_true(vx_rss_bytes() <= before - N * BYTES / 2);
    free(blocks[N - 1]);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotas_bind),
        cmocka_unit_test(endless_lines_are_harmless),
        cmocka_unit_test(this_machine_has_a_cpu),
        cmocka_unit_test(affinity_binds),
        cmocka_unit_test(levels_agree_with_the_compiler),
        cmocka_unit_test(amx_is_there_where_it_is_permitted),
        cmocka_unit_test(levels_have_names),
        cmocka_unit_test(resident_memory_follows_use),
        cmocka_unit_test(freed_memory_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
