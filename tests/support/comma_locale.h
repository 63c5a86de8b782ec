/* comma_locale.h - puts the process into a locale that writes 0,5, for tests of code that must write 0.5. */
#ifndef VX_TESTS_COMMA_LOCALE_H
#define VX_TESTS_COMMA_LOCALE_H

#include <stdbool.h>

/* False where the system has no such locale and cannot make one: the test then skips. */
bool vx_comma_locale_enter(void);
void vx_comma_locale_leave(void);

#endif
