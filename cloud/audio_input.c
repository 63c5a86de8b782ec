/* audio_input.c - reading audio out of requests. */
#include "cloud/audio_input.h"

#include <errno.h>
#include <stdlib.h>

#include "shared/base/base64.h"
#include "shared/base/clock.h"
#include "shared/base/json.h"

/* A batch of 64 verify-sized items nests 4 deep and holds a few hundred values; 400,000 leaves room for 1,000 candidate
 * embeddings of 192 numbers, and bounds the parser to about 30 MB. */
static const vx_json_limits JSON_LIMITS = {.max_depth = 16, .max_values = 400000};

vx_audio_hint vx_audio_hint_default(void)
{
    return (vx_audio_hint){.format = VX_FORMAT_DROP_IN, .rate = VX_AUDIO_RATE};
}

static vx_err set_format(const char *name, vx_audio_format *ret_format, vx_errinfo *info)
{
    /* A name is a field's value, whatever it says: 422, where unknown bytes are 415. */
    return vx_audio_format_parse(name, ret_format, info) ? VX_ERR_JSON_FIELD : VX_OK;
}

static vx_err set_rate(int64_t rate, int *ret_rate, vx_errinfo *info)
{
    if (rate < VX_AUDIO_RATE_MIN || rate > VX_AUDIO_RATE_MAX)
        return vx_errinfo_set(info, VX_ERR_AUDIO_RATE, "the sample rate must be from %d to %d Hz, not %lld",
                              VX_AUDIO_RATE_MIN, VX_AUDIO_RATE_MAX, (long long)rate);
    *ret_rate = (int)rate;
    return VX_OK;
}

vx_err vx_audio_hint_json(const json_t *obj, const char *format_key, const char *rate_key, vx_audio_hint fallback,
                          vx_audio_hint *ret_hint, vx_errinfo *info)
{
    vx_audio_hint hint = fallback;
    const char *format = NULL;
    int64_t rate = fallback.rate;
    vx_err err = vx_json_text(obj, format_key, false, &format, NULL, info);
    if (!err && format)
        err = set_format(format, &hint.format, info);
    if (!err && vx_json_int(obj, rate_key, false, INT32_MIN, INT32_MAX, &rate, NULL))
        err = vx_errinfo_set(info, VX_ERR_JSON_FIELD, "field '%s' must be a whole number of Hz", rate_key);
    if (!err)
        err = set_rate(rate, &hint.rate, info);
    if (err)
        return err;
    *ret_hint = hint;
    return VX_OK;
}

vx_err vx_audio_hint_query(const vx_request *request, vx_audio_hint *ret_hint, vx_errinfo *info)
{
    vx_audio_hint hint = {.format = VX_FORMAT_AUTO, .rate = VX_AUDIO_RATE};
    vx_err err = request->format ? set_format(request->format, &hint.format, info) : VX_OK;
    if (!err && request->sample_rate) {
        char *end;
        errno = 0;
        long rate = strtol(request->sample_rate, &end, 10);
        if (errno || end == request->sample_rate || *end)
            err = vx_errinfo_set(info, VX_ERR_JSON_FIELD, "sample_rate in the query must be a whole number");
        else
            err = set_rate(rate, &hint.rate, info);
    }
    if (err)
        return err;
    *ret_hint = hint;
    return VX_OK;
}

vx_err vx_input_json(const vx_request *request, json_t **ret_root, vx_errinfo *info)
{
    json_t *root;
    if (request->body.len == 0)
        return vx_errinfo_set(info, VX_ERR_JSON_SYNTAX, "the body is empty; send a JSON object");
    vx_err err = vx_json_parse((const char *)request->body.data, request->body.len, JSON_LIMITS, &root, info);
    if (err)
        return err;
    if (!json_is_object(root)) {
        json_decref(root);
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "the body must be a JSON object");
    }
    *ret_root = root;
    return VX_OK;
}

vx_err vx_audio_from_bytes(vx_service *service, const void *data, size_t len, vx_audio_hint hint, vx_audio *ret_audio,
                           vx_stage_times *times, vx_errinfo *info)
{
    uint64_t start = vx_now_ns();
    vx_err err = vx_audio_decode(data, len, hint.format, hint.rate, ret_audio, info);
    double ms = vx_ms_since(start);
    times->decode_ms += ms;
    vx_service_observe(service, VX_STAGE_DECODE, ms);
    return err;
}

vx_err vx_audio_from_base64(vx_service *service, const char *what, const char *text, size_t len, vx_audio_hint hint,
                            vx_audio *ret_audio, vx_stage_times *times, vx_errinfo *info)
{
    uint64_t start = vx_now_ns();
    size_t cap = vx_base64_decoded_cap(len), n = 0, bad = 0;
    uint8_t *bytes = malloc(cap);
    if (!bytes)
        return VX_ERR_NOMEM;
    vx_err err = vx_base64_decode(text, len, bytes, &n, &bad);
    times->decode_ms += vx_ms_since(start);
    if (err)
        vx_errinfo_set(info, err, "%s is not canonical base64: see character %zu of %zu", what, bad + 1, len);
    else
        err = vx_audio_from_bytes(service, bytes, n, hint, ret_audio, times, info);
    vx_wipe(bytes, cap);
    free(bytes);
    return err;
}

vx_err vx_audio_from_field(vx_service *service, const json_t *obj, const char *key, vx_audio_hint hint,
                           vx_audio *ret_audio, vx_stage_times *times, vx_errinfo *info)
{
    const char *text = NULL;
    size_t len = 0;
    vx_err err = vx_json_text(obj, key, true, &text, &len, info);
    return err ? err : vx_audio_from_base64(service, key, text, len, hint, ret_audio, times, info);
}
