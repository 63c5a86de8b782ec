/* tame.h - text from elsewhere, made harmless for a terminal. */
#ifndef VX_BASE_TAME_H
#define VX_BASE_TAME_H

/* Replaces what could steer a terminal by '?', in place: the control characters of ASCII, and U+0080 to U+009F. */
void vx_tame(char *text);

#endif
