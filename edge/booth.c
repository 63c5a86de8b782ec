/* booth.c - opens and closes what a live attempt is made of. */
#include "edge/booth.h"

#include <stdio.h>
#include <stdlib.h>

#include "edge/store/password.h"
#include "edge/store/profiles.h"

vx_err vx_booth_open(const vx_capture_options *microphone, bool with_desktop, vx_booth *ret_booth, vx_errinfo *info)
{
    vx_booth b = {0};
    vx_errinfo why = {0};
    const vx_vad_params vad = vx_vad_params_default();
    vx_err err = vx_capture_open(microphone, &b.capture, info);
    if (err == VX_OK)
        err = vx_vad_create(&vad, &b.vad);
    if (err != VX_OK) {
        vx_booth_close(&b);
        return err;
    }
    err = vx_phrase_open(NULL, &b.phrase, &why);
    if (err != VX_OK)
        (void)snprintf(b.no_phrase, sizeof b.no_phrase, "%s", vx_errinfo_text(&why, err));
    why = (vx_errinfo){0};
    err = with_desktop ? vx_desktop_open(&b.desktop, &why) : VX_ERR_UNSUPPORTED;
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
    vx_vad_destroy(booth->vad);
    vx_capture_close(booth->capture);
    *booth = (vx_booth){0};
}

static vx_err password(void *arg, vx_buf *ret, vx_errinfo *info)
{
    (void)arg;
    return vx_password_get(ret, info);
}

vx_live vx_booth_live(vx_booth *booth, vx_runtime *runtime)
{
    return (vx_live){.runtime = runtime,
                     .capture = booth->capture,
                     .vad = booth->vad,
                     .phrase = booth->phrase,
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
                               : "nobody is enrolled yet: voxlock enroll NAME FILE...");
    free(speakers);
    return err;
}
