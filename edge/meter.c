/* meter.c - the level as a bar. */
#include "edge/meter.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define LEFT_DBFS   (-60.0)
#define LOWEST_DBFS (-120.0)
/* Root mean square of 10 ms: a full-scale sine has -3, so beyond this a voice has long been cut off at its peaks. */
#define LOUD_DBFS   (-6.0)
enum { FRAMES_A_PICTURE = 10 };

vx_meter vx_meter_on(int fd)
{
    return (vx_meter){.fd = fd, .terminal = isatty(fd) == 1};
}

void vx_meter_picture(const vx_vad_frame *frame, char ret_line[VX_METER_CAP])
{
    char bar[VX_METER_CELLS + 1];
    const double level = fmax(frame->level_dbfs, LOWEST_DBFS); /* what is no number, too */
    const double share = (level - LEFT_DBFS) / -LEFT_DBFS;
    const int full = (int)(fmin(fmax(share, 0), 1) * VX_METER_CELLS);
    for (int i = 0; i < VX_METER_CELLS; i++)
        bar[i] = i < full ? '#' : '.';
    bar[VX_METER_CELLS] = '\0';
    (void)snprintf(ret_line, VX_METER_CAP, "%s %4.0f dBFS  %s", bar, fmin(level, 99),
                   level > LOUD_DBFS ? "too loud"
                   : frame->speech   ? "speech"
                                     : "");
}

void vx_meter_frame(vx_meter *meter, const vx_vad_frame *frame)
{
    if (!frame)
        return;
    if (!meter->terminal) {
        if (frame->event == VX_VAD_START && !meter->speaking)
            dprintf(meter->fd, "      hearing you\n");
        meter->speaking = meter->speaking || frame->event == VX_VAD_START;
        return;
    }
    if (meter->n_frames++ % FRAMES_A_PICTURE != 0)
        return;
    char line[VX_METER_CAP];
    vx_meter_picture(frame, line);
    dprintf(meter->fd, "\r%s\033[K", line);
    meter->drawn = true;
}

void vx_meter_clear(vx_meter *meter)
{
    if (meter->drawn)
        dprintf(meter->fd, "\r\033[K");
    meter->drawn = false;
    meter->speaking = false;
    meter->n_frames = 0;
}
