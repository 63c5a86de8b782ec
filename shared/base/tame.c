/* tame.c - names of files, devices and people come from elsewhere, and a control character in one could rewrite the screen. */
#include "shared/base/tame.h"

void vx_tame(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        if (*c < 0x20 || *c == 0x7f)
            *c = '?';
        else if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) /* U+0080 to U+009F in UTF-8 */
            c[0] = c[1] = '?';
    }
}
