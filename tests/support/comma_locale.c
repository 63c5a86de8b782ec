/* comma_locale.c - finds a German locale, or has glibc's localedef make one in the build folder. */
#include "tests/support/comma_locale.h"

#include <locale.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

static bool enter(const char *name)
{
    char text[16];

    if (!setlocale(LC_ALL, name))
        return false;
    (void)snprintf(text, sizeof text, "%.1f", 0.5);
    return strcmp(text, "0,5") == 0;
}

static bool make_locale(void)
{
    char folder[] = VX_BUILD_DIR "/locale", locale[] = VX_BUILD_DIR "/locale/de_DE.utf8";
    char *argv[] = {"localedef", "-c", "-i", "de_DE", "-f", "UTF-8", locale, NULL};
    pid_t child;
    int status;

    (void)mkdir(folder, 0777);
    if (posix_spawnp(&child, argv[0], NULL, NULL, argv, environ) != 0 || waitpid(child, &status, 0) != child)
        return false;
    return setenv("LOCPATH", folder, 1) == 0;
}

bool vx_comma_locale_enter(void)
{
    if (enter("de_DE.UTF-8") || enter("de_DE.utf8"))
        return true;
    if (make_locale() && enter("de_DE.utf8"))
        return true;
    vx_comma_locale_leave();
    return false;
}

void vx_comma_locale_leave(void)
{
    (void)setlocale(LC_ALL, "C");
}
