/* memory.c - the texts in which Linux and macOS tell of their memory, and the share in use.
 * Owns:   both formats. Does not: run vm_stat (memory_vm_stat.c).
 */
#include "edge/route/memory.h"

#include <stdbool.h>
#include <string.h>

#include "shared/base/bytes.h"
#include "shared/base/clock.h"
#include "shared/base/file.h"

#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif

/* With every task waiting for memory a tenth of the time, the computer is felt to stutter, whatever the share that is
 * called available: the kernel counts page cache in there that it fetches back from the disk again and again. (The
 * systemd-oomd of a desktop starts to kill at 50 to 60 % over 20 to 30 s.) */
#define PSI_STALLED      10.0
#define PRESSURE_STALLED 0.95

enum { MEMINFO_MAX = 1 << 16, PSI_MAX = 4096 };

/* ---- lines of text ---- */

typedef struct {
    const char *at, *end;
} span;

/* The next line without its end; false when there is none. */
static bool next_line(span *text, span *ret_line)
{
    if (text->at == text->end)
        return false;
    const char *newline = memchr(text->at, '\n', (size_t)(text->end - text->at));
    *ret_line = (span){text->at, newline ? newline : text->end};
    text->at = newline ? newline + 1 : text->end;
    return true;
}

static bool skip_text(span *line, const char *text)
{
    const size_t n = strlen(text);
    if ((size_t)(line->end - line->at) < n || memcmp(line->at, text, n) != 0)
        return false;
    line->at += n;
    return true;
}

static void skip_blanks(span *line)
{
    while (line->at < line->end && (*line->at == ' ' || *line->at == '\t'))
        line->at++;
}

/* One digit or more; false, too, when the number does not fit. strtoull would take a sign, and a line that is no text. */
static bool skip_number(span *line, uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *begin = line->at;
    for (; line->at < line->end && *line->at >= '0' && *line->at <= '9'; line->at++) {
        const unsigned digit = (unsigned)(*line->at - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *ret_number = number;
    return line->at > begin;
}

/* ---- fields by name ---- */

typedef struct {
    const char *name; /* with its colon */
    uint64_t value;
    bool found;
} field;

static vx_err fail(vx_errinfo *info, const char *name, const char *what)
{
    return vx_errinfo_set(info, VX_ERR_RANGE, "the system's memory statistics: \"%s\" %s", name, what);
}

static vx_err read_field(span line, const char *unit, field *f, vx_errinfo *info)
{
    if (f->found)
        return fail(info, f->name, "is there twice");
    skip_blanks(&line);
    if (!skip_number(&line, &f->value) || !skip_text(&line, unit))
        return fail(info, f->name, "is not a number with its unit");
    skip_blanks(&line);
    if (line.at != line.end)
        return fail(info, f->name, "is followed by something else");
    f->found = true;
    return VX_OK;
}

/* Each of the fields once. Lines that hold none of them are skipped, so that a newer system may tell more.
 * unit [in] what follows each number */
static vx_err read_fields(span text, const char *unit, field *fields, size_t n, vx_errinfo *info)
{
    span line;
    while (next_line(&text, &line)) {
        for (size_t i = 0; i < n; i++) {
            span rest = line;
            if (!skip_text(&rest, fields[i].name))
                continue;
            vx_err err = read_field(rest, unit, &fields[i], info);
            if (err != VX_OK)
                return err;
            break;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (!fields[i].found)
            return fail(info, fields[i].name, "is missing");
    return VX_OK;
}

/* ---- Linux ---- */

/* "full avg10=1.23 avg60=...": the kernel writes two digits behind the point. Not strtod, whose point is the locale's. */
static vx_err read_psi(span text, double *ret_full, vx_errinfo *info)
{
    static const char name[] = "full avg10";
    span line;
    while (next_line(&text, &line)) {
        uint64_t whole, hundredths;
        if (!skip_text(&line, "full avg10="))
            continue;
        if (!skip_number(&line, &whole) || !skip_text(&line, ".") || !skip_number(&line, &hundredths) ||
            hundredths > 99 || whole > 100)
            return fail(info, name, "is not a percentage");
        *ret_full = (double)whole + (double)hundredths / 100;
        return VX_OK;
    }
    return fail(info, name, "is missing");
}

static vx_memory memory_of(uint64_t total_bytes, uint64_t available_bytes, double psi_full)
{
    double pressure = 1 - (double)available_bytes / (double)total_bytes;
    if (psi_full >= PSI_STALLED && pressure < PRESSURE_STALLED)
        pressure = PRESSURE_STALLED;
    return (vx_memory){total_bytes, available_bytes, pressure, psi_full};
}

vx_err vx_memory_from_meminfo(const char *meminfo, size_t len, const char *psi, size_t psi_len, vx_memory *ret,
                              vx_errinfo *info)
{
    field fields[] = {{.name = "MemTotal:"}, {.name = "MemAvailable:"}}, *total = &fields[0], *available = &fields[1];
    double psi_full = -1;
    vx_err err = read_fields((span){meminfo, meminfo + len}, " kB", fields, 2, info);
    if (err == VX_OK && psi)
        err = read_psi((span){psi, psi + psi_len}, &psi_full, info);
    if (err != VX_OK)
        return err;
    if (total->value == 0 || total->value > UINT64_MAX / 1024)
        return fail(info, total->name, "is no amount of memory");
    if (available->value > total->value)
        return fail(info, available->name, "is more than there is");
    *ret = memory_of(total->value * 1024, available->value * 1024, psi_full);
    return VX_OK;
}

/* ---- macOS ---- */

/* "Mach Virtual Memory Statistics: (page size of 16384 bytes)": 4096 on Intel, 16384 on Apple silicon. */
static vx_err read_page_size(span *text, uint64_t *ret_bytes, vx_errinfo *info)
{
    span line;
    uint64_t bytes;
    if (!next_line(text, &line) || !skip_text(&line, "Mach Virtual Memory Statistics: (page size of ") ||
        !skip_number(&line, &bytes) || !skip_text(&line, " bytes)"))
        return fail(info, "page size", "is missing: this is not what vm_stat prints");
    if (bytes < 1024 || bytes > 1 << 20 || (bytes & (bytes - 1)) != 0)
        return fail(info, "page size", "is no power of two between 1 KiB and 1 MiB");
    *ret_bytes = bytes;
    return VX_OK;
}

vx_err vx_memory_from_vm_stat(const char *text, size_t len, uint64_t total_bytes, vx_memory *ret, vx_errinfo *info)
{
    field fields[] = {{.name = "Pages free:"},
                      {.name = "Pages inactive:"},
                      {.name = "Pages speculative:"},
                      {.name = "Pages purgeable:"}};
    enum { N = sizeof fields / sizeof *fields };
    span rest = {text, text + len};
    uint64_t page = 1, pages = 0;
    vx_err err = read_page_size(&rest, &page, info);
    if (err == VX_OK)
        err = read_fields(rest, ".", fields, N, info);
    if (err != VX_OK)
        return err;
    const uint64_t total_pages = total_bytes / page;
    if (total_pages == 0)
        return fail(info, "hw.memsize", "is no amount of memory");
    for (size_t i = 0; i < N; i++) {
        if (fields[i].value > total_pages)
            return fail(info, fields[i].name, "is more than there is");
        pages += fields[i].value;
    }
    /* Purgeable pages may be counted among the inactive ones, too. */
    *ret = memory_of(total_bytes, (pages < total_pages ? pages : total_pages) * page, -1);
    return VX_OK;
}

/* ---- this computer ---- */

#if defined(__APPLE__)
/* Text instead of host_statistics64(): in that structure speculative pages are among the free ones, counters grow from
 * one version of the system to the next, and nothing recorded on somebody's Mac could be replayed in a test. The price
 * is a process for some milliseconds. */
vx_err vx_memory_read(vx_memory *ret, vx_errinfo *info)
{
    uint64_t total = 0;
    size_t size = sizeof total;
    if (sysctlbyname("hw.memsize", &total, &size, NULL, 0) != 0 || size != sizeof total)
        return vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "the system does not tell how much memory it has");
    return vx_memory_ask_vm_stat("/usr/bin/vm_stat", vx_now_ns() + 1000000000u, total, ret, info);
}
#else
vx_err vx_memory_read(vx_memory *ret, vx_errinfo *info)
{
    vx_buf meminfo = {0}, psi = {0};
    vx_err err = vx_file_read("/proc/meminfo", MEMINFO_MAX, &meminfo, info);
    if (err == VX_OK) {
        /* Kernels without PSI have no such file, or one that cannot be read. */
        const bool told = vx_file_read("/proc/pressure/memory", PSI_MAX, &psi, NULL) == VX_OK;
        err = vx_memory_from_meminfo((const char *)meminfo.data, meminfo.len, told ? (const char *)psi.data : NULL,
                                     psi.len, ret, info);
    }
    vx_buf_done(&meminfo);
    vx_buf_done(&psi);
    return err;
}
#endif
