/* room.c - see room.h.
 * The first 100 ms of a response are image sources; behind that they are so many (three a sample in 40 m3) that noise of
 * the same energy cannot be told from them, and costs nothing.
 */
#include "tests/support/room.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/audio.h"
#include "shared/audio/fft.h"
#include "tests/support/stats.h"

enum {
    TAPS = 32,    /* of the interpolator that puts sound between samples */
    PHASES = 256, /* linear between them: the error is below -80 dB */
    BAND_TAPS = 127,
    LANES = 4,
    LONGEST = 32768, /* response to convolve with */
    BLOCK_MIN = 1024,
    WALLS_FOLLOWED = 1, /* reflections of the images that follow a moving head */
    WAVES = 3,
};
#define RATE        ((double)VX_AUDIO_RATE)
#define SOUND       343.0 /* m/s */
#define FADE_FROM_S 0.06  /* images give way to the tail */
#define FADE_TO_S   0.10
#define BASS_HZ     500.0
#define TREBLE_HZ   2500.0
#define HIGHPASS_HZ 50.0 /* images add up in phase towards 0 Hz, where no loudspeaker and no throat sounds */

static const double PI = 3.14159265358979323846;

static double uniform(uint64_t *state)
{
    return (double)(stats_random(state) >> 11) * 0x1p-53;
}

static double between(double low, double high, uint64_t *state)
{
    return low + (high - low) * uniform(state);
}

/* Variance 1, from four 16-bit uniforms: near enough to normal for noise, and the same everywhere. */
static double noise(uint64_t *state)
{
    const uint64_t bits = stats_random(state);
    double sum = -2 * 65535.0;
    for (int i = 0; i < 4; i++)
        sum += (double)(bits >> (16 * i) & 0xffff);
    return sum / 65536.0 * 1.7320508;
}

/* ---- filters --------------------------------------------------------------------------------------------------------- */

/* Low-pass, odd and symmetric, so that what is subtracted from it stays in step. */
static void fill_lowpass(double hz, double *ret_taps)
{
    double sum = 0;
    for (int i = 0; i < BAND_TAPS; i++) {
        const double t = i - BAND_TAPS / 2, x = 2 * PI * hz / RATE * t;
        ret_taps[i] = (t == 0 ? 1 : sin(x) / x) * (0.54 + 0.46 * cos(2 * PI * t / (BAND_TAPS + 1)));
        sum += ret_taps[i];
    }
    for (int i = 0; i < BAND_TAPS; i++)
        ret_taps[i] /= sum;
}

/* One filter that weighs the bands. */
static void fill_bands(const double gain[ROOM_BANDS], double ret_taps[BAND_TAPS])
{
    double bass[BAND_TAPS], mid[BAND_TAPS];
    fill_lowpass(BASS_HZ, bass);
    fill_lowpass(TREBLE_HZ, mid);
    for (int i = 0; i < BAND_TAPS; i++)
        ret_taps[i] = (gain[ROOM_BASS] - gain[ROOM_MID]) * bass[i] + (gain[ROOM_MID] - gain[ROOM_TREBLE]) * mid[i];
    ret_taps[BAND_TAPS / 2] += gain[ROOM_TREBLE];
}

/* ret += the symmetric filter of x, without delay. */
static void add_filtered(const float *x, size_t n, const double taps[BAND_TAPS], float *ret)
{
    const long half = BAND_TAPS / 2;
    for (long i = 0; i < (long)n; i++) {
        const long first = i < half ? half - i : 0;
        const long end = i + half >= (long)n ? (long)n - i + half : BAND_TAPS;
        double sum = 0;
        for (long k = first; k < end; k++)
            sum += taps[k] * (double)x[i + k - half];
        ret[i] += (float)sum;
    }
}

/* Butterworth of second order, in place. */
static void highpass(float *x, size_t n)
{
    const double k = tan(PI * HIGHPASS_HZ / RATE), scale = 1 / (1 + sqrt(2) * k + k * k);
    const double a1 = 2 * (k * k - 1) * scale, a2 = (1 - sqrt(2) * k + k * k) * scale;
    double s1 = 0, s2 = 0;
    for (size_t i = 0; i < n; i++) {
        const double in = (double)x[i], out = scale * in + s1;
        s1 = -2 * scale * in - a1 * out + s2;
        s2 = scale * in - a2 * out;
        x[i] = (float)out;
    }
}

/* ---- sound between samples ------------------------------------------------------------------------------------------- */

typedef struct {
    float taps[PHASES + 1][TAPS];
} sinc_table;

static sinc_table *make_sinc(void)
{
    sinc_table *table = malloc(sizeof *table);
    if (table == NULL)
        return NULL;
    for (int p = 0; p <= PHASES; p++)
        for (int k = 0; k < TAPS; k++) {
            const double t = k - (TAPS / 2 - 1) - (double)p / PHASES;
            const double window = 0.5 + 0.5 * cos(2 * PI * t / TAPS);
            table->taps[p][k] = (float)(fabs(t) < 1e-9 ? 1 : sin(PI * t) / (PI * t) * window);
        }
    return table;
}

/* Taps for a pulse at `at`; tap k belongs to sample *ret_first + k. */
static void taps_at(const sinc_table *table, double at, long *ret_first, float ret_taps[TAPS])
{
    const double whole = floor(at), place = (at - whole) * PHASES;
    const int phase = (int)place;
    const float share = (float)(place - phase);
    *ret_first = (long)whole - (TAPS / 2 - 1);
    for (int k = 0; k < TAPS; k++)
        ret_taps[k] = (1 - share) * table->taps[phase][k] + share * table->taps[phase + 1][k];
}

/* x at a place between samples; zero outside. The kernel is even, so that a pulse's taps read as well as they write. */
static float read_at(const sinc_table *table, const float *x, size_t n, double at)
{
    float taps[TAPS], sum = 0;
    long first;
    taps_at(table, at, &first, taps);
    for (long k = 0; k < TAPS; k++)
        if (first + k >= 0 && first + k < (long)n)
            sum += taps[k] * x[first + k];
    return sum;
}

/* ---- images ---------------------------------------------------------------------------------------------------------- */

/* One image of the source: mirrored[axis], cell[axis] rooms away. */
typedef struct {
    int mirrored[3], cell[3];
} image;

static int walls_of(const image *im)
{
    int walls = 0;
    for (int axis = 0; axis < 3; axis++)
        walls += abs(im->cell[axis] - im->mirrored[axis]) + abs(im->cell[axis]);
    return walls;
}

static double distance_of(const room_plan *plan, const image *im, const double source_m[3])
{
    double sum = 0;
    for (int axis = 0; axis < 3; axis++) {
        const double at = (im->mirrored[axis] ? -source_m[axis] : source_m[axis]) +
                          2 * im->cell[axis] * plan->size_m[axis] - plan->mic_m[axis];
        sum += at * at;
    }
    return fmax(sqrt(sum), 0.02); /* no head is nearer to a microphone */
}

/* Amplitude after one wall, by Eyring: T = 24 ln 10 V / (c S a), a = -ln(1 - absorption). */
static double reflection(const room_plan *plan, int band)
{
    const double *d = plan->size_m, volume = d[0] * d[1] * d[2];
    const double surface = 2 * (d[0] * d[1] + d[1] * d[2] + d[2] * d[0]);
    return exp(-0.5 * 24 * log(10) * volume / (SOUND * surface * plan->rt60_s[band]));
}

/* Share of amplitude that images keep at a time; the tail has the rest of the energy. */
static double image_share(double seconds)
{
    const double at = (seconds - FADE_FROM_S) / (FADE_TO_S - FADE_FROM_S);
    return at <= 0 ? 1 : at >= 1 ? 0 : cos(PI / 2 * at);
}

/* One buffer a band, in a row: each holds what that band's walls leave of the whole spectrum. */
typedef struct {
    float *band[ROOM_BANDS]; /* [m] */
    size_t m;
} echoes;

static void add_image(const room_plan *plan, const image *im, const double wall[ROOM_BANDS], const sinc_table *table,
                      uint64_t *state, echoes *ret)
{
    const int walls = walls_of(im);
    double distance = distance_of(plan, im, plan->source_m);
    if (walls > WALLS_FOLLOWED)
        distance = fmax(0.02, distance + plan->jitter_m * between(-1, 1, state));
    const double seconds = distance / SOUND, share = image_share(seconds) / distance;
    if (share <= 0)
        return;
    float taps[TAPS], gain[ROOM_BANDS];
    long first;
    taps_at(table, seconds * RATE, &first, taps);
    for (int b = 0; b < ROOM_BANDS; b++)
        gain[b] = (float)(share * pow(wall[b], walls));
    for (long k = 0; k < TAPS; k++)
        if (first + k >= 0 && first + k < (long)ret->m)
            for (int b = 0; b < ROOM_BANDS; b++)
                ret->band[b][first + k] += gain[b] * taps[k];
}

/* walls_from: images with fewer reflections are left out. */
static void add_images(const room_plan *plan, int walls_from, const sinc_table *table, uint64_t *state, echoes *ret)
{
    double wall[ROOM_BANDS];
    for (int b = 0; b < ROOM_BANDS; b++)
        wall[b] = reflection(plan, b);
    int reach[3];
    for (int axis = 0; axis < 3; axis++)
        reach[axis] = 1 + (int)(SOUND * FADE_TO_S / (2 * plan->size_m[axis]));
    image im;
    for (im.cell[0] = -reach[0]; im.cell[0] <= reach[0]; im.cell[0]++)
        for (im.cell[1] = -reach[1]; im.cell[1] <= reach[1]; im.cell[1]++)
            for (im.cell[2] = -reach[2]; im.cell[2] <= reach[2]; im.cell[2]++)
                for (int corner = 0; corner < 8; corner++) {
                    for (int axis = 0; axis < 3; axis++)
                        im.mirrored[axis] = corner >> axis & 1;
                    if (walls_of(&im) >= walls_from)
                        add_image(plan, &im, wall, table, state, ret);
                }
}

/* Images arrive at 4 pi c^3 t^2 / V a second, each with 1 / (c t)^2: 4 pi c / V, at any time. */
static void add_tail(const room_plan *plan, uint64_t *state, echoes *ret)
{
    const double *d = plan->size_m, level = sqrt(4 * PI * SOUND / (d[0] * d[1] * d[2] * RATE));
    for (size_t i = (size_t)(FADE_FROM_S * RATE); i < ret->m; i++) {
        const double seconds = (double)i / RATE, images = image_share(seconds);
        const double value = level * sqrt(1 - images * images) * noise(state);
        for (int b = 0; b < ROOM_BANDS; b++)
            ret->band[b][i] += (float)(value * exp(-3 * log(10) * seconds / plan->rt60_s[b]));
    }
}

static size_t length_of(const room_plan *plan)
{
    double longest = 0;
    for (int b = 0; b < ROOM_BANDS; b++)
        longest = fmax(longest, plan->rt60_s[b]);
    const double samples = (longest + FADE_FROM_S) * RATE;
    return samples < ROOM_MAX ? (size_t)samples : ROOM_MAX;
}

/* The response without high-pass. */
static float *build(const room_plan *plan, int walls_from, size_t *ret_m)
{
    const size_t m = length_of(plan);
    sinc_table *table = make_sinc();
    float *all = calloc((ROOM_BANDS + 1) * m, sizeof *all), *response = NULL;
    if (table == NULL || all == NULL)
        goto out;
    uint64_t state = plan->seed;
    echoes e = {.m = m};
    for (int b = 0; b < ROOM_BANDS; b++)
        e.band[b] = all + (size_t)b * m;
    add_images(plan, walls_from, table, &state, &e);
    add_tail(plan, &state, &e);
    response = calloc(m, sizeof *response);
    if (response == NULL)
        goto out;
    for (int b = 0; b < ROOM_BANDS; b++) {
        double only[ROOM_BANDS] = {0}, taps[BAND_TAPS];
        only[b] = 1;
        fill_bands(only, taps);
        add_filtered(e.band[b], m, taps, response);
    }
    *ret_m = m;
out:
    free(table);
    free(all);
    return response;
}

float *room_response(const room_plan *plan, size_t *ret_m)
{
    float *response = build(plan, 0, ret_m);
    if (response != NULL)
        highpass(response, *ret_m);
    return response;
}

/* ---- plans ----------------------------------------------------------------------------------------------------------- */

/* Puts source and microphone into the room, 0.3 m off the walls; false when they find no place. */
static bool place(room_plan *plan, double distance_m, uint64_t *state)
{
    const double margin = 0.3;
    for (int tries = 0; tries < 50; tries++) {
        const double bearing = between(0, 2 * PI, state), rise = between(-0.2, 0.3, state);
        const double level = sqrt(1 - rise * rise);
        const double step[3] = {level * cos(bearing), level * sin(bearing), rise};
        bool inside = true;
        for (int axis = 0; axis < 3; axis++) {
            plan->mic_m[axis] = between(margin, plan->size_m[axis] - margin, state);
            plan->source_m[axis] = plan->mic_m[axis] + distance_m * step[axis];
            inside = inside && plan->source_m[axis] > margin && plan->source_m[axis] < plan->size_m[axis] - margin;
        }
        if (inside)
            return true;
    }
    return false;
}

room_plan room_draw(double rt60_s, double distance_m, uint64_t *state)
{
    room_plan plan = {.size_m = {between(2.8, 6.0, state), between(2.4, 4.5, state), between(2.3, 3.0, state)},
                      .rt60_s = {rt60_s * between(1.0, 1.2, state), rt60_s, rt60_s * between(0.65, 0.9, state)},
                      .jitter_m = 0.08};
    while (!place(&plan, distance_m, state))
        for (int axis = 0; axis < 3; axis++)
            plan.size_m[axis] *= 1.2;
    plan.seed = stats_random(state);
    return plan;
}

/* ---- convolution ----------------------------------------------------------------------------------------------------- */

typedef struct {
    vx_fft *fft;
    size_t size;                      /* of a transform */
    float *response, *data[2], *mine; /* [size + 2][LANES] each; mine: [n] */
} convolver;

/* One signal a lane into the lanes of `data`; the rest is zero. */
static void fill_lane(float *data, size_t lane, size_t size, const float *x, size_t n)
{
    for (size_t i = 0; i < size; i++)
        data[i * LANES + lane] = i < n ? x[i] : 0;
}

/* The product of two spectra, as the real signal whose forward transform holds the product's inverse: with
 * g = Re Y + Im Y over the whole circle, y = (Re G + Im G) / n (Bracewell, The discrete Hartley transform, 1983). */
static void multiply(const convolver *c, const float *spectra, float *ret)
{
    const size_t half = c->size / 2;
    for (size_t k = 0; k <= half; k++) {
        const float re = c->response[2 * k * LANES], im = c->response[(2 * k + 1) * LANES];
        for (size_t lane = 0; lane < LANES; lane++) {
            const float a = spectra[2 * k * LANES + lane], b = spectra[(2 * k + 1) * LANES + lane];
            const float y_re = a * re - b * im, y_im = a * im + b * re;
            ret[k * LANES + lane] = y_re + y_im;
            if (k > 0 && k < half)
                ret[(c->size - k) * LANES + lane] = y_re - y_im;
        }
    }
}

/* Adds the lanes' results, each at its block. */
static void add_blocks(const convolver *c, const float *g, size_t from, size_t block, size_t n)
{
    const float scale = 1 / (float)c->size;
    for (size_t lane = 0; lane < LANES; lane++)
        for (size_t i = 0, at = from + lane * block; i < c->size && at < n; i++, at++) {
            const size_t k = i <= c->size / 2 ? i : c->size - i;
            const float re = g[2 * k * LANES + lane], im = g[(2 * k + 1) * LANES + lane];
            c->mine[at] += (k == i ? re + im : re - im) * scale;
        }
}

static void convolve(convolver *c, const float *samples, size_t n, const float *response, size_t m)
{
    for (size_t lane = 0; lane < LANES; lane++)
        fill_lane(c->data[0], lane, c->size, response, lane == 0 ? m : 0);
    const float *spectrum = vx_fft_scalar.forward(c->fft, c->data[0], c->data[1]);
    memcpy(c->response, spectrum, VX_FFT_BUFFER_FLOATS(c->size, LANES) * sizeof(float));
    const size_t block = c->size - m + 1;
    for (size_t from = 0; from < n; from += LANES * block) {
        for (size_t lane = 0; lane < LANES; lane++) {
            const size_t at = from + lane * block < n ? from + lane * block : n;
            fill_lane(c->data[0], lane, c->size, samples + at, n - at < block ? n - at : block);
        }
        float *spectra = vx_fft_scalar.forward(c->fft, c->data[0], c->data[1]);
        float *other = spectra == c->data[0] ? c->data[1] : c->data[0];
        multiply(c, spectra, other);
        add_blocks(c, vx_fft_scalar.forward(c->fft, other, spectra), from, block, n);
    }
}

bool room_convolve(const float *samples, size_t n, const float *response, size_t m, float *ret)
{
    if (m == 0 || m > LONGEST)
        return false;
    convolver c = {.size = BLOCK_MIN};
    while (c.size < 2 * m)
        c.size *= 2;
    const size_t floats = VX_FFT_BUFFER_FLOATS(c.size, LANES);
    const bool ok =
        vx_fft_create((int)c.size, &c.fft) == VX_OK && (c.response = malloc(floats * sizeof(float))) != NULL &&
        (c.data[0] = malloc(floats * sizeof(float))) != NULL && (c.data[1] = malloc(floats * sizeof(float))) != NULL &&
        (c.mine = calloc(n + 1, sizeof(float))) != NULL;
    if (ok) {
        convolve(&c, samples, n, response, m);
        memcpy(ret, c.mine, n * sizeof *ret);
    }
    free(c.response);
    free(c.data[0]);
    free(c.data[1]);
    free(c.mine);
    vx_fft_destroy(c.fft);
    return ok;
}

/* ---- movement -------------------------------------------------------------------------------------------------------- */

typedef struct {
    double rate[3][WAVES], phase[3][WAVES]; /* radians a sample, radians */
    double scale;
} sway;

static sway make_sway(const room_motion *motion)
{
    uint64_t state = motion->seed;
    sway s = {.scale = motion->sway_m * sqrt(2.0 / WAVES)};
    for (int axis = 0; axis < 3; axis++)
        for (int w = 0; w < WAVES; w++) {
            s.rate[axis][w] = 2 * PI * motion->hz * between(0.5, 2, &state) / RATE;
            s.phase[axis][w] = between(0, 2 * PI, &state);
        }
    return s;
}

static void head_at(const room_plan *plan, const sway *s, size_t i, double ret_m[3])
{
    for (int axis = 0; axis < 3; axis++) {
        ret_m[axis] = plan->source_m[axis];
        for (int w = 0; w < WAVES && s->scale > 0; w++)
            ret_m[axis] += s->scale * sin(s->rate[axis][w] * (double)i + s->phase[axis][w]);
    }
}

/* direct: as spoken; walled: the same after one wall. */
static void add_followed(const room_plan *plan, const sway *s, const sinc_table *table, const float *direct,
                         const float *walled, size_t n, float *ret)
{
    image followed[8] = {{{0}, {0}}};
    size_t count = 1;
    for (int axis = 0; axis < 3; axis++)
        for (int cell = 0; cell <= 1; cell++, count++) {
            followed[count].mirrored[axis] = 1;
            followed[count].cell[axis] = cell;
        }
    for (size_t i = 0; i < n; i++) {
        double head[3];
        head_at(plan, s, i, head);
        for (size_t k = 0; k < count; k++) {
            const double distance = distance_of(plan, &followed[k], head);
            ret[i] +=
                read_at(table, k == 0 ? direct : walled, n, (double)i - distance / SOUND * RATE) / (float)distance;
        }
    }
}

bool room_move(const float *samples, size_t n, const room_plan *plan, const room_motion *motion, float *ret)
{
    double wall[ROOM_BANDS], taps[BAND_TAPS];
    for (int b = 0; b < ROOM_BANDS; b++)
        wall[b] = reflection(plan, b);
    fill_bands(wall, taps);
    size_t m = 0;
    float *rest = build(plan, WALLS_FOLLOWED + 1, &m), *walled = calloc(n + 1, sizeof *walled);
    float *out = malloc((n + 1) * sizeof *out);
    sinc_table *table = make_sinc();
    const bool ok =
        rest != NULL && walled != NULL && out != NULL && table != NULL && room_convolve(samples, n, rest, m, out);
    if (ok) {
        const sway s = make_sway(motion);
        add_filtered(samples, n, taps, walled);
        add_followed(plan, &s, table, samples, walled, n, out);
        highpass(out, n);
        memcpy(ret, out, n * sizeof *ret);
    }
    free(rest);
    free(walled);
    free(out);
    free(table);
    return ok;
}

/* ---- measures -------------------------------------------------------------------------------------------------------- */

static size_t largest(const float *x, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (fabsf(x[i]) > fabsf(x[best]))
            best = i;
    return best;
}

/* Least squares over the stretch of the falling curve between two levels below its start. */
static double decay_time(const double *left, size_t n, double from_db, double to_db)
{
    const double total = left[0];
    double count = 0, sx = 0, sy = 0, sxx = 0, sxy = 0, level = 0;
    for (size_t i = 0; i < n && left[i] > 0; i++) {
        level = 10 * log10(left[i] / total);
        if (level > from_db)
            continue;
        if (level < to_db)
            break;
        const double x = (double)i / RATE;
        count++, sx += x, sy += level, sxx += x * x, sxy += x * level;
    }
    if (!(level < to_db) || count < 10)
        return NAN;
    return -60 * (count * sxx - sx * sx) / (count * sxy - sx * sy);
}

double room_rt60(const float *response, size_t m, int band, double from_db, double to_db)
{
    double *left = calloc(m + 1, sizeof *left), result = NAN;
    float *part = calloc(m + 1, sizeof *part);
    if (left == NULL || part == NULL || m == 0)
        goto out;
    if (band == ROOM_ALL) {
        memcpy(part, response, m * sizeof *part);
    } else {
        double only[ROOM_BANDS] = {0}, taps[BAND_TAPS];
        only[band] = 1;
        fill_bands(only, taps);
        add_filtered(response, m, taps, part);
    }
    const size_t start = largest(part, m);
    for (size_t i = m; i-- > start;)
        left[i] = left[i + 1] + (double)part[i] * (double)part[i];
    if (left[start] > 0)
        result = decay_time(left + start, m - start, from_db, to_db);
out:
    free(left);
    free(part);
    return result;
}

double room_direct_to_reverberant_db(const float *response, size_t m)
{
    const size_t start = largest(response, m), end = start + (size_t)(0.0025 * RATE);
    double direct = 1e-30, rest = 1e-30;
    for (size_t i = start; i < m; i++)
        *(i < end ? &direct : &rest) += (double)response[i] * (double)response[i];
    return 10 * log10(direct / rest);
}
