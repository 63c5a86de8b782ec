/* booth.c - opens and closes what a live attempt is made of. */
#include "edge/booth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/store/password.h"
#include "edge/store/profiles.h"

/* Between digits that are read off a screen, or remembered, pauses are longer than within a sentence. Recognising where the
 * five are over was tried instead, and cut off a fifth to a third of the answers (docs/challenge.md, "The end of an
 * answer"). */
enum { ANSWER_HANG_MS = 1200 };

static vx_err open_detectors(vx_booth *b)
{
    vx_vad_params params = vx_vad_params_default();
    const vx_err err = vx_vad_create(&params, &b->vad);
    params.hang_ms = ANSWER_HANG_MS;
    return err == VX_OK ? vx_vad_create(&params, &b->answer_vad) : err;
}

static void open_recogniser(vx_booth *b)
{
    vx_errinfo why = {0};
    int found;
    double score;
    vx_err err = vx_phrase_open(NULL, &b->phrase, &why);
    if (err != VX_OK)
        (void)snprintf(b->no_phrase, sizeof b->no_phrase, "%s", vx_errinfo_text(&why, err));
    else
        err = vx_phrase_list_spot(b->phrase, &b->phrases, NULL, 0, &found, &score, &why);
    if (err != VX_OK) {
        (void)snprintf(b->no_phrases, sizeof b->no_phrases, "%s", vx_errinfo_text(&why, err));
        b->phrases.n = 0;
    }
}

vx_err vx_booth_open(const vx_booth_wish *wish, vx_booth *ret_booth, vx_errinfo *info)
{
    vx_booth b = {0};
    vx_errinfo why = {0};
    vx_err err = vx_phrase_list_read(vx_option_text(wish->settings, "VOXLOCK_PHRASES"), &b.phrases, info);
    if (err != VX_OK)
        return err;
    open_recogniser(&b);
    if (wish->phrase && b.phrases.n == 0)
        err = vx_errinfo_set(info, VX_ERR_UNSUPPORTED, "%s", b.no_phrases);
    if (err == VX_OK)
        err = open_detectors(&b);
    if (err == VX_OK)
        err = vx_capture_open(&wish->microphone, &b.capture, info);
    if (err != VX_OK) {
        vx_booth_close(&b);
        return err;
    }
    err = wish->desktop ? vx_desktop_open(&b.desktop, &why) : VX_ERR_UNSUPPORTED;
    b.has_desktop = err == VX_OK;
    if (err != VX_OK)
        (void)snprintf(b.no_desktop, sizeof b.no_desktop, "%s", vx_errinfo_text(&why, err));
    *ret_booth = b;
    return VX_OK;
}

void vx_booth_close(vx_booth *booth)
{
    if (booth->has_desktop && booth->desktop.close)
        booth->desktop.close(booth->desktop.arg);
    vx_phrase_close(booth->phrase);
    vx_vad_destroy(booth->answer_vad);
    vx_vad_destroy(booth->vad);
    vx_capture_close(booth->capture);
    *booth = (vx_booth){0};
}

static vx_err password(void *arg, vx_buf *ret, vx_errinfo *info)
{
    (void)arg;
    return vx_password_get(ret, info);
}

/* By itself a voice is heard only where nobody can read: whoever can, is faster by reading. */
static bool speaks(const vx_options *settings, bool somebody_reads)
{
    const char *speak = vx_option_text(settings, "VOXLOCK_SPEAK");
    return strcmp(speak, "on") == 0 || (strcmp(speak, "auto") == 0 && !somebody_reads);
}

vx_live vx_booth_live(vx_booth *booth, vx_runtime *runtime, bool somebody_reads)
{
    return (vx_live){.runtime = runtime,
                     .capture = booth->capture,
                     .vad = booth->vad,
                     .answer_vad = booth->answer_vad,
                     .phrase = booth->phrase,
                     .phrases = &booth->phrases,
                     .aloud = speaks(runtime->settings, somebody_reads),
                     .desktop = booth->has_desktop ? &booth->desktop : NULL,
                     .unlock = vx_unlock_options_default(),
                     .secret = password};
}

vx_err vx_booth_speaker(vx_store *store, const char *named, char ret_name[VX_NAME_CAP], vx_errinfo *info)
{
    vx_speaker *speakers = NULL;
    size_t n = 0;
    if (named) {
        (void)snprintf(ret_name, VX_NAME_CAP, "%s", named);
        return VX_OK;
    }
    vx_err err = vx_store_speakers(store, &speakers, &n, info);
    const vx_speaker *only = n == 1 ? speakers : NULL;
    int n_armed = 0;
    for (size_t i = 0; i < n && n > 1; i++) {
        n_armed += speakers[i].armed;
        only = speakers[i].armed ? &speakers[i] : only;
    }
    if (err == VX_OK && only && n_armed <= 1)
        (void)snprintf(ret_name, VX_NAME_CAP, "%s", only->name);
    else if (err == VX_OK)
        err = vx_errinfo_set(info, VX_ERR_NOT_ENROLLED,
                             n ? "several are enrolled: arm the one whose screen it is, and no other"
                               : "nobody is enrolled yet: voxlock enroll NAME");
    free(speakers);
    return err;
}
