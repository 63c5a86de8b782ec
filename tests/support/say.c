/* say.c - runs the synthesiser into a file, and decodes the file. */
#include "tests/support/say.h"

#include <string.h>

#include "shared/audio/decode.h"
#include "tests/support/child.h"
#include "tests/support/scratch.h"

const char *const say_voices[] = {
    "flite:slt",       "flite:rms",          "flite:awb",          "flite:kal16",        "espeak-ng:en-us",
    "espeak-ng:en-gb", "espeak-ng:en-us+f2", "espeak-ng:en-us+m3", "espeak-ng:en-gb+f4",
};
const size_t say_n_voices = sizeof say_voices / sizeof *say_voices, say_n_flite = 4;

enum { SAY_MS = 20000 };

static bool run(const char *voice, const char *text, const char *path)
{
    static const char flite[] = "flite:", espeak[] = "espeak-ng:";
    const char *by_flite[] = {"flite", "-voice", voice + sizeof flite - 1, "-t", text, "-o", path, NULL};
    const char *by_espeak[] = {"espeak-ng", "-v", voice + sizeof espeak - 1, "-w", path, "--", text, NULL};
    const bool is_flite = strncmp(voice, flite, sizeof flite - 1) == 0;
    child c = {0};
    /* posix_spawn takes its arguments as char *, and changes none. */
    return child_start((char *const *)(is_flite ? by_flite : by_espeak), CHILD_STDOUT, &c) &&
           child_end(&c, SAY_MS) == 0;
}

bool say(const char *voice, const char *text, vx_audio *ret_audio)
{
    scratch s = scratch_make();
    char path[128];
    vx_buf file = {0};
    bool ok = run(voice, text, scratch_path(&s, "said.wav", path, sizeof path));
    if (ok) {
        file = scratch_read(&s, "said.wav");
        ok = vx_audio_decode(file.data, file.len, VX_FORMAT_WAV, 0, ret_audio, NULL) == VX_OK;
    }
    vx_buf_done(&file);
    scratch_done(&s);
    return ok;
}
