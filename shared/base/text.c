/* text.c - formatted pieces, appended until the first failure. */
#include "shared/base/text.h"

#include <stdarg.h>

void vx_text_put(vx_text *text, const char *fmt, ...)
{
    va_list args;
    if (text->err != VX_OK)
        return;
    va_start(args, fmt);
    text->err = vx_buf_vprintf(text->out, fmt, args);
    va_end(args);
}

void vx_text_char(vx_text *text, char c)
{
    if (text->err == VX_OK)
        text->err = vx_buf_append(text->out, &c, 1);
}
