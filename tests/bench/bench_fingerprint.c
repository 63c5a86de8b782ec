/* bench_fingerprint.c - are replays of a recording found, is nothing else, and what does looking cost?
 * Usage:  bench_fingerprint SPEECH NOISE [--split dev] [--rounds N] [--per-source N] [--seed N]
 *         SPEECH is a folder of tests/support/recordings.h, NOISE one of KIND/NAME.flac.
 * Owns:   three tables on stdout, build/bench/fingerprint.json. Does not: choose thresholds; they are in the product.
 *
 * A command is the 3 s (1.5 s, 0.8 s for the short ones) from 200 ms before a recording's first speech on, if half of it
 * is speech. Each is replayed changed and compared with itself. False hits are counted over all pairs of whole
 * recordings. Recordings that were joined of the same pieces do hold the same sound: pairs whose samples agree (three
 * stretches of 100 ms, correlation above 0.7, one delay) are counted apart, and recordings in which a second or two, three
 * later the same sound comes again are left out.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "edge/pava/fingerprint.h"
#include "shared/audio/decode.h"
#include "shared/base/clock.h"
#include "shared/base/file.h"
#include "tests/support/encode.h"
#include "tests/support/recordings.h"
#include "tests/support/room.h"
#include "tests/support/stats.h"

#define JSON_PATH "build/bench/fingerprint.json"
enum {
    RATE = 16000,
    TAIL = RATE / 2,
    HEARD = 5000 /* a full store */,
    RUNS = 21,
    FILE_MAX = 1 << 26,
    NOISES_MAX = 1000,
    TAPS = 401
};

static const double PI = 3.14159265358979323846;

typedef struct {
    float *samples;
    size_t n;
} sound;

typedef struct {
    const recording *row;
    sound whole;
    bool repeats;               /* itself */
    vx_fingerprint fingerprint; /* of the whole; empty where it has none */
} clip;

typedef struct {
    clip *clips;
    size_t n_clips;
    sound noises[NOISES_MAX];
    size_t n_noises;
} material;

static void die(const char *where, const char *what)
{
    (void)fprintf(stderr, "bench_fingerprint: %s: %s\n", where, what);
    exit(1);
}

static void *room_for(size_t n, size_t size)
{
    void *block = calloc(n > 0 ? n : 1, size);
    if (block == NULL)
        die("memory", "is out");
    return block;
}

static double uniform(uint64_t *seed, double from, double to)
{
    return from + (to - from) * (double)(stats_random(seed) >> 11) / 9007199254740992.0;
}

static double normal(uint64_t *seed)
{
    const double radius = sqrt(-2 * log(uniform(seed, 1e-300, 1)));
    return radius * cos(2 * PI * uniform(seed, 0, 1));
}

/* Empty where there is none. */
static vx_fingerprint fingerprint_of(const float *samples, size_t n)
{
    vx_spectrogram s;
    vx_fingerprint f = {0};
    if (vx_spectrogram_compute(samples, n, &s) != VX_OK)
        return f;
    const vx_err err = vx_fingerprint_take(&s, &f, NULL);
    if (err != VX_OK && err != VX_ERR_NOT_FOUND)
        die("memory", "is out");
    vx_spectrogram_done(&s);
    return f;
}

/* ---- what a replay may have gone through ----------------------------------------------------------------------------- */

/* What is replayed, with the level of its speech, and what comes of it; `sound` is owned by the caller. */
typedef struct {
    const float *samples;
    size_t n;
    double speech_power;
    const material *data;
    uint64_t *seed;
    double kbit_s; /* of the codec; 0: none */
} replay;

static sound copy_of(const replay *r, size_t before)
{
    sound s = {room_for(before + r->n, sizeof *s.samples), before + r->n};
    memcpy(s.samples + before, r->samples, r->n * sizeof *s.samples);
    return s;
}

static sound louder_or_softer(replay *r, double unused)
{
    (void)unused;
    sound s = copy_of(r, 0);
    const float gain = (float)pow(10, uniform(r->seed, -20, 12) / 20);
    for (size_t i = 0; i < s.n; i++)
        s.samples[i] = fmaxf(-1, fminf(1, gain * s.samples[i])); /* a converter clips */
    return s;
}

static void add_white(replay *r, double snr_db, sound *s)
{
    const double sigma = sqrt(r->speech_power * pow(10, -snr_db / 10));
    for (size_t i = 0; i < s->n; i++)
        s->samples[i] += (float)(sigma * normal(r->seed));
}

static void add_recorded(replay *r, double snr_db, sound *s)
{
    double power = 0;
    const sound *noise;
    size_t from;
    do { /* again where a noise is digital silence */
        noise = &r->data->noises[stats_random(r->seed) % r->data->n_noises];
        from = stats_random(r->seed) % noise->n;
        power = 0;
        for (size_t i = 0; i < s->n; i++)
            power += pow((double)noise->samples[(from + i) % noise->n], 2) / (double)s->n;
    } while (!(power > 1e-10));
    const float gain = (float)sqrt(r->speech_power * pow(10, -snr_db / 10) / power);
    for (size_t i = 0; i < s->n; i++)
        s->samples[i] += gain * noise->samples[(from + i) % noise->n];
}

/* snr_db below zero: drawn from 0 to 10. */
static double ratio(replay *r, double snr_db)
{
    return snr_db < 0 ? uniform(r->seed, 0, 10) : snr_db;
}

static sound in_white_noise(replay *r, double snr_db)
{
    sound s = copy_of(r, 0);
    add_white(r, ratio(r, snr_db), &s);
    return s;
}

static sound in_recorded_noise(replay *r, double snr_db)
{
    sound s = copy_of(r, 0);
    add_recorded(r, ratio(r, snr_db), &s);
    return s;
}

static sound coded(replay *r, encode_format format, double compression)
{
    vx_buf file = {0};
    vx_audio audio = {0};
    if (encode_audio_at(format, r->samples, r->n, RATE, 1, compression, &file) != 0 ||
        vx_audio_decode(file.data, file.len, VX_FORMAT_AUTO, 0, &audio, NULL) != VX_OK)
        die(encode_name(format), "cannot be coded or decoded");
    r->kbit_s = (double)file.len * 8 / 1000 * RATE / (double)r->n;
    vx_buf_done(&file);
    return (sound){audio.samples, audio.n};
}

static sound as_mp3(replay *r, double compression)
{
    return coded(r, ENCODE_MP3, compression);
}

static sound as_opus(replay *r, double compression)
{
    return coded(r, ENCODE_OPUS, compression);
}

static sound as_vorbis(replay *r, double compression)
{
    return coded(r, ENCODE_VORBIS, compression);
}

/* A Hann-windowed sinc. */
static void band_pass(sound *s, double low_hz, double high_hz)
{
    double taps[TAPS];
    float *out = room_for(s->n, sizeof *out);
    for (int i = 0; i < TAPS; i++) {
        const double at = i - TAPS / 2, high = 2 * PI * high_hz / RATE, low = 2 * PI * low_hz / RATE;
        const double sinc = i == TAPS / 2 ? (high - low) / PI : (sin(high * at) - sin(low * at)) / (PI * at);
        taps[i] = sinc * (0.5 + 0.5 * cos(2 * PI * at / (TAPS + 1)));
    }
    for (size_t i = 0; i < s->n; i++) {
        double sum = 0;
        for (size_t k = 0; k < TAPS; k++)
            if (i + TAPS / 2 >= k && i + TAPS / 2 - k < s->n)
                sum += taps[k] * (double)s->samples[i + TAPS / 2 - k];
        out[i] = (float)sum;
    }
    free(s->samples);
    s->samples = out;
}

static sound over_telephone(replay *r, double unused)
{
    (void)unused;
    sound s = copy_of(r, 0);
    band_pass(&s, 300, 3400);
    return s;
}

static sound without_edges(replay *r, double unused)
{
    (void)unused;
    sound s = copy_of(r, 0);
    band_pass(&s, 100, 6000);
    return s;
}

static sound later(replay *r, double unused)
{
    (void)unused;
    return copy_of(r, (size_t)uniform(r->seed, 0, 0.5 * RATE));
}

static sound middle(replay *r, double seconds)
{
    sound s = copy_of(r, 0);
    const size_t n = (size_t)(seconds * RATE);
    if (n < s.n) {
        memmove(s.samples, s.samples + (s.n - n) / 2, n * sizeof *s.samples);
        s.n = n;
    }
    return s;
}

/* Linear interpolation: its loss of treble is the least of it. */
static sound faster(replay *r, double factor)
{
    const size_t n = (size_t)((double)(r->n - 1) / factor);
    sound s = {room_for(n, sizeof *s.samples), n};
    for (size_t i = 0; i < n; i++) {
        const double at = (double)i * factor, share = at - floor(at);
        const size_t k = (size_t)at;
        s.samples[i] = (float)((1 - share) * (double)r->samples[k] + share * (double)r->samples[k + 1]);
    }
    return s;
}

/* A small loudspeaker (250 Hz and up, overdriven a little), the room, and noise at 20 dB. */
static sound in_a_room(replay *r, double rt60_s)
{
    sound s = copy_of(r, 0);
    size_t m = 0;
    band_pass(&s, 250, 7000);
    const double drive = 0.5 / sqrt(r->speech_power);
    for (size_t i = 0; i < s.n; i++)
        s.samples[i] = (float)(tanh(drive * (double)s.samples[i]) / drive);
    const room_plan plan = room_draw(rt60_s, uniform(r->seed, 0.2, 1.5), r->seed);
    float *response = room_response(&plan, &m);
    if (response == NULL || !room_convolve(s.samples, s.n, response, m, s.samples))
        die("memory", "is out");
    free(response);
    double power = 0;
    for (size_t i = 0; i < s.n; i++)
        power += pow((double)s.samples[i], 2) / (double)s.n;
    replay played = *r;
    played.speech_power = power;
    add_white(&played, 20, &s);
    return s;
}

static sound short_and_noisy(replay *r, double seconds)
{
    sound s = middle(r, seconds);
    add_recorded(r, 5, &s);
    return s;
}

static const struct {
    const char *name;
    sound (*change)(replay *r, double amount);
    double amount;
    bool held; /* to the bar */
} CHANGES[] = {
    {"gain -20 to +12 dB", louder_or_softer, 0, true},
    {"white noise, 0 to 10 dB SNR", in_white_noise, -1, true},
    {"white noise, 0 dB", in_white_noise, 0, true},
    {"recorded noise, 0 to 10 dB SNR", in_recorded_noise, -1, true},
    {"recorded noise, 0 dB", in_recorded_noise, 0, true},
    {"MP3, smallest", as_mp3, 1, true},
    {"MP3, small", as_mp3, 0.9, true},
    {"Opus, smallest", as_opus, 1, false},
    {"Opus, small", as_opus, 0.976, true},
    {"Vorbis, smallest", as_vorbis, 1, true},
    {"300 to 3,400 Hz", over_telephone, 0, true},
    {"100 to 6,000 Hz", without_edges, 0, true},
    {"0 to 500 ms later", later, 0, true},
    {"the middle 1.5 s", middle, 1.5, true},
    {"the middle 1.0 s", middle, 1.0, false},
    {"the middle 1.5 s, noise at 5 dB", short_and_noisy, 1.5, false},
    {"loudspeaker, room of 0.3 s", in_a_room, 0.3, false},
    {"loudspeaker, room of 0.6 s", in_a_room, 0.6, false},
    {"0.2 % faster", faster, 1.002, false},
    {"1 % faster", faster, 1.01, false},
    {"2 % slower", faster, 0.98, false},
    {"4 % faster", faster, 1.04, false},
    {"5.5 % faster", faster, 1.055, false},
};
enum { N_CHANGES = sizeof CHANGES / sizeof *CHANGES };

static const double LENGTHS_S[] = {3, 1.5, 0.8};
enum { N_LENGTHS = sizeof LENGTHS_S / sizeof *LENGTHS_S };

typedef struct {
    size_t n, found;
    double *evidence, kbit_s;
} tally;

/* The command of a clip; false where half of it is no speech. */
static bool command_of(const clip *c, double seconds, replay *ret)
{
    vx_spectrogram s;
    size_t first = 0, n_speech = 0;
    if (vx_spectrogram_compute(c->whole.samples, c->whole.n, &s) != VX_OK)
        return false;
    while (first < s.n_frames && !s.speech[first])
        first++;
    first = first > 20 ? first - 20 : 0;
    const size_t end = first + (size_t)(seconds * 100);
    ret->speech_power = 0;
    for (size_t t = first; t < end && t < s.n_frames; t++)
        if (s.speech[t]) {
            ret->speech_power += (double)s.level[t];
            n_speech++;
        }
    ret->speech_power /= (double)(n_speech > 0 ? n_speech : 1);
    ret->samples = c->whole.samples + first * VX_PAVA_HOP;
    ret->n = (end < s.n_frames ? end - first : s.n_frames - first) * VX_PAVA_HOP;
    vx_spectrogram_done(&s);
    return n_speech >= (size_t)(seconds * 50);
}

static void replay_all(const material *data, double seconds, size_t rounds, uint64_t seed, tally *ret)
{
    for (size_t i = 0; i < data->n_clips; i++) {
        replay r = {.data = data, .seed = &seed};
        if (!command_of(&data->clips[i], seconds, &r))
            continue;
        vx_fingerprint known = fingerprint_of(r.samples, r.n);
        for (size_t k = 0; k < N_CHANGES * rounds; k++) {
            tally *t = &ret[k % N_CHANGES];
            vx_fingerprint_match match = {0};
            r.kbit_s = 0;
            sound s = CHANGES[k % N_CHANGES].change(&r, CHANGES[k % N_CHANGES].amount);
            vx_fingerprint f = fingerprint_of(s.samples, s.n);
            vx_fingerprint_compare(&f, &known, &match);
            t->evidence[t->n++] = match.evidence;
            t->found += match.evidence >= VX_FINGERPRINT_SAME;
            t->kbit_s += r.kbit_s;
            vx_fingerprint_done(&f);
            free(s.samples);
        }
        vx_fingerprint_done(&known);
    }
}

static void report_replays(const material *data, size_t rounds, uint64_t seed, FILE *json)
{
    for (int l = 0; l < N_LENGTHS; l++) {
        static tally tallies[N_CHANGES];
        for (int k = 0; k < N_CHANGES; k++)
            tallies[k] = (tally){.evidence = room_for(data->n_clips * rounds, sizeof(double))};
        replay_all(data, LENGTHS_S[l], rounds, seed, tallies);
        printf("\nreplays of %.1f s%s\n%-34s %6s %6s %9s | %s\n", LENGTHS_S[l], l == 0 ? " (* held to 99.9 %)" : "",
               "changed by", "n", "found", "", "evidence: least, 1 %, median");
        fprintf(json, "%s\n\"replays_%.1f_s\": {", l > 0 ? "," : "", LENGTHS_S[l]);
        for (int k = 0; k < N_CHANGES; k++) {
            tally *t = &tallies[k];
            stats_sort(t->evidence, t->n);
            printf("%-32s %c %6zu %6zu %8.2f%% | %5.2f %5.2f %5.2f", CHANGES[k].name,
                   CHANGES[k].held && l == 0 ? '*' : ' ', t->n, t->found, 100.0 * (double)t->found / (double)t->n,
                   stats_quantile(t->evidence, t->n, 0), stats_quantile(t->evidence, t->n, 0.01),
                   stats_quantile(t->evidence, t->n, 0.5));
            printf(t->kbit_s > 0 ? "  %.0f kbit/s\n" : "\n", t->kbit_s / (double)t->n);
            fprintf(json, "%s\n  \"%s\": {\"n\": %zu, \"found\": %zu}", k > 0 ? "," : "", CHANGES[k].name, t->n,
                    t->found);
            free(t->evidence);
        }
        fprintf(json, "}");
    }
}

/* ---- false hits ------------------------------------------------------------------------------------------------------ */

enum { STRETCH = RATE / 10, SHARED = 3, LAGS = 200 };

/* Stretches of 100 ms that correlate above 0.7 where b is moved by `delay` against a. */
static int agreeing(const sound *a, const sound *b, long delay)
{
    int n = 0;
    const long first = delay < 0 ? -delay : 0;
    for (long at = first; at + STRETCH <= (long)a->n && at + delay + STRETCH <= (long)b->n; at += STRETCH) {
        double aa = 0, bb = 0, ab = 0;
        for (long i = at; i < at + STRETCH; i++) {
            const double x = (double)a->samples[i], y = (double)b->samples[i + delay];
            aa += x * x;
            bb += y * y;
            ab += x * y;
        }
        n += aa > 1e-9 * STRETCH && bb > 1e-9 * STRETCH && ab > 0.7 * sqrt(aa * bb);
    }
    return n;
}

static bool share_audio(const sound *a, const sound *b, int delay_frames)
{
    for (long lag = 0; lag <= LAGS; lag++)
        if (agreeing(a, b, (long)delay_frames * VX_PAVA_HOP + lag) >= SHARED ||
            agreeing(a, b, (long)delay_frames * VX_PAVA_HOP - lag) >= SHARED)
            return true;
    return false;
}

/* Joined of pieces of one second, twice of the same. */
static bool repeats_itself(const sound *s)
{
    for (long later_s = 1; later_s <= 3; later_s++)
        if (agreeing(s, s, later_s * RATE) >= SHARED)
            return true;
    return false;
}

typedef struct {
    const char *name;
    size_t n, shared, hits;
    double most; /* evidence, of those that share nothing */
} group;

static void compare_pair(const clip *a, const clip *b, group *g)
{
    vx_fingerprint_match match;
    vx_fingerprint_compare(&a->fingerprint, &b->fingerprint, &match);
    g->n++;
    if ((match.evidence >= g->most || match.evidence >= VX_FINGERPRINT_SAME) &&
        share_audio(&a->whole, &b->whole, match.delay_frames)) {
        g->shared++;
        return;
    }
    g->most = fmax(g->most, match.evidence);
    if (match.evidence >= VX_FINGERPRINT_SAME) {
        g->hits++;
        printf("  hit: %s %s evidence %.2f, %d agree on %d frames\n", a->row->path, b->row->path, match.evidence,
               match.n_agreeing, match.delay_frames);
    }
}

static void report_pairs(material *data, FILE *json)
{
    group groups[] = {{.name = "different speakers"}, {.name = "same speaker"}};
    size_t n_repeating = 0;
    for (size_t i = 0; i < data->n_clips; i++)
        n_repeating += data->clips[i].repeats = repeats_itself(&data->clips[i].whole);
    printf("\n%zu recordings hold a sound twice and are left out\n", n_repeating);
    for (size_t i = 0; i < data->n_clips; i++)
        for (size_t j = 0; j < i; j++) {
            const clip *a = &data->clips[i], *b = &data->clips[j];
            if (a->repeats || b->repeats)
                continue;
            compare_pair(a, b, &groups[strcmp(a->row->speaker, b->row->speaker) == 0]);
        }
    printf("%-34s %8s %13s %9s %8s %9s\n", "pairs of recordings", "n", "share sound", "hits", "", "evidence");
    fprintf(json, ",\n\"pairs\": {");
    for (int i = 0; i < 2; i++) {
        const group *g = &groups[i];
        printf("%-34s %8zu %13zu %9zu %7.4f%% %9.2f\n", g->name, g->n, g->shared, g->hits,
               100.0 * (double)g->hits / (double)(g->n - g->shared), g->most);
        fprintf(json, "%s\n  \"%s\": {\"n\": %zu, \"sharing\": %zu, \"hits\": %zu, \"most\": %.3f}", i > 0 ? "," : "",
                g->name, g->n, g->shared, g->hits, g->most);
    }
    fprintf(json, "}");
}

/* ---- cost ------------------------------------------------------------------------------------------------------------ */

static void report_cost(const material *data, FILE *json)
{
    vx_fingerprint *heard = room_for(HEARD, sizeof *heard);
    replay r = {0};
    vx_spectrogram s;
    double take[RUNS], find[RUNS];
    size_t n = 0, n_landmarks = 0, which;
    vx_fingerprint_match match;
    for (size_t i = 0; n < HEARD; i++)
        if (command_of(&data->clips[i % data->n_clips], 3, &r)) {
            heard[n++] = fingerprint_of(r.samples, r.n);
            n_landmarks += heard[n - 1].n;
        }
    /* Backwards it is like the others, and none of them: what an owner says was hardly ever heard before. */
    float *backwards = room_for(r.n, sizeof *backwards);
    for (size_t i = 0; i < r.n; i++)
        backwards[i] = r.samples[r.n - 1 - i];
    if (vx_spectrogram_compute(backwards, r.n, &s) != VX_OK)
        die("memory", "is out");
    free(backwards);
    for (int run = 0; run < RUNS; run++) {
        vx_fingerprint f;
        uint64_t start = vx_cpu_ns();
        if (vx_fingerprint_take(&s, &f, NULL) != VX_OK)
            die("memory", "is out");
        take[run] = (double)(vx_cpu_ns() - start) / 1e6;
        start = vx_cpu_ns();
        vx_fingerprint_find(&f, heard, HEARD, &match, &which);
        find[run] = (double)(vx_cpu_ns() - start) / 1e6;
        vx_fingerprint_done(&f);
    }
    const spread taking = stats_spread(take, RUNS), finding = stats_spread(find, RUNS);
    printf("\ntaken of 3 s: %.0f landmarks (%.0f bytes), %.3f ms (%.3f to %.3f)\n", (double)n_landmarks / HEARD,
           4 + 4.0 * (double)n_landmarks / HEARD, taking.median, taking.p10, taking.p90);
    printf("compared with %d that are others: %.2f ms (%.2f to %.2f)\n", HEARD, finding.median, finding.p10,
           finding.p90);
    fprintf(json, ",\n\"take_ms\": %.4f, \"find_%d_ms\": %.3f}\n", taking.median, HEARD, finding.median);
    vx_spectrogram_done(&s);
    for (size_t i = 0; i < HEARD; i++)
        vx_fingerprint_done(&heard[i]);
    free(heard);
}

/* ---- material -------------------------------------------------------------------------------------------------------- */

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void read_noise(const char *path, material *data)
{
    vx_buf bytes = {0};
    vx_audio audio = {0};
    if (vx_file_read(path, FILE_MAX, &bytes, NULL) != VX_OK ||
        vx_audio_decode(bytes.data, bytes.len, VX_FORMAT_AUTO, 0, &audio, NULL) != VX_OK)
        die(path, "cannot be read");
    vx_buf_done(&bytes);
    while (audio.n > RATE && !(fabsf(audio.samples[audio.n - 1]) > 0))
        audio.n--; /* filled up with digital silence */
    data->noises[data->n_noises++] = (sound){audio.samples, audio.n};
}

static void read_noises(const char *folder, int depth, material *data)
{
    struct dirent **entries = NULL;
    char path[1024];
    const int n = scandir(folder, &entries, visible, alphasort);
    for (int i = 0; i < n; i++) {
        const char *dot = strrchr(entries[i]->d_name, '.');
        if (vx_path_join(folder, entries[i]->d_name, path, sizeof path) != VX_OK)
            die(folder, "the path is too long");
        if (dot != NULL && strcmp(dot, ".flac") == 0 && data->n_noises < NOISES_MAX)
            read_noise(path, data);
        else if (dot == NULL && depth > 0)
            read_noises(path, depth - 1, data);
        free(entries[i]);
    }
    free(entries);
}

static void read_clips(const recordings *list, material *data)
{
    data->clips = room_for(list->n, sizeof *data->clips);
    for (size_t i = 0; i < list->n; i++) {
        vx_audio audio = {0};
        if (!recording_load(&list->rows[i], &audio))
            exit(1);
        data->clips[data->n_clips++] =
            (clip){&list->rows[i], {audio.samples, audio.n}, false, fingerprint_of(audio.samples, audio.n)};
    }
}

static void material_done(material *data)
{
    for (size_t i = 0; i < data->n_clips; i++) {
        free(data->clips[i].whole.samples);
        vx_fingerprint_done(&data->clips[i].fingerprint);
    }
    for (size_t i = 0; i < data->n_noises; i++)
        free(data->noises[i].samples);
    free(data->clips);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"split", required_argument, NULL, 't'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {"per-source", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 's'},
                                            {0}};
    static material data;
    const char *split = "dev";
    size_t rounds = 3, per_source = 0;
    uint64_t seed = 1;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 't': split = optarg; break;
        case 'r': rounds = strtoul(optarg, NULL, 10); break;
        case 'n': per_source = strtoul(optarg, NULL, 10); break;
        case 's': seed = strtoull(optarg, NULL, 10); break;
        default: optind = argc; break;
        }
    if (argc - optind != 2 || rounds == 0) {
        (void)fprintf(stderr, "Usage: bench_fingerprint SPEECH NOISE [--split dev] [--rounds N] [--per-source N]"
                              " [--seed N]\n");
        return 2;
    }
    recordings list = {0};
    if (!recordings_read(argv[optind], split, per_source, seed, &list))
        return 1;
    read_clips(&list, &data);
    read_noises(argv[optind + 1], 2, &data);
    if (data.n_noises == 0)
        die(argv[optind + 1], "holds no KIND/NAME.flac");
    if ((mkdir("build", 0777) != 0 && errno != EEXIST) || (mkdir("build/bench", 0777) != 0 && errno != EEXIST))
        die("build/bench", "cannot be made");
    FILE *json = fopen(JSON_PATH, "w");
    if (json == NULL)
        die(JSON_PATH, "cannot be written");
    printf("%zu recordings (%s), %zu noises, seed %" PRIu64 "\n", data.n_clips, split, data.n_noises, seed);
    fprintf(json, "{\"bench\": \"fingerprint\", \"split\": \"%s\", \"seed\": %" PRIu64 ",", split, seed);
    report_replays(&data, rounds, seed, json);
    report_pairs(&data, json);
    report_cost(&data, json);
    const bool failed = ferror(json) != 0;
    material_done(&data);
    recordings_done(&list);
    return fclose(json) != 0 || failed;
}
