/* test_memory.c - recorded outputs of Macs and Linux machines, each way to break them, and a vm_stat that misbehaves. */
#include "edge/route/memory.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/base/file.h"
#include "tests/support/alloc_fail.h"

#define GIB (1ull << 30)

static vx_buf read_data(const char *path)
{
    vx_buf text = {0};
    assert_int_equal(vx_file_read(path, 1 << 16, &text, NULL), VX_OK);
    return text;
}

/* A text in a block of its own length, so that ASan sees a byte read behind it. */
static char *exact(const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    return copy;
}

static const vx_memory UNTOUCHED = {7, 7, 7, 7};

static void assert_untouched(const vx_memory *memory)
{
    assert_memory_equal(memory, &UNTOUCHED, sizeof UNTOUCHED);
}

/* ---- recorded ---------------------------------------------------------------------------------------------------- */

static void macs_of_all_generations_are_understood(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        uint64_t total_gib, available_bytes;
        double pressure;
    } rows[] = {
        {"tests/data/vm_stat/intel_8gib.txt", 8, 690249ull * 4096, 0.6708636},
        {"tests/data/vm_stat/intel_32gib.txt", 32, 7198410ull * 4096, 0.1418827},
        {"tests/data/vm_stat/silicon_24gib.txt", 24, 466032ull * 16384, 0.7037048},
        {"tests/data/vm_stat/silicon_8gib.txt", 8, 112857ull * 16384, 0.7847424},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        vx_buf text = read_data(rows[i].path);
        vx_memory memory = UNTOUCHED;
        vx_errinfo info = {0};
        if (vx_memory_from_vm_stat((char *)text.data, text.len, rows[i].total_gib * GIB, &memory, &info) != VX_OK)
            fail_msg("%s: %s", rows[i].path, info.text);
        assert_true(memory.total_bytes == rows[i].total_gib * GIB);
        assert_true(memory.available_bytes == rows[i].available_bytes);
        assert_true(fabs(memory.pressure - rows[i].pressure) < 1e-7);
        assert_true(memory.psi_full == -1);
        vx_buf_done(&text);
    }
}

/* A system that knows no purgeable pages is none this program runs on: a wrong sum would be worse than none. */
static void a_field_that_is_missing_is_named(void **state)
{
    (void)state;
    vx_buf text = read_data("tests/data/vm_stat/intel_10_6.txt");
    vx_memory memory = UNTOUCHED;
    vx_errinfo info = {0};
    assert_int_equal(vx_memory_from_vm_stat((char *)text.data, text.len, 2 * GIB, &memory, &info), VX_ERR_RANGE);
    assert_non_null(strstr(info.text, "Pages purgeable"));
    assert_non_null(strstr(info.text, "missing"));
    assert_untouched(&memory);
    vx_buf_done(&text);
}

static void linux_is_understood_with_and_without_psi(void **state)
{
    (void)state;
    static const struct {
        const char *meminfo, *psi;
        uint64_t total_kb, available_kb;
        double pressure, psi_full;
    } rows[] = {
        {"linux_16gb.txt", NULL, 16268680, 8366284, 0.48574291, -1},
        {"linux_6_18.txt", NULL, 24684100, 23214752, 0.05952609, -1},
        {"linux_6_18.txt", "psi_calm.txt", 24684100, 23214752, 0.05952609, 0},
        {"linux_16gb.txt", "psi_stalled.txt", 16268680, 8366284, 0.95, 38.92},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[128];
        vx_buf psi = {0};
        vx_memory memory = UNTOUCHED;
        assert_int_equal(vx_path_join("tests/data/meminfo", rows[i].meminfo, path, sizeof path), VX_OK);
        vx_buf meminfo = read_data(path);
        if (rows[i].psi) {
            assert_int_equal(vx_path_join("tests/data/meminfo", rows[i].psi, path, sizeof path), VX_OK);
            psi = read_data(path);
        }
        assert_int_equal(
            vx_memory_from_meminfo((char *)meminfo.data, meminfo.len, (char *)psi.data, psi.len, &memory, NULL), VX_OK);
        if (memory.total_bytes != rows[i].total_kb * 1024 || memory.available_bytes != rows[i].available_kb * 1024 ||
            fabs(memory.pressure - rows[i].pressure) > 1e-7 || fabs(memory.psi_full - rows[i].psi_full) > 1e-9)
            fail_msg("row %zu: pressure %.9g, psi %.9g", i, memory.pressure, memory.psi_full);
        vx_buf_done(&meminfo);
        vx_buf_done(&psi);
    }
}

static void this_computer_is_understood(void **state)
{
    (void)state;
    vx_memory memory;
    vx_errinfo info = {0};
    if (vx_memory_read(&memory, &info) != VX_OK)
        fail_msg("%s", info.text);
    assert_true(memory.total_bytes > 64 << 20 && memory.available_bytes <= memory.total_bytes);
    assert_true(memory.pressure >= 0 && memory.pressure <= 1);
    print_message("# %.1f GiB, pressure %.2f, psi %.2f\n", (double)memory.total_bytes / (double)GIB, memory.pressure,
                  memory.psi_full);
}

/* ---- texts of all kinds ------------------------------------------------------------------------------------------ */

static void meminfo_is_read_by_name_and_checked(void **state)
{
    (void)state;
    static const struct {
        const char *text, *psi;
        const char *complaint; /* NULL: fine */
        double pressure;
    } rows[] = {
        {"MemAvailable: 250 kB\nSomething: new\n\nno colon\nMemTotal:\t1000 kB", NULL, NULL, 0.75},
        {"MemTotal: 1000 kB\nMemAvailable: 0 kB  \n", NULL, NULL, 1},
        {"MemTotal: 1000 kB\nMemAvailable: 1000 kB\n", NULL, NULL, 0},
        {"MemTotal: 1000 kB\nMemTotalHigh: x\nMemAvailable: 1000 kB\n", NULL, NULL, 0},
        {"", NULL, "MemTotal", 0},
        {"MemTotal: 1000 kB\nMemFree: 900 kB\n", NULL, "MemAvailable", 0},
        {"xMemTotal: 1000 kB\nMemAvailable: 1 kB\n", NULL, "MemTotal", 0},
        {"MemTotal: 1000 kB\nMemAvailable: 1 kB\nMemTotal: 1000 kB\n", NULL, "twice", 0},
        {"MemTotal: 1000 kB\nMemAvailable: -1 kB\n", NULL, "MemAvailable", 0},
        {"MemTotal: +1000 kB\nMemAvailable: 1 kB\n", NULL, "MemTotal", 0},
        {"MemTotal: 1000\nMemAvailable: 1 kB\n", NULL, "unit", 0},
        {"MemTotal: 1000 MB\nMemAvailable: 1 kB\n", NULL, "unit", 0},
        {"MemTotal: 1000 kB 5\nMemAvailable: 1 kB\n", NULL, "something else", 0},
        {"MemTotal: kB\nMemAvailable: 1 kB\n", NULL, "MemTotal", 0},
        {"MemTotal:\n1000 kB\nMemAvailable: 1 kB\n", NULL, "MemTotal", 0},
        {"MemTotal: 0x10 kB\nMemAvailable: 1 kB\n", NULL, "MemTotal", 0},
        {"MemTotal: 0 kB\nMemAvailable: 0 kB\n", NULL, "no amount", 0},
        {"MemTotal: 1000 kB\nMemAvailable: 1001 kB\n", NULL, "more than there is", 0},
        {"MemTotal: 18446744073709551615 kB\nMemAvailable: 1 kB\n", NULL, "no amount", 0},
        {"MemTotal: 18446744073709551616 kB\nMemAvailable: 1 kB\n", NULL, "MemTotal", 0},
        {"MemTotal: 99999999999999999999999 kB\nMemAvailable: 1 kB\n", NULL, "MemTotal", 0},
        {"MemTotal: 1000 kB\nMemAvailable: 500 kB\n", "full avg10=9.99 avg60=0.00", NULL, 0.5},
        {"MemTotal: 1000 kB\nMemAvailable: 500 kB\n", "full avg10=10.00 avg60=0.00", NULL, 0.95},
        {"MemTotal: 1000 kB\nMemAvailable: 10 kB\n", "some avg10=1.00\nfull avg10=100.00 x", NULL, 0.99},
        {"MemTotal: 1000 kB\nMemAvailable: 10 kB\n", "some avg10=1.00 avg60=0.00\n", "full avg10", 0},
        {"MemTotal: 1000 kB\nMemAvailable: 10 kB\n", "full avg10=-1.00", "percentage", 0},
        {"MemTotal: 1000 kB\nMemAvailable: 10 kB\n", "full avg10=nan", "percentage", 0},
        {"MemTotal: 1000 kB\nMemAvailable: 10 kB\n", "full avg10=1,00", "percentage", 0},
        {"MemTotal: 1000 kB\nMemAvailable: 10 kB\n", "full avg10=101.00", "percentage", 0},
        {"MemTotal: 1000 kB\nMemAvailable: 10 kB\n", "full avg10=1.", "percentage", 0},
        {"MemTotal: 1000 kB\nMemAvailable: 10 kB\n", "", "full avg10", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        vx_memory memory = UNTOUCHED;
        vx_errinfo info = {0};
        char *text = exact(rows[i].text, strlen(rows[i].text));
        char *psi = rows[i].psi ? exact(rows[i].psi, strlen(rows[i].psi)) : NULL;
        vx_err err = vx_memory_from_meminfo(text, strlen(rows[i].text), psi, rows[i].psi ? strlen(rows[i].psi) : 0,
                                            &memory, &info);
        if (rows[i].complaint) {
            if (err != VX_ERR_RANGE || !strstr(info.text, rows[i].complaint))
                fail_msg("row %zu: %d, %s", i, err, info.text);
            assert_untouched(&memory);
        } else if (err != VX_OK || fabs(memory.pressure - rows[i].pressure) > 1e-9) {
            fail_msg("row %zu: %d, %s, %.9g", i, err, info.text, memory.pressure);
        }
        free(text);
        free(psi);
    }
}

#define HEADING "Mach Virtual Memory Statistics: (page size of 4096 bytes)\n"
#define FREE    "Pages free:         100.\n"
#define REST    "Pages inactive: 50.\nPages speculative: 30.\nPages purgeable: 20.\n"

static void vm_stat_is_read_by_name_and_checked(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t total_pages; /* of 4096 bytes */
        const char *complaint;
        double pressure;
    } rows[] = {
        {HEADING FREE REST, 1000, NULL, 0.8},
        {HEADING REST "\"A new one\": 5 of 7\n" FREE, 1000, NULL, 0.8},
        {HEADING FREE REST, 200, NULL, 0},
        {HEADING FREE REST, 150, NULL, 0}, /* purgeable pages counted twice */
        {HEADING FREE REST, 99, "more than there is", 0},
        {HEADING FREE REST, 0, "hw.memsize", 0},
        {FREE REST, 1000, "page size", 0},
        {"", 1000, "page size", 0},
        {"\n" HEADING FREE REST, 1000, "page size", 0},
        {"Mach Virtual Memory Statistics: (page size of 0 bytes)\n" FREE REST, 1000, "page size", 0},
        {"Mach Virtual Memory Statistics: (page size of 5000 bytes)\n" FREE REST, 1000, "page size", 0},
        {"Mach Virtual Memory Statistics: (page size of -4096 bytes)\n" FREE REST, 1000, "page size", 0},
        {"Mach Virtual Memory Statistics: (page size of 2097152 bytes)\n" FREE REST, 1000, "page size", 0},
        {"Mach Virtual Memory Statistics: (page size of 4096\n" FREE REST, 1000, "page size", 0},
        {HEADING REST, 1000, "Pages free", 0},
        {HEADING FREE "Pages inactive: 50.\nPages speculative: 30.\n", 1000, "Pages purgeable", 0},
        {HEADING FREE "Pages purgeable: 1.\nPages inactive: 50.\n", 1000, "Pages speculative", 0},
        {HEADING FREE "Pages purgeable: 1.\nPages speculative: 30.\n", 1000, "Pages inactive", 0},
        {HEADING FREE FREE REST, 1000, "twice", 0},
        {HEADING "Pages free: -100.\n" REST, 1000, "Pages free", 0},
        {HEADING "Pages free: 100\n" REST, 1000, "unit", 0},
        {HEADING "Pages free: 100. 7.\n" REST, 1000, "something else", 0},
        {HEADING "Pages free: 18446744073709551617.\n" REST, 1000, "Pages free", 0},
        {HEADING "Pages free: 18446744073709551615.\n" REST, 1000, "more than there is", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        vx_memory memory = UNTOUCHED;
        vx_errinfo info = {0};
        char *text = exact(rows[i].text, strlen(rows[i].text));
        vx_err err = vx_memory_from_vm_stat(text, strlen(rows[i].text), rows[i].total_pages * 4096, &memory, &info);
        if (rows[i].complaint) {
            if (err != VX_ERR_RANGE || !strstr(info.text, rows[i].complaint))
                fail_msg("row %zu: %d, %s", i, err, info.text);
            assert_untouched(&memory);
        } else if (err != VX_OK || fabs(memory.pressure - rows[i].pressure) > 1e-9) {
            fail_msg("row %zu: %d, %s, %.9g", i, err, info.text, memory.pressure);
        }
        free(text);
    }
}

/* A text cut off anywhere is refused, or all that counts was there already. */
static void cut_texts_are_refused_or_right(void **state)
{
    (void)state;
    vx_buf text = read_data("tests/data/vm_stat/silicon_8gib.txt");
    for (size_t len = 0; len <= text.len; len++) {
        vx_memory memory = UNTOUCHED;
        char *cut = exact((char *)text.data, len);
        if (vx_memory_from_vm_stat(cut, len, 8 * GIB, &memory, NULL) == VX_OK)
            assert_true(memory.available_bytes == 112857ull * 16384);
        else
            assert_untouched(&memory);
        free(cut);
    }
    vx_buf_done(&text);
}

/* ---- a program --------------------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/voxlock-memory-XXXXXX";
static char program[sizeof folder + 16];

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    return vx_path_join(folder, "vm_stat", program, sizeof program) == VX_OK ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    (void)unlink(program);
    return rmdir(folder);
}

static void write_program(const char *script)
{
    (void)unlink(program);
    FILE *file = fopen(program, "w");
    assert_non_null(file);
    assert_true(fprintf(file, "#!/bin/sh\n%s\n", script) > 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(program, 0700), 0);
}

static vx_err ask(unsigned ms, vx_memory *memory, vx_errinfo *info)
{
    return vx_memory_ask_vm_stat(program, vx_now_ns() + ms * 1000000ull, 8 * GIB, memory, info);
}

static void a_program_is_run_and_its_output_read(void **state)
{
    (void)state;
    vx_memory memory = UNTOUCHED;
    vx_errinfo info = {0};
    write_program("[ -z \"$HOME\" ] && [ \"$LC_ALL\" = C ] && exec /bin/cat tests/data/vm_stat/silicon_8gib.txt");
    if (ask(20000, &memory, &info) != VX_OK)
        fail_msg("%s", info.text);
    assert_true(memory.available_bytes == 112857ull * 16384);
}

static void a_program_that_misbehaves_is_ended(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        unsigned ms;
        vx_err want;
    } rows[] = {
        {"exec /bin/sleep 100", 50, VX_ERR_DEADLINE},
        {"trap '' TERM; while :; do :; done", 50, VX_ERR_DEADLINE},
        {"exec >&-; exec /bin/sleep 100", 50, VX_ERR_DEADLINE}, /* nothing to read, and it stays */
        {"exec /bin/cat /dev/zero", 20000, VX_ERR_RANGE},       /* talks without end */
        {"/bin/cat tests/data/vm_stat/silicon_8gib.txt; exit 3", 20000, VX_ERR_IO},
        {"kill -9 $$", 20000, VX_ERR_IO},
        {"exit 0", 20000, VX_ERR_RANGE},
        {"echo hello", 20000, VX_ERR_RANGE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        vx_memory memory = UNTOUCHED;
        vx_errinfo info = {0};
        write_program(rows[i].script);
        vx_err err = ask(rows[i].ms, &memory, &info);
        if (err != rows[i].want || info.code != err)
            fail_msg("row %zu: %d, %s", i, err, info.text);
        assert_untouched(&memory);
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombie is left */
}

static void a_program_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    vx_memory memory = UNTOUCHED;
    vx_errinfo info = {0};
    (void)unlink(program);
    assert_int_equal(ask(20000, &memory, &info), VX_ERR_UNSUPPORTED);
    assert_non_null(strstr(info.text, program));
    assert_untouched(&memory);
}

/* No file descriptor stays open, whatever happened above. */
static void no_descriptor_is_left(void **state)
{
    (void)state;
    const int before = open("/dev/null", O_RDONLY);
    close(before);
    a_program_is_run_and_its_output_read(state);
    a_program_that_misbehaves_is_ended(state);
    a_program_that_is_not_there_is_an_error(state);
    const int after = open("/dev/null", O_RDONLY);
    close(after);
    assert_int_equal(after, before);
}

static vx_err ask_once(void *ctx)
{
    (void)ctx;
    vx_memory memory;
    return ask(20000, &memory, NULL);
}

static void memory_that_runs_out_is_told(void **state)
{
    (void)state;
    write_program("exec /bin/cat tests/data/vm_stat/intel_8gib.txt");
    vx_alloc_fail_each(ask_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(macs_of_all_generations_are_understood),
        cmocka_unit_test(a_field_that_is_missing_is_named),
        cmocka_unit_test(linux_is_understood_with_and_without_psi),
        cmocka_unit_test(this_computer_is_understood),
        cmocka_unit_test(meminfo_is_read_by_name_and_checked),
        cmocka_unit_test(vm_stat_is_read_by_name_and_checked),
        cmocka_unit_test(cut_texts_are_refused_or_right),
        cmocka_unit_test(a_program_is_run_and_its_output_read),
        cmocka_unit_test(a_program_that_misbehaves_is_ended),
        cmocka_unit_test(a_program_that_is_not_there_is_an_error),
        cmocka_unit_test(no_descriptor_is_left),
        cmocka_unit_test(memory_that_runs_out_is_told),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
