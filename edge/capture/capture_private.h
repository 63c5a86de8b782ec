/* capture_private.h - what a source of sound offers to capture.c, and how capture.c finds one.
 * A source gives blocks as its device makes them. Everything that is the same for all of them (rates, channels, changes,
 * losses, zeros, time) is capture.c's.
 */
#ifndef VX_EDGE_CAPTURE_CAPTURE_PRIVATE_H
#define VX_EDGE_CAPTURE_CAPTURE_PRIVATE_H

#include "edge/capture/capture.h"

enum {
    VX_CAPTURE_ABI = 1,
    VX_CAPTURE_MAX_CHANNELS = 64,
    VX_CAPTURE_LOST_MS = 5000, /* a device may be gone so long before its reader is told */
};

/* What a source has now. Strings and samples are borrowed, until its next call. */
typedef struct {
    int rate, channels;               /* of the samples; 0: not known yet, and there are none */
    int native_rate, native_channels; /* of the device, where that is another; else 0 */
    const char *device;               /* NULL: not known yet */
    const float *samples;             /* [n_frames, channels], full scale 1.0 */
    size_t n_frames;
    uint64_t age_ns; /* of the first of them; at least what they last */
    bool gap;        /* sound was lost before them */
    bool muted, playback, has_playback;
    const char *program; /* whose permission counts, where the system gives silence for want of one; else NULL */
} vx_capture_block;

/* A source. Plugins link nothing of voxlock: they fill info themselves. */
typedef struct {
    int abi;
    const char *name;
    bool live;     /* a device: it may come back when it is gone, and its time is ours */
    int settle_ms; /* it does not know its format before; 0: capture.c need not wait for it */
    /* Waits for nothing that can take long. Errors: NOT_FOUND, PERMISSION, UNSUPPORTED, NOMEM, and those of decoding. */
    vx_err (*open)(const vx_capture_options *wish, void **ret_self, vx_errinfo *info);
    /* Wipes what it holds. */
    void (*close)(void *self);
    /* Waits up to timeout_ms for sound or news.
     * ret_block [out] all of it, on VX_OK; without frames when there are none
     * Errors  CLOSED (the end, after the last frame), NOT_FOUND (no device), and others, which end it */
    vx_err (*read)(void *self, int timeout_ms, vx_capture_block *ret_block, vx_errinfo *info);
    /* NULL: it has no devices. */
    vx_err (*devices)(vx_capture_device_fn *fn, void *arg, vx_errinfo *info);
} vx_capture_source;

/* Exported by vx_capture_<name>.so: VX_CAPTURE_PLUGIN_EXPORT = { ... }; */
#define VX_CAPTURE_PLUGIN_SYMBOL "vx_capture_plugin_table"
#define VX_CAPTURE_PLUGIN_EXPORT                                                                                       \
    extern const vx_capture_source vx_capture_plugin_table __attribute__((visibility("default")));                     \
    const vx_capture_source vx_capture_plugin_table

/* ---- sources ------------------------------------------------------------------------------------------------------ */

extern const vx_capture_source vx_capture_file;  /* a recording, decoded whole; source_file.c */
extern const vx_capture_source vx_capture_stdin; /* standard input, as it comes; source_stdin.c */
/* macOS: AudioQueue. Elsewhere NULL. source_macos.c */
const vx_capture_source *vx_capture_coreaudio(void);

/* The i-th source that "auto" tries, by name; NULL ends them. */
const char *vx_capture_auto_name(size_t i);
/* Errors: OPTION_VALUE (no such name), UNSUPPORTED (not in this build, or its library is missing). */
VX_MUST_CHECK vx_err vx_capture_find_source(const char *name, const vx_capture_source **ret_source, vx_errinfo *info);

/* vx_capture_open on a source that is given: for tests, of a table of their own. */
VX_MUST_CHECK vx_err vx_capture_open_on(const vx_capture_source *source, const vx_capture_options *options,
                                        vx_capture **ret_capture, vx_errinfo *info);

/* ---- what its owner should do (advice.c) -------------------------------------------------------------------------- */

/* One sentence for a state of capture, or "". lost: the device is gone. */
void vx_capture_advise(const vx_capture_state *state, bool live, bool lost, bool muted, const char *program,
                       char *ret_advice, size_t cap);

#endif
