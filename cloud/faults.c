/* faults.c - faults on purpose. Empty in the product. */
#include "cloud/faults.h"

#if defined(VX_FAULTS)
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Set once, before any thread starts. */
static const char *faults_path = "";

void vx_faults_use(const vx_options *options)
{
    faults_path = vx_option_text(options, "VOXLOCK_TEST_FAULTS");
}

static void pause_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

vx_err vx_fault_inference(void)
{
    char words[128] = "";
    FILE *file = faults_path[0] ? fopen(faults_path, "r") : NULL;
    if (!file)
        return VX_OK;
    size_t n = fread(words, 1, sizeof words - 1, file);
    words[n] = '\0';
    fclose(file);
    if (strstr(words, "slow"))
        pause_ms(300);
    if (strstr(words, "stuck"))
        pause_ms(3000);
    if (strstr(words, "memory"))
        return VX_ERR_NOMEM;
    return strstr(words, "engine") ? VX_ERR_ENGINE : VX_OK;
}
#else
/* ISO C wants something in a file. */
typedef int vx_faults_none;
#endif
