/* check_speech.c - what understands words, and what says them: the recogniser, its model and its phrases; a synthesiser. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "edge/challenge/phrase_list.h"
#include "edge/doctor/doctor.h"

#if defined(__APPLE__)
#define ADVICE_PHRASE "docs/macos.md says what that means on a Mac: the password works as always"
#define ADVICE_SPEECH NULL
static const char *const synthesisers[] = {"say"};
#else
#define ADVICE_PHRASE "install pocketsphinx-en-us, and until then type your password where digits are asked for"
#define ADVICE_SPEECH "install espeak-ng, or set VOXLOCK_SPEAK=off"
/* As challenge/speak.c tries them. */
static const char *const synthesisers[] = {"spd-say", "espeak-ng"};
#endif

/* Without it no challenge can be passed and no phrase wakes the agent; whoever is surely the owner gets in all the same. */
void vx_check_phrase(vx_patient *patient, vx_finding *finding)
{
    vx_phrase_list phrases = {0};
    vx_phrase *phrase = NULL;
    vx_errinfo info = {0};
    int found;
    double score;
    vx_err err = vx_phrase_list_read(vx_option_text(patient->options, "VOXLOCK_PHRASES"), &phrases, &info);
    if (err != VX_OK) {
        vx_found_error(finding, VX_CHECK_FAILED, "mend VOXLOCK_PHRASES", err, &info);
        return;
    }
    err = vx_phrase_open(NULL, &phrase, &info);
    if (err != VX_OK) {
        vx_found_error(finding, VX_CHECK_WARNING, ADVICE_PHRASE, err, &info);
        return;
    }
    err = vx_phrase_list_spot(phrase, &phrases, NULL, 0, &found, &score, &info);
    vx_phrase_close(phrase);
    if (err != VX_OK)
        vx_found_error(finding, VX_CHECK_FAILED, "mend VOXLOCK_PHRASES", err, &info);
    else
        vx_found(finding, VX_CHECK_OK, NULL, "digits are understood, and %zu phrase%s: \"%s\"%s", phrases.n,
                 phrases.n == 1 ? "" : "s", phrases.texts[0], phrases.n == 1 ? "" : ", ...");
}

/* The value of a variable of main's environment; NULL when it has none. */
static const char *variable(char *const *environment, const char *name)
{
    const size_t len = strlen(name);
    for (; environment && *environment; environment++)
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
            return *environment + len + 1;
    return NULL;
}

static bool is_program(const char *path, size_t len, const char *name)
{
    char file[PATH_MAX];
    struct stat st;
    const int n = snprintf(file, sizeof file, "%.*s/%s", (int)len, path, name);
    return n > 0 && (size_t)n < sizeof file && stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0;
}

static bool is_in_path(const char *path, const char *name)
{
    for (const char *at = path; at; at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL) {
        const size_t len = strcspn(at, ":");
        if (len > 0 && len < PATH_MAX && is_program(at, len, name))
            return true;
    }
    return false;
}

/* Looked for, not run: a check makes no noise. */
void vx_check_speech(vx_patient *patient, vx_finding *finding)
{
    const char *path = variable(patient->environment, "PATH");
    if (strcmp(vx_option_text(patient->options, "VOXLOCK_SPEAK"), "off") == 0) {
        vx_found(finding, VX_CHECK_SKIPPED, NULL, "nothing is said aloud (VOXLOCK_SPEAK=off)");
        return;
    }
    for (size_t i = 0; path && i < sizeof synthesisers / sizeof *synthesisers; i++)
        if (is_in_path(path, synthesisers[i])) {
            vx_found(finding, VX_CHECK_OK, NULL, "%s says what cannot be read", synthesisers[i]);
            return;
        }
    vx_found(finding, VX_CHECK_WARNING, ADVICE_SPEECH,
             "no program speaks here: digits are asked for on the screen alone, and not at all where a phrase woke the "
             "agent");
}
