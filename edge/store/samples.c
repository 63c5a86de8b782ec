/* samples.c - the recordings that are kept, read back.
 * Owns:   how audio lies at rest: sealed 16-bit PCM, which is what microphones give and half of what float32 would take.
 *         Does not: choose what is kept (profiles.c) or hold voiceprints (voiceprints.c).
 */
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "edge/store/profiles_private.h"

/* Full scale 1.0 is 32768, as in the decoder: what came from 16 bits goes back to the same 16 bits. */
static const float PCM_SCALE = 32768.0f;

vx_err vx_pcm_pack(const float *samples, size_t n, vx_buf *ret_pcm)
{
    size_t len;
    if (!vx_size_mul(n, 2, &len))
        return VX_ERR_OVERFLOW;
    vx_err err = vx_buf_reserve(ret_pcm, len);
    if (err != VX_OK)
        return err;
    uint8_t *out = ret_pcm->data + ret_pcm->len;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(samples[i]))
            return VX_ERR_RANGE;
        const float scaled = fmaxf(INT16_MIN, fminf(INT16_MAX, samples[i] * PCM_SCALE));
        const uint16_t value = (uint16_t)lrintf(scaled);
        out[2 * i] = (uint8_t)value;
        out[2 * i + 1] = (uint8_t)(value >> 8);
    }
    ret_pcm->len += len;
    return VX_OK;
}

static vx_err unpack(const vx_buf *pcm, int64_t sample, float **ret_samples, size_t *ret_n, vx_errinfo *info)
{
    const size_t n = pcm->len / 2;
    if (n == 0 || pcm->len % 2 != 0)
        return vx_errinfo_set(info, VX_ERR_STORE_CORRUPT, "recording %lld holds no whole samples", (long long)sample);
    float *samples = malloc(n * sizeof *samples);
    if (!samples)
        return VX_ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        samples[i] = (float)(int16_t)vx_le16(pcm->data + 2 * i) / PCM_SCALE;
    *ret_samples = samples;
    *ret_n = n;
    return VX_OK;
}

static vx_err open_audio(vx_store *store, int64_t sample, vx_buf *ret_pcm, vx_errinfo *info)
{
    char place[VX_PLACE_CAP];
    sqlite3_stmt *rows = NULL;
    bool row = false;
    vx_err err = vx_store_prepare(store, &rows, info,
                                  "SELECT s.audio, p.id FROM samples s JOIN speakers p ON p.id = s.speaker"
                                  " WHERE s.id = ?1",
                                  "i", sample);
    if (err == VX_OK)
        err = vx_store_step(store, rows, &row, info);
    const int64_t speaker = row ? sqlite3_column_int64(rows, 1) : 0;
    /* One that is not there may have been taken from anybody. */
    if (err == VX_OK)
        err = row ? vx_profile_prove(store, speaker, info) : vx_profiles_prove(store, info);
    if (err == VX_OK && (!row || sqlite3_column_type(rows, 0) == SQLITE_NULL))
        err = vx_errinfo_set(info, VX_ERR_NOT_FOUND,
                             row ? "of recording %lld no audio is kept" : "there is no recording %lld",
                             (long long)sample);
    if (err == VX_OK) {
        const void *sealed = sqlite3_column_blob(rows, 0);
        err = vx_vault_open(store->vault, vx_place_audio(place, speaker, sample), sealed,
                            (size_t)sqlite3_column_bytes(rows, 0), ret_pcm, info);
    }
    sqlite3_finalize(rows);
    return err;
}

vx_err vx_store_sample_audio(vx_store *store, int64_t sample, float **ret_pcm, size_t *ret_n, vx_errinfo *info)
{
    vx_buf pcm = {0};
    sqlite3_stmt *hold = NULL;
    vx_err err = vx_store_hold(store, &hold, info);
    if (err == VX_OK) {
        err = open_audio(store, sample, &pcm, info);
        vx_store_release(store, hold);
    }
    if (err == VX_OK)
        err = unpack(&pcm, sample, ret_pcm, ret_n, info);
    vx_buf_wipe_done(&pcm);
    return err;
}

static void read_sample(sqlite3_stmt *row, vx_sample *ret)
{
    vx_sample s = {
        .id = sqlite3_column_int64(row, 0),
        .taken_ms = sqlite3_column_int64(row, 1),
        .quality =
            {
                .seconds = sqlite3_column_double(row, 3),
                .speech_s = sqlite3_column_double(row, 4),
                .speech_share = sqlite3_column_double(row, 5),
                .speech_dbfs = sqlite3_column_double(row, 6),
                .noise_dbfs = sqlite3_column_double(row, 7),
                .snr_db = sqlite3_column_double(row, 8),
                .clipped_share = sqlite3_column_double(row, 9),
                .score = sqlite3_column_double(row, 10),
            },
        .has_audio = sqlite3_column_int(row, 11) != 0,
        .has_embedding = sqlite3_column_int(row, 12) != 0,
    };
    vx_row_text(row, 2, s.microphone, sizeof s.microphone);
    *ret = s;
}

vx_err vx_store_samples(vx_store *store, int64_t speaker, const vx_model_digest *model, vx_sample **ret_samples,
                        size_t *ret_n, vx_errinfo *info)
{
    static const char sql[] =
        "SELECT id, taken_ms, microphone, seconds, speech_s, speech_share, speech_dbfs, noise_dbfs, snr_db,"
        " clipped_share, score, audio IS NOT NULL,"
        " EXISTS (SELECT 1 FROM embeddings NOT INDEXED WHERE sample = s.id AND model = ?2)"
        " FROM samples s NOT INDEXED WHERE speaker = ?1 ORDER BY score DESC, id DESC";
    sqlite3_stmt *hold = NULL, *rows = NULL;
    vx_buf list = {0};
    vx_sample sample;
    bool row = true;

    vx_err err = vx_store_hold(store, &hold, info);
    if (err != VX_OK)
        return err;
    err = vx_profile_prove(store, speaker, info);
    if (err == VX_OK)
        err = vx_store_prepare(store, &rows, info, sql, "ib", speaker, (const void *)model,
                               model ? sizeof model->bytes : (size_t)0);
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row) {
        read_sample(rows, &sample);
        err = vx_buf_append(&list, &sample, sizeof sample);
    }
    sqlite3_finalize(rows);
    vx_store_release(store, hold);
    if (err != VX_OK) {
        vx_buf_done(&list);
        return err;
    }
    *ret_n = list.len / sizeof sample;
    *ret_samples = (void *)list.data;
    return VX_OK;
}
