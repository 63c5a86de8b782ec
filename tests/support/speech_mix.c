/* speech_mix.c - see speech_mix.h. */
#include "tests/support/speech_mix.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/decode.h"
#include "shared/audio/fft.h"
#include "shared/base/file.h"
#include "tests/support/stats.h"

enum { WINDOW = 400, FIRST_BIN = 2, LANES = 4, MAX_FILE = 1 << 26, TAPS = 63 };
#define HELD_OUT_FOLD '5'
/* Recordings of telephone calls get noise that went over the telephone too: else its treble gives it away. */
#define TELEPHONE     "wuw2"
#define TELEPHONE_HZ  3800.0

static const double PI = 3.14159265358979323846;

static bool complain(const char *where, const char *what)
{
    fprintf(stderr, "speech_mix: %s: %s\n", where, what);
    return false;
}

/* ---- levels and labels ---------------------------------------------------------------------------------------------- */

void mix_powers(const float *samples, size_t n_frames, double *ret_powers)
{
    vx_fft *fft = NULL;
    if (vx_fft_create(WINDOW, &fft) != VX_OK)
        abort();
    const long n = (long)n_frames * MIX_FRAME;
    static float buffer[2][VX_FFT_BUFFER_FLOATS(WINDOW, LANES)];
    for (size_t t = 0; t < n_frames; t++) {
        double shapes = 0, sum = 0;
        for (long i = 0; i < WINDOW; i++) {
            const double shape = 0.5 - 0.5 * cos(2 * PI * (double)i / WINDOW);
            const long at = (long)t * MIX_FRAME + 2 * MIX_FRAME - WINDOW + i;
            buffer[0][i * LANES] = at >= 0 && at < n ? (float)(shape * (double)samples[at]) : 0;
            shapes += shape * shape;
        }
        const float *bins = vx_fft_scalar.forward(fft, buffer[0], buffer[1]);
        for (size_t k = FIRST_BIN; k <= WINDOW / 2; k++)
            sum += pow((double)bins[2 * k * LANES], 2) + pow((double)bins[(2 * k + 1) * LANES], 2);
        ret_powers[t] = 2 * sum / (WINDOW * shapes);
    }
    vx_fft_destroy(fft);
}

/* Runs of `value`, at most `longest` frames and with the other value on both sides, are turned over. */
static void close_gaps(bool *mask, size_t n, bool value, size_t longest)
{
    for (size_t t = 0, end; t < n; t = end) {
        for (end = t; end < n && mask[end] == mask[t]; end++)
            ;
        if (mask[t] == value && end - t <= longest && t > 0 && end < n)
            for (size_t i = t; i < end; i++)
                mask[i] = !value;
    }
}

void mix_label(const double *powers, size_t n_frames, bool *ret_speech)
{
    double *levels = calloc(n_frames + 1, sizeof *levels);
    if (levels == NULL)
        abort();
    for (size_t t = 0; t < n_frames; t++)
        levels[t] = 10 * log10(powers[t] + 1e-12);
    stats_sort(levels, n_frames);
    const double loud = stats_quantile(levels, n_frames, 0.95), quiet = stats_quantile(levels, n_frames, 0.1);
    const double bound = fmax(loud - 30, fmin(quiet + 6, loud - 20));
    for (size_t t = 0; t < n_frames; t++)
        ret_speech[t] = 10 * log10(powers[t] + 1e-12) >= bound;
    close_gaps(ret_speech, n_frames, false, 8);
    close_gaps(ret_speech, n_frames, true, 4);
    free(levels);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static bool read_audio(const char *path, vx_audio *ret_audio)
{
    vx_buf bytes = {0};
    vx_errinfo info = {0};
    vx_err err = vx_file_read(path, MAX_FILE, &bytes, &info);
    if (err == VX_OK)
        err = vx_audio_decode(bytes.data, bytes.len, VX_FORMAT_AUTO, 0, ret_audio, &info);
    vx_buf_done(&bytes);
    return err == VX_OK || complain(path, vx_errinfo_text(&info, err));
}

/* Takes the samples of audio; false when there is no speech in them. */
static bool make_clip(vx_audio *audio, mix_clip *clip)
{
    clip->samples = audio->samples;
    clip->n = audio->n;
    clip->n_frames = audio->n / MIX_FRAME;
    clip->clipped_share = (float)audio->clipped_share;
    clip->speech = calloc(clip->n_frames + 1, sizeof *clip->speech);
    double *powers = calloc(clip->n_frames + 1, sizeof *powers);
    if (clip->speech == NULL || powers == NULL)
        abort();
    mix_powers(clip->samples, clip->n_frames, powers);
    mix_label(powers, clip->n_frames, clip->speech);
    size_t n_speech = 0;
    for (size_t t = 0; t < clip->n_frames; t++)
        if (clip->speech[t]) {
            clip->power += powers[t];
            n_speech++;
        }
    free(powers);
    clip->power /= n_speech > 0 ? (double)n_speech : 1;
    return n_speech > 0;
}

/* A tab-separated line into at most cap fields; returns their number. */
static int split(char *line, char **fields, int cap)
{
    int n = 0;
    line[strcspn(line, "\r\n")] = '\0';
    for (char *rest = line; rest != NULL && n < cap; n++) {
        fields[n] = rest;
        rest = strchr(rest, '\t');
        if (rest != NULL)
            *rest++ = '\0';
    }
    return n;
}

/* Paths and sources of the split "dev". */
static bool read_manifest(const char *folder, mix_data *data)
{
    char path[1024], line[2048], *fields[16];
    if (vx_path_join(folder, "manifest.tsv", path, sizeof path) != VX_OK)
        return complain(folder, "the path is too long");
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(line, sizeof line, file) == NULL) {
        if (file != NULL)
            (void)fclose(file);
        return complain(path, "cannot be read");
    }
    int split_at = -1, source_at = -1, path_at = -1;
    const int n = split(line, fields, 16);
    for (int i = 0; i < n; i++) {
        split_at = strcmp(fields[i], "split") == 0 ? i : split_at;
        source_at = strcmp(fields[i], "source") == 0 ? i : source_at;
        path_at = strcmp(fields[i], "path") == 0 ? i : path_at;
    }
    bool ok = split_at >= 0 && source_at >= 0 && path_at >= 0;
    while (ok && fgets(line, sizeof line, file) != NULL) {
        if (split(line, fields, 16) != n || strcmp(fields[split_at], "dev") != 0)
            continue;
        mix_clip *grown = realloc(data->clips, (data->n_clips + 1) * sizeof *grown);
        if (grown == NULL || vx_path_join(folder, fields[path_at], path, sizeof path) != VX_OK)
            abort();
        data->clips = grown;
        data->clips[data->n_clips++] = (mix_clip){.path = strdup(path), .source = strdup(fields[source_at])};
    }
    (void)fclose(file);
    return (ok && data->n_clips > 0) || complain(path, "holds no columns split, source, path, or no split dev");
}

static void clip_done(mix_clip *clip)
{
    free(clip->path);
    free(clip->source);
    free(clip->samples);
    free(clip->speech);
}

/* Draws per_source recordings of each source, and reads them. */
static bool read_clips(mix_data *data, size_t per_source, uint64_t seed)
{
    for (size_t i = data->n_clips; i > 1; i--) {
        const size_t k = (size_t)(stats_random(&seed) % i);
        const mix_clip drawn = data->clips[k];
        data->clips[k] = data->clips[i - 1];
        data->clips[i - 1] = drawn;
    }
    size_t n = 0;
    bool ok = true;
    for (size_t i = 0; i < data->n_clips; i++) {
        mix_clip clip = data->clips[i];
        size_t of_source = 0;
        for (size_t k = 0; k < n; k++)
            of_source += strcmp(data->clips[k].source, clip.source) == 0;
        vx_audio audio = {0};
        if (ok && (per_source == 0 || of_source < per_source) && (ok = read_audio(clip.path, &audio)) &&
            make_clip(&audio, &clip))
            data->clips[n++] = clip;
        else
            clip_done(&clip);
    }
    data->n_clips = n;
    return ok;
}

static bool is_named(const char *kinds, const char *kind)
{
    const size_t len = strlen(kind);
    for (const char *at = kinds; (at = strstr(at, kind)) != NULL; at += len)
        if ((at == kinds || at[-1] == ',') && (at[len] == ',' || at[len] == '\0'))
            return true;
    return false;
}

static bool read_noise(const char *path, const char *kind, bool unseen, mix_data *data)
{
    vx_audio audio = {0};
    if (!read_audio(path, &audio))
        return false;
    size_t n = audio.n; /* the clips are filled up with digital silence */
    while (n > 0 && !(fabsf(audio.samples[n - 1]) > 0))
        n--;
    mix_noise *grown = realloc(data->noises, (data->n_noises + 1) * sizeof *grown);
    if (grown == NULL)
        abort();
    data->noises = grown;
    data->noises[data->n_noises++] =
        (mix_noise){.kind = strdup(kind), .unseen = unseen, .samples = audio.samples, .n = n};
    return true;
}

/* What scandir lists, in an order that is the same everywhere. */
static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool read_kind(const char *folder, const char *kind, const char *unseen, mix_data *data)
{
    char path[1024], file[1024];
    struct dirent **entries = NULL;
    if (vx_path_join(folder, kind, path, sizeof path) != VX_OK)
        return complain(kind, "the path is too long");
    const int n = scandir(path, &entries, visible, alphasort);
    bool ok = true;
    for (int i = 0; i < n; i++) {
        const char *name = entries[i]->d_name, *dot = strrchr(name, '.');
        if (ok && dot != NULL && strcmp(dot, ".flac") == 0 && (name[0] == HELD_OUT_FOLD || is_named(unseen, kind)))
            ok = vx_path_join(path, name, file, sizeof file) == VX_OK &&
                 read_noise(file, kind, is_named(unseen, kind), data);
        free(entries[i]);
    }
    free(entries);
    return ok;
}

static bool read_noises(const char *folder, const char *unseen, mix_data *data)
{
    struct dirent **entries = NULL;
    const int n = scandir(folder, &entries, visible, alphasort);
    bool ok = n > 0;
    for (int i = 0; i < n; i++) {
        ok = ok && read_kind(folder, entries[i]->d_name, unseen, data);
        free(entries[i]);
    }
    free(entries);
    return ok && (data->n_noises > 0 || complain(folder, "holds no KIND/FOLD-*.flac"));
}

bool mix_load(const char *speech, const char *noise, const char *unseen, size_t per_source, uint64_t seed,
              mix_data *ret_data)
{
    mix_data data = {0};
    if (!read_manifest(speech, &data) || !read_clips(&data, per_source, seed) || !read_noises(noise, unseen, &data)) {
        mix_done(&data);
        return false;
    }
    *ret_data = data;
    return true;
}

void mix_done(mix_data *data)
{
    for (size_t i = 0; i < data->n_clips; i++)
        clip_done(&data->clips[i]);
    for (size_t i = 0; i < data->n_noises; i++) {
        free(data->noises[i].kind);
        free(data->noises[i].samples);
    }
    free(data->clips);
    free(data->noises);
    *data = (mix_data){0};
}

/* ---- mixing ---------------------------------------------------------------------------------------------------------- */

/* In place, causal; a Hann-windowed sinc. */
static void low_pass(float *samples, size_t n, double hz)
{
    double taps[TAPS];
    for (int i = 0; i < TAPS; i++) {
        const double at = i - TAPS / 2, arc = 2 * PI * hz / 16000;
        const double sinc = i == TAPS / 2 ? arc / PI : sin(arc * at) / (PI * at);
        taps[i] = sinc * (0.5 + 0.5 * cos(2 * PI * at / (TAPS + 1)));
    }
    for (size_t i = n; i-- > 0;) {
        double sum = 0;
        for (size_t k = 0; k < TAPS && k <= i; k++)
            sum += taps[k] * (double)samples[i - k];
        samples[i] = (float)sum;
    }
}

static double mean_power(const float *samples, size_t n_frames)
{
    double *powers = calloc(n_frames, sizeof *powers), sum = 0;
    if (powers == NULL)
        abort();
    mix_powers(samples, n_frames, powers);
    for (size_t t = 0; t < n_frames; t++)
        sum += powers[t];
    free(powers);
    return sum / (double)n_frames;
}

/* Noise over n_frames from a random place on, repeated; drawn again while it is digital silence. */
static void add_noise(const mix_clip *clip, const mix_noise *noise, double power, uint64_t *state, float *samples,
                      size_t n_frames)
{
    const size_t n = n_frames * MIX_FRAME;
    float *stretch = calloc(n, sizeof *stretch);
    if (stretch == NULL)
        abort();
    double found = 0;
    for (int tries = 0; tries < 20 && !(found > 1e-10); tries++) {
        const size_t start = (size_t)(stats_random(state) % noise->n);
        for (size_t i = 0; i < n; i++)
            stretch[i] = noise->samples[(start + i) % noise->n];
        if (strcmp(clip->source, TELEPHONE) == 0)
            low_pass(stretch, n, TELEPHONE_HZ);
        found = mean_power(stretch, n_frames);
    }
    const double gain = sqrt(power / fmax(found, 1e-10));
    for (size_t i = 0; i < n; i++)
        samples[i] += (float)(gain * (double)stretch[i]);
    free(stretch);
}

bool mix_make(const mix_clip *clip, const mix_noise *noise, double snr_db, double dbfs, uint64_t *state,
              mixture *ret_mixture)
{
    const size_t n_frames = clip->n_frames + 2 * MIX_PAUSE, n = n_frames * MIX_FRAME;
    mixture m = {calloc(n, sizeof *m.samples), calloc(n_frames, sizeof *m.speech), n_frames};
    float *samples = calloc(n, sizeof *samples);
    if (m.samples == NULL || m.speech == NULL || samples == NULL) {
        free(samples);
        mixture_done(&m);
        return false;
    }
    const double power = pow(10, dbfs / 10), gain = sqrt(power / clip->power);
    for (size_t i = 0; i < clip->n_frames * MIX_FRAME; i++)
        samples[MIX_PAUSE * MIX_FRAME + i] = (float)(gain * (double)clip->samples[i]);
    memcpy(m.speech + MIX_PAUSE, clip->speech, clip->n_frames * sizeof *m.speech);
    if (noise != NULL)
        add_noise(clip, noise, power * pow(10, -snr_db / 10), state, samples, n_frames);
    for (size_t i = 0; i < n; i++)
        m.samples[i] = (int16_t)lrintf(fmaxf(-32768, fminf(32767, samples[i] * 32768)));
    free(samples);
    *ret_mixture = m;
    return true;
}

void mixture_done(mixture *m)
{
    free(m->samples);
    free(m->speech);
    *m = (mixture){0};
}
