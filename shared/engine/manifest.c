/* manifest.c - reads a model folder's manifest and proves the files it names.
 * Owns:   the manifest's layout (docs/models.md), the plausible range of each value, mapping of artefacts.
 *         Does not: interpret an artefact's content, decide which strategy runs.
 */
#include "shared/engine/manifest.h"

#include <math.h>
#include <string.h>

#include "shared/base/json.h"
#include "shared/engine/proof.h"

#define MAX_MANIFEST_BYTES ((size_t)1 << 20)
#define MAX_PATH_BYTES     4096
/* Numbers beyond these are misprints, not models: SpeechBrain's public ECAPA takes 83 MB and loads in a second. */
#define MAX_ARTEFACT_BYTES 2147483647.0
#define MAX_MS             600000.0
#define MAX_CLIPS          100000
#define MAX_COHORT         10000
#define MAX_TRIALS         1000000000
#define NOT_MEASURED       (-1.0)

_Static_assert(sizeof(vx_precision) == sizeof(int), "a choice is read as an int");

/* What the text says, before the values that depend on each other have been compared. */
typedef struct {
    vx_manifest manifest;
    int format;
    int sample_rate;
    int window;
    int log_kind;
    int self_test_signal;
} document;

typedef enum {
    FIELD_TEXT,     /* char[max + 1]; min and max bound the length */
    FIELD_FILE,     /* the same, and a plain file name */
    FIELD_SHA256,   /* uint8_t[32] from 64 hex digits */
    FIELD_INT,      /* int */
    FIELD_SIZE,     /* size_t */
    FIELD_REAL,     /* double */
    FIELD_FLAG,     /* int from true or false */
    FIELD_CHOICE,   /* int: index into choices */
    FIELD_VECTOR,   /* the numbers of the manifest's self-test */
    FIELD_OBJECT,   /* an object with fields of its own, in the same struct */
    FIELD_ARTEFACTS /* the artefacts of a vx_manifest, by strategy */
} field_kind;

typedef struct field {
    const char *key;
    field_kind kind;
    bool required;
    double min, max;
    size_t offset; /* in the struct being filled */
    const char *const *choices;
    const struct field *fields;
} field;

#define AT(member)       offsetof(document, member)
#define TEXT_MAX(member) (sizeof((document *)NULL)->member - 1)
#define WEIGHT_AT(i)     (AT(manifest.score_calibration.weights) + (i) * sizeof(double))

static const char *const windows[] = {[VX_WINDOW_HAMMING] = "hamming", [VX_WINDOW_HANN] = "hann", NULL};
static const char *const log_kinds[] = {[VX_LOG_DB] = "db", [VX_LOG_NATURAL] = "natural", NULL};
static const char *const precisions[] = {[VX_PRECISION_AUTO] = "auto",
                                         [VX_PRECISION_F32] = "f32",
                                         [VX_PRECISION_BF16] = "bf16",
                                         [VX_PRECISION_INT8] = "int8",
                                         NULL};

static const char *const signals[] = {"voxlock-1", NULL}; /* VX_SELF_TEST_SIGNAL */

/* The manifest's layout, once. Each list ends with an empty key. */
static const field model_fields[] = {
    {"name", FIELD_TEXT, true, 1, TEXT_MAX(manifest.name), AT(manifest.name), NULL, NULL},
    {"source", FIELD_TEXT, true, 1, TEXT_MAX(manifest.source), AT(manifest.source), NULL, NULL},
    {"licence", FIELD_TEXT, true, 1, TEXT_MAX(manifest.licence), AT(manifest.licence), NULL, NULL},
    {"accuracy", FIELD_TEXT, false, 0, TEXT_MAX(manifest.accuracy), AT(manifest.accuracy), NULL, NULL},
    {"starter", FIELD_FLAG, false, 0, 0, AT(manifest.starter), NULL, NULL},
    {"dimension", FIELD_INT, true, 1, VX_EMBEDDING_MAX_DIM, AT(manifest.dim), NULL, NULL},
    {0},
};
static const field frontend_fields[] = {
    {"sample_rate", FIELD_INT, true, 16000, 16000, AT(sample_rate), NULL, NULL},
    {"window", FIELD_CHOICE, true, 0, 0, AT(window), windows, NULL},
    {"window_samples", FIELD_INT, true, 64, 4096, AT(manifest.fbank.window_len), NULL, NULL},
    {"hop_samples", FIELD_INT, true, 1, 4096, AT(manifest.fbank.hop), NULL, NULL},
    {"n_fft", FIELD_INT, true, 64, 4096, AT(manifest.fbank.n_fft), NULL, NULL},
    {"bands", FIELD_INT, true, 1, 256, AT(manifest.fbank.n_bands), NULL, NULL},
    {"f_min", FIELD_REAL, true, 0, 8000, AT(manifest.fbank.f_min), NULL, NULL},
    {"f_max", FIELD_REAL, true, 0, 8000, AT(manifest.fbank.f_max), NULL, NULL},
    {"log", FIELD_CHOICE, true, 0, 0, AT(log_kind), log_kinds, NULL},
    {"floor", FIELD_REAL, true, 1e-30, 1, AT(manifest.fbank.floor), NULL, NULL},
    {"top_db", FIELD_REAL, true, 0, 300, AT(manifest.fbank.top_db), NULL, NULL},
    {"mean_normalise", FIELD_FLAG, true, 0, 0, AT(manifest.fbank.subtract_mean), NULL, NULL},
    {0},
};
/* A slope of 0 or less would call unlike voices alike; the lower bound lets 0 mean "not calibrated". */
static const field calibration_fields[] = {
    {"slope", FIELD_REAL, true, 1e-3, 1000, AT(manifest.calibration_slope), NULL, NULL},
    {"offset", FIELD_REAL, true, -1000, 1000, AT(manifest.calibration_offset), NULL, NULL},
    {0},
};
static const field cohort_fields[] = {
    {"file", FIELD_FILE, true, 1, TEXT_MAX(manifest.cohort.file), AT(manifest.cohort.file), NULL, NULL},
    {"bytes", FIELD_SIZE, true, 1, MAX_ARTEFACT_BYTES, AT(manifest.cohort.bytes), NULL, NULL},
    {"sha256", FIELD_SHA256, true, 0, 0, AT(manifest.cohort.sha256), NULL, NULL},
    {"count", FIELD_INT, true, 1, MAX_COHORT, AT(manifest.cohort_count), NULL, NULL},
    {"top", FIELD_INT, true, 1, MAX_COHORT, AT(manifest.cohort_top), NULL, NULL},
    {"floor", FIELD_REAL, true, -1, 1, AT(manifest.cohort_floor), NULL, NULL},
    {0},
};
/* The slope again above 0: a better score must never be worse evidence. */
static const field voiceprint_fields[] = {
    {"offset", FIELD_REAL, true, -1000, 1000, WEIGHT_AT(VX_FEATURE_ONE), NULL, NULL},
    {"slope", FIELD_REAL, true, 1e-3, 1000, WEIGHT_AT(VX_FEATURE_SCORE), NULL, NULL},
    {"enrolled_speech", FIELD_REAL, true, -1000, 1000, WEIGHT_AT(VX_FEATURE_ENROLLED), NULL, NULL},
    {"utterance_speech", FIELD_REAL, true, -1000, 1000, WEIGHT_AT(VX_FEATURE_UTTERANCE), NULL, NULL},
    {"snr", FIELD_REAL, true, -1000, 1000, WEIGHT_AT(VX_FEATURE_SNR), NULL, NULL},
    {"threshold", FIELD_REAL, true, 0, 1, AT(manifest.score_calibration.threshold), NULL, NULL},
    {"same", FIELD_INT, true, 0, MAX_TRIALS, AT(manifest.score_calibration.n_same), NULL, NULL},
    {"other", FIELD_INT, true, 0, MAX_TRIALS, AT(manifest.score_calibration.n_other), NULL, NULL},
    {0},
};
static const field scores_fields[] = {
    {"threshold", FIELD_REAL, true, -1, 1, AT(manifest.threshold), NULL, NULL},
    {"calibration", FIELD_OBJECT, false, 0, 0, 0, NULL, calibration_fields},
    {"cohort", FIELD_OBJECT, false, 0, 0, 0, NULL, cohort_fields},
    {"voiceprint", FIELD_OBJECT, false, 0, 0, 0, NULL, voiceprint_fields},
    {0},
};
static const field self_test_fields[] = {
    {"signal", FIELD_CHOICE, true, 0, 0, AT(self_test_signal), signals, NULL},
    {"embedding", FIELD_VECTOR, true, 1, VX_EMBEDDING_MAX_DIM, AT(manifest), NULL, NULL},
    {0},
};
static const field parity_fields[] = {
    {"file", FIELD_FILE, true, 1, TEXT_MAX(manifest.parity.file), AT(manifest.parity.file), NULL, NULL},
    {"bytes", FIELD_SIZE, true, 1, MAX_ARTEFACT_BYTES, AT(manifest.parity.bytes), NULL, NULL},
    {"sha256", FIELD_SHA256, true, 0, 0, AT(manifest.parity.sha256), NULL, NULL},
    {"clips", FIELD_INT, true, 1, MAX_CLIPS, AT(manifest.parity_clips), NULL, NULL},
    {0},
};
static const field artefact_fields[] = {
    {"file", FIELD_FILE, true, 1, sizeof((vx_artefact *)NULL)->file - 1, offsetof(vx_artefact, file), NULL, NULL},
    {"bytes", FIELD_SIZE, true, 1, MAX_ARTEFACT_BYTES, offsetof(vx_artefact, bytes), NULL, NULL},
    {"sha256", FIELD_SHA256, true, 0, 0, offsetof(vx_artefact, sha256), NULL, NULL},
    {"precision", FIELD_CHOICE, false, 0, 0, offsetof(vx_artefact, precision), precisions, NULL},
    {"cosine_min", FIELD_REAL, false, 0, 1, offsetof(vx_artefact, cosine_min), NULL, NULL},
    {"load_ms", FIELD_REAL, false, 0, MAX_MS, offsetof(vx_artefact, load_ms), NULL, NULL},
    {"inference_ms", FIELD_REAL, false, 0, MAX_MS, offsetof(vx_artefact, inference_ms), NULL, NULL},
    {0},
};
static const field document_fields[] = {
    {"format", FIELD_INT, true, 1, 1, AT(format), NULL, NULL},
    {"model", FIELD_OBJECT, true, 0, 0, 0, NULL, model_fields},
    {"frontend", FIELD_OBJECT, true, 0, 0, 0, NULL, frontend_fields},
    {"scores", FIELD_OBJECT, true, 0, 0, 0, NULL, scores_fields},
    {"self_test", FIELD_OBJECT, false, 0, 0, 0, NULL, self_test_fields},
    {"parity", FIELD_OBJECT, false, 0, 0, 0, NULL, parity_fields},
    {"artefacts", FIELD_ARTEFACTS, true, 0, 0, AT(manifest), NULL, NULL},
    {0},
};

static vx_err read_fields(json_t *obj, const field *fields, void *base, vx_errinfo *info);

static vx_err bad(vx_errinfo *info, const char *key, const char *what)
{
    return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "field '%.60s' %s", key, what);
}

/* These texts end up on terminals and in logs. */
static bool is_printable(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    }
    return true;
}

static vx_err read_text(const json_t *obj, const field *f, char *ret, vx_errinfo *info)
{
    const char *text = NULL;
    size_t len = 0;
    vx_err err = vx_json_text(obj, f->key, f->required, &text, &len, info);

    if (err || !text)
        return err;
    if (len < (size_t)f->min || len > (size_t)f->max)
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "field '%s' must be %.0f to %.0f bytes long", f->key, f->min,
                              f->max);
    if (!is_printable(text))
        return bad(info, f->key, "holds a control character");
    /* A leading dot covers "." and "..", and keeps the manifest from naming itself. */
    if (f->kind == FIELD_FILE && (text[0] == '.' || strpbrk(text, "/\\")))
        return bad(info, f->key, "must be a plain file name inside the folder");
    memcpy(ret, text, len + 1);
    return VX_OK;
}

static vx_err read_sha256(const json_t *obj, const field *f, uint8_t *ret, vx_errinfo *info)
{
    const char *text = NULL;
    size_t len = 0;
    vx_err err = vx_json_text(obj, f->key, f->required, &text, &len, info);

    if (err || !text)
        return err;
    if (len != VX_SHA256_HEX - 1 || !vx_unhex(text, VX_SHA256_BYTES, ret))
        return bad(info, f->key, "must be 64 hex digits");
    return VX_OK;
}

static vx_err read_int(const json_t *obj, const field *f, void *ret, vx_errinfo *info)
{
    int64_t value = -1;
    vx_err err = vx_json_int(obj, f->key, f->required, (int64_t)f->min, (int64_t)f->max, &value, info);

    if (err)
        return err;
    if (f->kind == FIELD_SIZE)
        *(size_t *)ret = (size_t)value;
    else
        *(int *)ret = (int)value;
    return VX_OK;
}

static vx_err read_flag(const json_t *obj, const field *f, int *ret, vx_errinfo *info)
{
    bool value = false;
    vx_err err = vx_json_bool(obj, f->key, f->required, &value, info);

    if (!err)
        *ret = value;
    return err;
}

static vx_err read_choice(const json_t *obj, const field *f, int *ret, vx_errinfo *info)
{
    const char *text = NULL;
    size_t len = 0;
    vx_err err = vx_json_text(obj, f->key, f->required, &text, &len, info);

    if (err || !text)
        return err;
    for (int i = 0; f->choices[i]; i++) {
        if (strcmp(text, f->choices[i]) == 0) {
            *ret = i;
            return VX_OK;
        }
    }
    return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "field '%s' is '%.40s', which is not known here", f->key, text);
}

/* Says where in the document the fault lies: "scores: calibration: field 'slope' ...". */
static vx_err read_object(json_t *obj, const char *key, const field *fields, void *base, vx_errinfo *info)
{
    vx_errinfo cause = {0};
    vx_err err = read_fields(obj, fields, base, &cause);

    if (err)
        return vx_errinfo_set(info, err, "%.16s: %s", key, vx_errinfo_text(&cause, err));
    return VX_OK;
}

static bool is_strategy_name(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

    return len > 0 && name[len] == '\0' && len < sizeof((vx_artefact *)NULL)->strategy;
}

static vx_err read_artefacts(json_t *obj, vx_manifest *m, vx_errinfo *info)
{
    const char *strategy;
    json_t *entry;

    if (!json_is_object(obj))
        return bad(info, "artefacts", "must be an object");
    json_object_foreach(obj, strategy, entry)
    {
        vx_artefact *a = &m->artefacts[m->n_artefacts];
        vx_err err;

        if (strategy[0] == '_')
            continue;
        if (m->n_artefacts == VX_MANIFEST_MAX_ARTEFACTS)
            return bad(info, "artefacts", "holds more than 8 artefacts");
        if (!is_strategy_name(strategy))
            return bad(info, "artefacts", "holds a strategy name that is not 1 to 15 of a-z, 0-9 and _");
        *a = (vx_artefact){.cosine_min = NOT_MEASURED, .load_ms = NOT_MEASURED, .inference_ms = NOT_MEASURED};
        memcpy(a->strategy, strategy, strlen(strategy) + 1);
        err = read_object(entry, strategy, artefact_fields, a, info);
        if (err)
            return err;
        m->n_artefacts++;
    }
    return VX_OK;
}

static vx_err read_vector(const json_t *array, const field *f, vx_manifest *m, vx_errinfo *info)
{
    size_t n = json_array_size(array);

    if (n < (size_t)f->min || n > (size_t)f->max)
        return bad(info, f->key, "must be an array of 1 to 512 numbers");
    m->self_test_dim = (int)n;
    return vx_json_floats(array, f->key, n, m->self_test, info);
}

static vx_err read_field(json_t *obj, const field *f, void *base, vx_errinfo *info)
{
    void *at = (char *)base + f->offset;
    json_t *value = json_object_get(obj, f->key);

    switch (f->kind) {
    case FIELD_TEXT:
    case FIELD_FILE: return read_text(obj, f, at, info);
    case FIELD_SHA256: return read_sha256(obj, f, at, info);
    case FIELD_INT:
    case FIELD_SIZE: return read_int(obj, f, at, info);
    case FIELD_REAL: return vx_json_real(obj, f->key, f->required, f->min, f->max, at, info);
    case FIELD_FLAG: return read_flag(obj, f, at, info);
    case FIELD_CHOICE: return read_choice(obj, f, at, info);
    case FIELD_VECTOR: return read_vector(value, f, at, info);
    case FIELD_OBJECT:
        if (!f->required && (!value || json_is_null(value)))
            return VX_OK;
        return read_object(value, f->key, f->fields, base, info);
    case FIELD_ARTEFACTS: return read_artefacts(value, at, info);
    }
    return VX_ERR_INTERNAL;
}

static vx_err read_fields(json_t *obj, const field *fields, void *base, vx_errinfo *info)
{
    const char *key;
    json_t *value;

    if (!json_is_object(obj))
        return vx_errinfo_set(info, VX_ERR_JSON_FIELD, "must be an object");
    json_object_foreach(obj, key, value)
    {
        const field *f = fields;

        (void)value;
        while (f->key && strcmp(f->key, key) != 0)
            f++;
        if (!f->key && key[0] != '_')
            return bad(info, key, "is not known here (a comment's key starts with '_')");
    }
    for (const field *f = fields; f->key; f++) {
        vx_err err = read_field(obj, f, base, info);

        if (err)
            return err;
    }
    return VX_OK;
}

static vx_err check_frontend(const vx_fbank_params *p, vx_errinfo *info)
{
    if (p->window_len != p->n_fft || p->n_fft % 2 != 0)
        return bad(info, "n_fft", "must be even and equal to 'window_samples'");
    if (p->hop > p->window_len)
        return bad(info, "hop_samples", "must not exceed 'window_samples'");
    if (p->f_min >= p->f_max)
        return bad(info, "f_max", "must be above 'f_min'");
    if (p->log_kind == VX_LOG_NATURAL && p->top_db > 0)
        return bad(info, "top_db", "must be 0 where 'log' is natural");
    return VX_OK;
}

static vx_err read_document(json_t *root, document *doc, vx_errinfo *info)
{
    vx_manifest *m = &doc->manifest;
    const vx_artefact *reference;
    vx_err err = read_fields(root, document_fields, doc, info);

    if (err)
        return err;
    m->fbank.window = (vx_window)doc->window;
    m->fbank.log_kind = (vx_log_kind)doc->log_kind;
    m->calibrated = m->calibration_slope > 0.0;
    m->score_calibrated = m->score_calibration.weights[VX_FEATURE_SCORE] > 0.0;
    err = check_frontend(&m->fbank, info);
    if (err)
        return err;
    if (m->self_test_dim != 0 && m->self_test_dim != m->dim)
        return bad(info, "self_test", "must hold as many numbers as 'dimension' says");
    /* Whichever strategy runs, the model is the one whose f32 weights the others were made from. */
    reference = vx_manifest_artefact(m, "native");
    if (!reference)
        return bad(info, "artefacts", "lacks 'native', whose digest identifies the model");
    memcpy(m->digest.bytes, reference->sha256, sizeof m->digest.bytes);
    return VX_OK;
}

vx_err vx_manifest_parse(const char *text, size_t len, vx_manifest *ret, vx_errinfo *info)
{
    const vx_json_limits limits = {.max_depth = 4, .max_values = 4096};
    document doc;
    vx_errinfo cause = {0};
    json_t *root = NULL;
    vx_err err = vx_json_parse(text, len, limits, &root, &cause);

    memset(&doc, 0, sizeof doc);
    if (!err)
        err = read_document(root, &doc, &cause);
    json_decref(root);
    if (err)
        return vx_errinfo_set_at(info, err == VX_ERR_NOMEM ? err : VX_ERR_MODEL_CORRUPT, NULL,
                                 cause.line ? cause.offset : -1, cause.line, "%s", vx_errinfo_text(&cause, err));
    *ret = doc.manifest;
    return VX_OK;
}

/* Codes of file.h in the words of a model folder. */
static vx_err model_file_err(vx_err err)
{
    return err == VX_ERR_NOT_FOUND ? VX_ERR_MODEL_MISSING : err;
}

vx_err vx_manifest_read(const char *folder, vx_manifest *ret, vx_errinfo *info)
{
    char path[MAX_PATH_BYTES];
    vx_buf text = {0};
    vx_errinfo cause = {0};
    vx_err err = vx_path_join(folder, VX_MANIFEST_NAME, path, sizeof path);

    if (err)
        return vx_errinfo_set(info, VX_ERR_MODEL_MISSING, "the model folder's name is too long");
    err = model_file_err(vx_file_read(path, MAX_MANIFEST_BYTES, &text, &cause));
    if (!err)
        err = vx_manifest_parse((const char *)text.data, text.len, ret, &cause);
    else if (err == VX_ERR_RANGE)
        err = VX_ERR_MODEL_CORRUPT;
    vx_buf_done(&text);
    if (err)
        return vx_errinfo_set_at(info, err, path, cause.line ? cause.offset : -1, cause.line, "%s",
                                 vx_errinfo_text(&cause, err));
    return VX_OK;
}

const char *vx_precision_name(vx_precision precision)
{
    return precisions[precision];
}

const vx_artefact *vx_manifest_artefact(const vx_manifest *manifest, const char *strategy)
{
    for (int i = 0; i < manifest->n_artefacts; i++) {
        if (strcmp(manifest->artefacts[i].strategy, strategy) == 0)
            return &manifest->artefacts[i];
    }
    return NULL;
}

vx_err vx_manifest_map_artefact(const char *folder, const vx_artefact *artefact, vx_map *ret_map, vx_proof **ret_proof,
                                vx_errinfo *info)
{
    char path[MAX_PATH_BYTES];
    vx_errinfo cause = {0};
    vx_err err = vx_path_join(folder, artefact->file, path, sizeof path);

    if (err)
        return vx_errinfo_set(info, VX_ERR_MODEL_MISSING, "the model folder's name is too long");
    err = model_file_err(vx_map_open(path, ret_map, &cause));
    if (err)
        return vx_errinfo_set_at(info, err, path, -1, 0, "%s", vx_errinfo_text(&cause, err));
    err = vx_proof_start(ret_map, artefact, path, ret_proof, info);
    if (err)
        vx_map_close(ret_map);
    return err;
}

vx_err vx_manifest_open_artefact(const char *folder, const vx_artefact *artefact, vx_map *ret_map, vx_errinfo *info)
{
    vx_map map = {0};
    vx_proof *proof = NULL;
    vx_err err = vx_manifest_map_artefact(folder, artefact, &map, &proof, info);

    if (!err)
        err = vx_proof_end(proof, info);
    if (err) {
        vx_map_close(&map);
        return err;
    }
    *ret_map = map;
    return VX_OK;
}

bool vx_manifest_probability(const vx_manifest *manifest, double cosine, double *ret)
{
    if (!manifest->calibrated)
        return false;
    *ret = 1.0 / (1.0 + exp(-(manifest->calibration_slope * cosine + manifest->calibration_offset)));
    return true;
}
