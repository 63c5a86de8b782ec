/* store_fixture.c - folders, seeded recordings, and what a store holds as text. */
#include "tests/support/store_fixture.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/store/store_private.h"
#include "edge/store/utterances.h"
#include "tests/support/stats.h"

enum { SLOTS = 64, PATHS = 64, PATH_CAP = 512 };

/* ---- folders ------------------------------------------------------------------------------------------------------ */

void store_folder_make(char ret_folder[STORE_FIXTURE_CAP])
{
    (void)snprintf(ret_folder, STORE_FIXTURE_CAP, "/tmp/voxlock-store-XXXXXX");
    if (!mkdtemp(ret_folder))
        fail_msg("cannot make a folder in /tmp");
}

const char *store_folder_path(const char *folder, const char *name)
{
    static char paths[PATHS][PATH_CAP];
    static unsigned next;
    char *path = paths[next++ % PATHS];
    (void)snprintf(path, PATH_CAP, "%s/%s", folder, name);
    return path;
}

void store_folder_clear(const char *folder, bool remove)
{
    DIR *dir = opendir(folder);
    char path[PATH_CAP];
    struct stat st;
    for (struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
            store_folder_clear(path, true);
        else
            (void)unlink(path);
    }
    if (dir)
        (void)closedir(dir);
    if (remove)
        (void)rmdir(folder);
}

/* ---- stores ------------------------------------------------------------------------------------------------------- */

vx_err store_try(const char *folder, const char *vfs, vx_store **ret_store, vx_errinfo *info)
{
    const vx_store_options options = {
        .folder = folder, .keyring = VX_KEYRING_FILE, .create = true, .busy_ms = 2000, .vfs = vfs};
    return vx_store_open(&options, ret_store, info);
}

vx_store *store_start(const char *folder)
{
    vx_store *store = NULL;
    vx_errinfo info = {0};
    if (store_try(folder, NULL, &store, &info) != VX_OK)
        fail_msg("cannot open the store: %s %s", info.path, info.text);
    return store;
}

void store_assert_whole(vx_store *store)
{
    vx_errinfo info = {0};
    int64_t n;
    if (vx_store_check(store, &info) != VX_OK || vx_audit_verify(store, &n, &info) != VX_OK)
        fail_msg("the store is not whole: %s", info.text);
}

/* ---- things to store ---------------------------------------------------------------------------------------------- */

vx_model_digest fixture_model(uint8_t model)
{
    vx_model_digest digest = {{model, 0x5a}};
    return digest;
}

vx_embedding fixture_embedding(uint64_t seed, uint8_t model, int dim)
{
    float raw[VX_EMBEDDING_MAX_DIM] = {0};
    vx_embedding embedding = {.dim = 0};
    const vx_model_digest digest = fixture_model(model);
    for (int i = 0; i < dim; i++)
        raw[i] = (float)(stats_random(&seed) >> 40) / (float)(1 << 24) - 0.5f;
    if (vx_embedding_from_raw(&digest, raw, dim, &embedding) != VX_OK)
        fail_msg("no embedding of %d numbers", dim);
    return embedding;
}

vx_new_sample fixture_sample(uint64_t seed, uint8_t model, double score, const char *microphone)
{
    static float clips[SLOTS][FIXTURE_CLIP];
    static vx_embedding embeddings[SLOTS];
    static unsigned next;
    const unsigned slot = next++ % SLOTS;
    embeddings[slot] = fixture_embedding(seed, model, FIXTURE_DIM);
    for (int i = 0; i < FIXTURE_CLIP; i++)
        clips[slot][i] = (float)(int16_t)(stats_random(&seed) >> 48) / 32768.0f;
    return (vx_new_sample){
        .samples = clips[slot],
        .n = FIXTURE_CLIP,
        .quality = {.seconds = 0.1,
                    .speech_s = 0.08,
                    .speech_share = 0.8,
                    .speech_dbfs = -20,
                    .noise_dbfs = -60,
                    .snr_db = 40,
                    .clipped_share = 0,
                    .score = score},
        .microphone = microphone,
        .taken_ms = (int64_t)(1700000000000 + (seed & 0xffff)),
        .embedding = &embeddings[slot],
    };
}

/* ---- what a store holds ------------------------------------------------------------------------------------------- */

/* FNV-1a: tells two recordings apart. */
static uint64_t digest_of(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

static vx_err show_sample(vx_store *store, const vx_sample *s, vx_buf *out, vx_errinfo *info)
{
    float *pcm = NULL;
    size_t n = 0;
    vx_err err = s->has_audio ? vx_store_sample_audio(store, s->id, &pcm, &n, info) : VX_OK;
    if (err == VX_OK)
        err = vx_buf_printf(out, "  sample %lld '%s' %.3f audio %zu %016llx\n", (long long)s->id, s->microphone,
                            s->quality.score, n, (unsigned long long)digest_of(pcm, n * sizeof *pcm));
    free(pcm);
    return err;
}

static vx_err show_vectors(vx_store *store, const vx_speaker *speaker, vx_buf *out, vx_errinfo *info)
{
    for (int model = 0; model < 4; model++) {
        const vx_model_digest digest = fixture_model((uint8_t)model);
        vx_exemplar *list = NULL;
        size_t n = 0;
        vx_err err = vx_store_exemplars(store, speaker->id, &digest, &list, &n, NULL);
        if (err != VX_OK && err != VX_ERR_NOT_FOUND)
            return vx_errinfo_set(info, err, "the voiceprints of '%s' do not open", speaker->name);
        for (size_t i = 0; i < n; i++)
            err = vx_buf_printf(
                out, "  vector %d of %lld: %016llx\n", model, (long long)list[i].sample,
                (unsigned long long)digest_of(list[i].embedding.values,
                                              (size_t)list[i].embedding.dim * sizeof list[i].embedding.values[0]));
        free(list);
    }
    return VX_OK;
}

static vx_err show_utterance(void *arg, const vx_utterance *u)
{
    return vx_buf_printf(arg, "  utterance %d %lld %lld %zu %016llx\n", (int)u->kind, (long long)u->n,
                         (long long)u->taken_ms, u->len, (unsigned long long)digest_of(u->bytes, u->len));
}

static vx_err show_speaker(vx_store *store, const vx_speaker *s, vx_buf *out, vx_errinfo *info)
{
    vx_sample *list = NULL;
    size_t n = 0;
    vx_err err = vx_buf_printf(out, "speaker %lld '%s' armed %d starter %d\n", (long long)s->id, s->name, s->armed,
                               s->starter_accepted);
    if (err == VX_OK)
        err = vx_store_samples(store, s->id, NULL, &list, &n, info);
    for (size_t i = 0; err == VX_OK && i < n; i++)
        err = show_sample(store, &list[i], out, info);
    free(list);
    if (err == VX_OK)
        err = vx_store_utterances(store, s->id, show_utterance, out, info);
    return err == VX_OK ? show_vectors(store, s, out, info) : err;
}

static vx_err show_attempt(void *arg, const vx_attempt_record *r)
{
    return vx_buf_printf(arg, "attempt %lld %s '%s' %s %s\n", (long long)r->id, r->command, r->speaker,
                         vx_verdict_name(r->verdict), r->detail);
}

static vx_err show_entry(void *arg, const vx_audit_entry *e)
{
    return vx_buf_printf(arg, "audit %lld %s '%s' %s\n", (long long)e->n, e->kind, e->subject, e->detail);
}

/* No function lists the values, so the names come from the table. */
static vx_err show_values(vx_store *store, vx_buf *out, vx_errinfo *info)
{
    sqlite3_stmt *rows = NULL;
    bool row = true;
    vx_store_lock(store);
    vx_err err = vx_store_prepare(store, &rows, info, "SELECT name FROM vals ORDER BY name", "");
    while (err == VX_OK && (err = vx_store_step(store, rows, &row, info)) == VX_OK && row) {
        const char *name = (const char *)sqlite3_column_text(rows, 0);
        vx_buf value = {0};
        err = vx_store_get(store, name, &value, info);
        if (err == VX_OK)
            err = vx_buf_printf(out, "value %s %016llx\n", name, (unsigned long long)digest_of(value.data, value.len));
        vx_buf_wipe_done(&value);
    }
    sqlite3_finalize(rows);
    vx_store_unlock(store);
    return err;
}

char *store_picture(vx_store *store, vx_errinfo *info)
{
    vx_speaker *speakers = NULL;
    size_t n = 0;
    vx_buf out = {0};
    vx_err err = vx_store_speakers(store, &speakers, &n, info);
    for (size_t i = 0; err == VX_OK && i < n; i++)
        err = show_speaker(store, &speakers[i], &out, info);
    if (err == VX_OK)
        err = vx_attempt_walk(store, NULL, 0, show_attempt, &out, info);
    if (err == VX_OK)
        err = show_values(store, &out, info);
    if (err == VX_OK)
        err = vx_audit_walk(store, 0, show_entry, &out, info);
    free(speakers);
    if (err == VX_OK)
        err = vx_buf_printf(&out, "end\n");
    if (err != VX_OK) {
        vx_buf_done(&out);
        return NULL;
    }
    return (char *)out.data;
}

int fixture_set_up(void **state)
{
    static store_fixture f;
    store_folder_make(f.folder);
    f.store = store_start(f.folder);
    *state = &f;
    return 0;
}

int fixture_tear_down(void **state)
{
    store_fixture *f = *state;
    store_assert_whole(f->store);
    vx_store_close(f->store);
    store_folder_clear(f->folder, true);
    return 0;
}

void fixture_enrol(vx_store *store, const char *name, const vx_new_sample *samples, size_t n, bool replace, int kept,
                   int dropped)
{
    vx_enrolled enrolled;
    vx_errinfo info = {0};
    if (vx_store_enrol(store, name, samples, n, replace, &enrolled, &info) != VX_OK)
        fail_msg("enrolment: %s", info.text);
    assert_int_equal(enrolled.n_kept, kept);
    assert_int_equal(enrolled.n_dropped, dropped);
}

vx_speaker fixture_speaker(vx_store *store, const char *name)
{
    vx_speaker speaker = {0};
    assert_int_equal(vx_store_speaker(store, name, &speaker, NULL), VX_OK);
    return speaker;
}
