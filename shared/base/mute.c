/* mute.c - what libraries would say on their own. */
#include "shared/base/mute.h"

#include <stdio.h>
#include <stdlib.h>

/* stderr is a variable in glibc, musl's is constant, on macOS it is a macro for one. */
void vx_mute_stderr_stream(void)
{
#if defined(__GLIBC__) || defined(__APPLE__)
    FILE *nowhere = fopen("/dev/null", "w");
    if (nowhere)
        stderr = nowhere;
#endif
}

void vx_mute_telemetry(void)
{
    setenv("ORT_DISABLE_TELEMETRY", "1", 1);
}
