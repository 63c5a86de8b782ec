/* mute.h - keeps libraries from printing to standard error, and from writing home. */
#ifndef VX_BASE_MUTE_H
#define VX_BASE_MUTE_H

/* The MP3 decoder below libsndfile prints what is wrong with a recording: a client could so write into a service's log,
 * and a command's one line of error would become several. From now on the stream stderr leads nowhere; the descriptor
 * STDERR_FILENO stays, for the program's own lines (dprintf) and for what the C library says of a crash.
 * For programs, before they start threads. When /dev/null cannot be opened nothing changes. */
void vx_mute_stderr_stream(void);

/* Official builds of ONNX Runtime from 1.29 on keep an identifier of the machine in the home folder and send events to
 * their maker, unless ORT_DISABLE_TELEMETRY says otherwise before they are loaded. From now on it does, here and in child
 * processes. For programs, before they start threads: another thread may be reading the environment. */
void vx_mute_telemetry(void);

#endif
