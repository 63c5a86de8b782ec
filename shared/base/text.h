/* text.h - text put together from many pieces, with one error at the end instead of one at each. */
#ifndef VX_BASE_TEXT_H
#define VX_BASE_TEXT_H

#include "shared/base/bytes.h"
#include "shared/base/err.h"

/* err is the first one; nothing is written after it. */
typedef struct {
    vx_buf *out; /* borrowed */
    vx_err err;
} vx_text;

void vx_text_put(vx_text *text, const char *fmt, ...) VX_PRINTF(2, 3);
/* One character. */
void vx_text_char(vx_text *text, char c);

#endif
