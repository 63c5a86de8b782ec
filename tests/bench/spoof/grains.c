/* grains.c - see grains.h. */
#include "tests/bench/spoof/grains.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"

/* 1 at the mark, 0 at the marks beside it; those of neighbours add up to 1. */
static double window(const voice_mark *mark, double x)
{
    const double side = fabs(x) / (x < 0 ? mark->left : mark->right);
    return side < 1 ? 0.5 + 0.5 * cos(LAB_PI * side) : 0;
}

/* The grain of a mark as it is to lie around `place`, whose fraction of a sample it takes on. */
static void cut(const voice *v, const voice_mark *mark, double place, float grain[GRAIN])
{
    const double fraction = place - floor(place);
    for (long i = 0; i < GRAIN; i++) {
        const double x = (double)(i - GRAIN_MARK) - fraction;
        const double w = window(mark, x);
        grain[i] = w > 0 ? (float)(w * voice_read(v->samples, v->n, mark->at + x)) : 0;
    }
}

static void add(const voice *v, const voice_mark *mark, double place, const float grain[GRAIN], float *ret,
                float *weight)
{
    const long first = (long)floor(place) - GRAIN_MARK;
    for (long i = 0; i < GRAIN; i++) {
        if (first + i < 0 || first + i >= (long)v->n)
            continue;
        ret[first + i] += grain[i];
        weight[first + i] += (float)window(mark, (double)(first + i) - place);
    }
}

void grains_move(const voice *v, double factor, grain_change *change, void *ctx, float *ret)
{
    float *weight = lab_alloc(v->n, sizeof *weight), grain[GRAIN];
    memset(ret, 0, v->n * sizeof *ret);
    for (double place = v->marks[0].at; place < (double)v->n + VOICE_UNVOICED;) {
        const size_t i = voice_mark_at(v, place);
        const voice_mark *mark = &v->marks[i];
        cut(v, mark, place, grain);
        if (change != NULL)
            change(ctx, grain);
        add(v, mark, place, grain, ret, weight);
        const bool within = mark->voiced && i + 1 < v->n_marks && v->marks[i + 1].voiced;
        place += within ? mark->right / factor : mark->right;
    }
    /* Grains that lie closer than they were add up to more. Those further apart leave the tails of cycles as they are. */
    for (size_t i = 0; i < v->n; i++)
        ret[i] /= fmaxf(weight[i], 1);
    free(weight);
}
