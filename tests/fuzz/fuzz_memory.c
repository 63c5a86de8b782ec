/* fuzz_memory.c - what the system tells of memory and network: M meminfo, a zero, PSI; V vm_stat; N the tables of /proc/net,
 * zeroes between them. Whatever is accepted is within its bounds, whatever is refused leaves the result alone.
 */
#include <stdlib.h>
#include <string.h>

#include "edge/evidence/surroundings.h"
#include "edge/route/memory.h"
#include "tests/fuzz/fuzz.h"

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_memory(vx_err err, const vx_memory *memory, const vx_errinfo *info)
{
    static const vx_memory untouched = {0};
    if (err != VX_OK) {
        require(err == VX_ERR_RANGE && info->code == err && info->text[0] != '\0');
        require(memcmp(memory, &untouched, sizeof untouched) == 0);
        return;
    }
    require(memory->total_bytes > 0 && memory->available_bytes <= memory->total_bytes);
    require(memory->pressure >= 0 && memory->pressure <= 1);
    require(memory->psi_full == -1 || (memory->psi_full >= 0 && memory->psi_full < 101));
    require(memory->pressure + 1e-9 >= 1 - (double)memory->available_bytes / (double)memory->total_bytes);
}

/* Up to the next zero, which is left out. */
static vx_proc_text next_part(const char **at, const char *end)
{
    const char *zero = *at < end ? memchr(*at, '\0', (size_t)(end - *at)) : NULL;
    const vx_proc_text part = {*at, (size_t)((zero ? zero : end) - *at)};
    *at = zero ? zero + 1 : end;
    return part;
}

static void check_gateway(const char *at, const char *end)
{
    uint8_t gateway[VX_HARDWARE_ADDRESS] = {0};
    const vx_proc_text route = next_part(&at, end), arp = next_part(&at, end), route6 = next_part(&at, end);
    const bool found = vx_gateway_from_proc(route, arp, route6, gateway);
    require(found == vx_hardware_address_tells(gateway));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data + 1, *end = (const char *)data + size;
    vx_memory memory = {0};
    vx_errinfo info = {0};
    if (size == 0)
        return 0;
    if (data[0] == 'M') {
        const vx_proc_text meminfo = next_part(&at, end);
        const char *psi = at < end ? at : NULL;
        check_memory(vx_memory_from_meminfo(meminfo.text, meminfo.len, psi, (size_t)(end - at), &memory, &info),
                     &memory, &info);
    } else if (data[0] == 'V') {
        check_memory(vx_memory_from_vm_stat(at, (size_t)(end - at), 8ull << 30, &memory, &info), &memory, &info);
    } else if (data[0] == 'N') {
        check_gateway(at, end);
    }
    return 0;
}
