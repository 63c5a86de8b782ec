/* text.c - formatted pieces, appended until the first failure. */
#include "edge/text.h"

#include <stdarg.h>
#include <stdio.h>

void vx_text_put(vx_text *text, const char *fmt, ...)
{
    va_list args, again;
    if (text->err != VX_OK)
        return;
    va_start(args, fmt);
    va_copy(again, args);
    const int len = vsnprintf(NULL, 0, fmt, args);
    text->err = len < 0 ? VX_ERR_INTERNAL : vx_buf_reserve(text->out, (size_t)len + 1);
    if (text->err == VX_OK)
        text->out->len += (size_t)vsnprintf((char *)text->out->data + text->out->len, (size_t)len + 1, fmt, again);
    va_end(again);
    va_end(args);
}

void vx_text_char(vx_text *text, char c)
{
    if (text->err == VX_OK)
        text->err = vx_buf_append(text->out, &c, 1);
}
