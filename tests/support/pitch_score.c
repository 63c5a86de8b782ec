/* pitch_score.c - gross and fine errors of pitch, errors of voicing. */
#include "tests/support/pitch_score.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/stats.h"

#define GROSS 0.2

static void add_cents(pitch_score *s, double cents)
{
    const size_t n = s->both - s->gross;
    if (n == s->cap) {
        s->cap = 2 * s->cap + 1024;
        s->cents = realloc(s->cents, s->cap * sizeof *s->cents);
        if (s->cents == NULL)
            fail_msg("out of memory");
    }
    s->cents[n] = cents;
}

void pitch_score_add(pitch_score *s, const vx_pitch *track, const float *reference)
{
    s->n += track->n_frames;
    for (size_t i = 0; i < track->n_frames; i++) {
        const double is = (double)track->f0_hz[i], should = (double)reference[i];
        const size_t tenth = (size_t)fminf(9, 10 * track->voiced[i]);
        s->trusted[tenth]++;
        s->right[tenth] += should > 0;
        s->missed += should > 0 && !(is > 0);
        s->invented += is > 0 && !(should > 0);
        if (!(is > 0 && should > 0))
            continue;
        const bool gross = fabs(is / should - 1) > GROSS;
        if (!gross)
            add_cents(s, fabs(1200 * log2(is / should)));
        s->both++;
        s->gross += gross;
    }
}

double pitch_score_gross(const pitch_score *s)
{
    return s->both > 0 ? (double)s->gross / (double)s->both : 1;
}

double pitch_score_voice(const pitch_score *s)
{
    return (double)(s->missed + s->invented) / (double)s->n;
}

double pitch_score_cents(pitch_score *s, double quantile)
{
    stats_sort(s->cents, s->both - s->gross);
    return stats_quantile(s->cents, s->both - s->gross, quantile);
}

void pitch_score_done(pitch_score *s)
{
    free(s->cents);
    *s = (pitch_score){0};
}
