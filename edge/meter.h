/* meter.h - how loud it is, for somebody who speaks: one line of a terminal, drawn anew ten times a second.
 * Owns:   the picture, and when it is drawn. Does not: listen, tell speech from noise (capture/vad.h).
 */
#ifndef VX_EDGE_METER_H
#define VX_EDGE_METER_H

#include <stdbool.h>

#include "edge/capture/vad.h"

enum { VX_METER_CELLS = 30, VX_METER_CAP = 80 /* no wider than a terminal, which would break the line */ };

typedef struct {
    int fd;
    bool terminal; /* elsewhere nothing is drawn: one line says that speech has begun */
    unsigned n_frames;
    bool drawn;    /* there is something to clear */
    bool speaking; /* that has been said */
} vx_meter;

/* Onto a descriptor that stays the caller's. */
vx_meter vx_meter_on(int fd);
/* For every frame of 10 ms; NULL (no sound came) is no frame. */
void vx_meter_frame(vx_meter *meter, const vx_vad_frame *frame);
/* Takes the picture away, before another line is printed there, and is ready for the next utterance. */
void vx_meter_clear(vx_meter *meter);

/* The picture: "#########.....................  -42 dBFS  speech"; -60 dBFS is its left end, full scale the right one. */
void vx_meter_picture(const vx_vad_frame *frame, char ret_line[VX_METER_CAP]);

#endif
