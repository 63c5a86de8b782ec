/* mute.h - keeps libraries from printing to standard error. */
#ifndef VX_BASE_MUTE_H
#define VX_BASE_MUTE_H

/* The MP3 decoder below libsndfile prints what is wrong with a recording: a client could so write into a service's log,
 * and a command's one line of error would become several. From now on the stream stderr leads nowhere; the descriptor
 * STDERR_FILENO stays, for the program's own lines (dprintf) and for what the C library says of a crash.
 * For programs, before they start threads. When /dev/null cannot be opened nothing changes. */
void vx_mute_stderr_stream(void);

#endif
