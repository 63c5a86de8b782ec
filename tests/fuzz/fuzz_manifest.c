/* fuzz_manifest.c - any text either is refused with a sentence, or gives a manifest whose every value is in range. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/engine/manifest.h"
#include "tests/fuzz/fuzz.h"

static void require(int condition)
{
    if (!condition)
        abort();
}

static void check_artefact(const vx_artefact *a)
{
    require(memchr(a->strategy, '\0', sizeof a->strategy) != NULL && a->strategy[0] != '\0');
    require(memchr(a->file, '\0', sizeof a->file) != NULL && a->file[0] != '\0' && a->file[0] != '.');
    require(strchr(a->file, '/') == NULL);
    require(vx_precision_name(a->precision)[0] != '\0');
    require(a->bytes > 0 && a->cosine_min <= 1.0 && isfinite(a->load_ms) && isfinite(a->inference_ms));
}

static void check_scores(const vx_manifest *m)
{
    const vx_calibration *c = &m->score_calibration;

    if (m->cohort_count != 0) {
        require(m->cohort_count > 0 && m->cohort_top > 0 && fabs(m->cohort_floor) <= 1.0);
        require(m->cohort.file[0] != '\0' && m->cohort.file[0] != '.' && strchr(m->cohort.file, '/') == NULL);
        require(memchr(m->cohort.file, '\0', sizeof m->cohort.file) != NULL && m->cohort.bytes > 0);
    }
    require(m->score_calibrated == (c->weights[VX_FEATURE_SCORE] > 0.0));
    for (int i = 0; i < VX_SCORE_FEATURES; i++)
        require(isfinite(c->weights[i]));
    require(c->threshold >= 0.0 && c->threshold <= 1.0 && c->n_same >= 0 && c->n_other >= 0);
}

static void check(const vx_manifest *m)
{
    const vx_fbank_params *p = &m->fbank;
    double probability;

    require(memchr(m->name, '\0', sizeof m->name) != NULL && memchr(m->source, '\0', sizeof m->source) != NULL);
    require(memchr(m->licence, '\0', sizeof m->licence) != NULL && memchr(m->accuracy, '\0', sizeof m->accuracy));
    require(m->dim >= 1 && m->dim <= VX_EMBEDDING_MAX_DIM);
    require(p->n_fft == p->window_len && p->n_fft % 2 == 0 && p->hop >= 1 && p->hop <= p->n_fft);
    require(p->n_bands >= 1 && p->f_min >= 0.0 && p->f_min < p->f_max && p->f_max <= 8000.0 && p->floor > 0.0);
    require(m->self_test_dim == 0 || m->self_test_dim == m->dim);
    for (int i = 0; i < m->self_test_dim; i++)
        require(isfinite(m->self_test[i]));
    require(m->threshold >= -1.0 && m->threshold <= 1.0);
    check_scores(m);
    require(m->n_artefacts >= 1 && m->n_artefacts <= VX_MANIFEST_MAX_ARTEFACTS);
    for (int i = 0; i < m->n_artefacts; i++)
        check_artefact(&m->artefacts[i]);
    for (int step = -4; step <= 4; step++)
        require(!vx_manifest_probability(m, step / 4.0, &probability) || (probability >= 0.0 && probability <= 1.0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of exactly that size, so that ASan sees the first byte read too far. */
    char *text = malloc(size ? size : 1);
    vx_manifest m;
    vx_errinfo info = {0};

    require(text != NULL);
    if (size)
        memcpy(text, data, size);
    vx_err err = vx_manifest_parse(text, size, &m, &info);
    require(info.code == err && (err == VX_OK || info.text[0] != '\0'));
    if (err == VX_OK)
        check(&m);
    free(text);
    return 0;
}
