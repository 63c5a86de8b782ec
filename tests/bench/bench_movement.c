/* bench_movement.c - can one microphone see a head move?
 * Usage:  bench_movement SPEECH [--split dev] [--per-source N] [--seed N]
 *         SPEECH is a folder of tests/support/recordings.h.
 * Owns:   the same words from a head that sways, from a loudspeaker that stands still, and from a loudspeaker that plays a
 *         recording of a head that swayed; with and without noise; areas under the ROC on stdout. Does not: move anything
 *         (tests/support/room.h).
 */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/pava/movement.h"
#include "shared/base/clock.h"
#include "tests/support/recordings.h"
#include "tests/support/room.h"
#include "tests/support/stats.h"

#define SWAY_M    0.01 /* each axis, root mean square */
#define SWAY_HZ   0.5  /* so 4 to 6 cm/s in all */
#define NOISE_DB  25.0
#define LONGEST_S 5.0

typedef enum { STILL, ALIVE, REPLAYED, N_KINDS } kind;
static const char *const KINDS[N_KINDS] = {"motionless source", "head that sways", "replay of one"};

typedef struct {
    double *drift[N_KINDS][2]; /* without and with noise */
    size_t n[N_KINDS][2];
    double cpu_ns, seconds;
} results;

static double between(double low, double high, uint64_t *state)
{
    return low + (high - low) * (double)(stats_random(state) >> 11) * 0x1p-53;
}

static void add_noise(float *samples, size_t n, uint64_t *state)
{
    double power = 0;
    for (size_t i = 0; i < n; i++)
        power += (double)samples[i] * (double)samples[i];
    const double level = sqrt(power / (double)n * pow(10, -NOISE_DB / 10)) * sqrt(3);
    for (size_t i = 0; i < n; i++)
        samples[i] += (float)(level * between(-1, 1, state));
}

static void measure(const float *samples, size_t n, double *values, size_t *count, results *r)
{
    vx_spectrogram spectrogram;
    vx_movement movement;
    if (vx_spectrogram_compute(samples, n, &spectrogram) != VX_OK)
        abort();
    const uint64_t start = vx_cpu_ns();
    if (vx_movement_measure(&spectrogram, &movement, NULL) == VX_OK)
        values[(*count)++] = movement.comb_drift;
    r->cpu_ns += (double)(vx_cpu_ns() - start);
    r->seconds += (double)n / VX_AUDIO_RATE;
    vx_spectrogram_done(&spectrogram);
}

/* The lock's room and the room of the recording are new for each speaker's words, and the same for the three kinds. */
static bool one_recording(const float *samples, size_t n, uint64_t *state, results *r)
{
    const room_plan here = room_draw(between(0.2, 0.6, state), between(0.3, 0.8, state), state);
    const room_plan there = room_draw(between(0.2, 0.5, state), between(0.1, 0.3, state), state);
    const room_motion still = {.sway_m = 0}, sways = {SWAY_M, SWAY_HZ, stats_random(state)};
    const room_motion swayed = {SWAY_M, SWAY_HZ, stats_random(state)};
    float *heard = malloc(n * sizeof *heard);
    bool ok = heard != NULL;
    for (int k = 0; k < N_KINDS && ok; k++) {
        ok = k != REPLAYED || room_move(samples, n, &there, &swayed, heard);
        ok = ok && room_move(k == REPLAYED ? heard : samples, n, &here, k == ALIVE ? &sways : &still, heard);
        for (int noisy = 0; noisy < 2 && ok; noisy++) {
            if (noisy)
                add_noise(heard, n, state);
            measure(heard, n, r->drift[k][noisy], &r->n[k][noisy], r);
        }
    }
    free(heard);
    return ok;
}

static bool run(const recordings *list, uint64_t seed, results *r)
{
    bool ok = true;
    for (int k = 0; k < N_KINDS; k++)
        for (int noisy = 0; noisy < 2; noisy++)
            ok = (r->drift[k][noisy] = calloc(list->n + 1, sizeof(double))) != NULL && ok;
    for (size_t i = 0; i < list->n && ok; i++) {
        vx_audio audio;
        ok = recording_load(&list->rows[i], &audio);
        const size_t most = (size_t)(LONGEST_S * VX_AUDIO_RATE);
        ok = ok && one_recording(audio.samples, audio.n < most ? audio.n : most, &seed, r);
        if (ok)
            vx_audio_done(&audio);
    }
    return ok;
}

/* Probability that one of a is above one of b. */
static double area(const double *a, size_t n_a, const double *b, size_t n_b)
{
    double above = 0;
    for (size_t i = 0; i < n_a; i++)
        for (size_t k = 0; k < n_b; k++)
            above += a[i] > b[k] ? 1 : a[i] == b[k] ? 0.5 : 0;
    return n_a > 0 && n_b > 0 ? above / ((double)n_a * (double)n_b) : 0.5;
}

static void report(results *r)
{
    printf("\n%-22s %16s %16s %22s\n", "comb drift", "clean: median", "area to head", "25 dB SNR: median area");
    for (int k = 0; k < N_KINDS; k++) {
        printf("%-22s", KINDS[k]);
        for (int noisy = 0; noisy < 2; noisy++) {
            const double a = area(r->drift[ALIVE][noisy], r->n[ALIVE][noisy], r->drift[k][noisy], r->n[k][noisy]);
            stats_sort(r->drift[k][noisy], r->n[k][noisy]);
            printf(" %16.2f %16.3f", stats_quantile(r->drift[k][noisy], r->n[k][noisy], 0.5), a);
        }
        printf("   (%zu)\n", r->n[k][0]);
    }
    printf("(area: probability that the head that sways measures more; 0.5 tells nothing)\n");
    printf("%.2f ms of CPU for 3 s of sound\n", r->cpu_ns / 1e6 / (r->seconds / 3));
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"split", required_argument, NULL, 'p'},
                                            {"per-source", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 's'},
                                            {0}};
    const char *split = "dev";
    size_t per_source = 0;
    uint64_t seed = 1;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 'p': split = optarg; break;
        case 'n': per_source = strtoul(optarg, NULL, 10); break;
        case 's': seed = strtoull(optarg, NULL, 10); break;
        default: optind = argc; break;
        }
    if (argc - optind != 1) {
        fprintf(stderr, "Usage: bench_movement SPEECH [--split dev] [--per-source N] [--seed N]\n");
        return 2;
    }
    recordings list;
    if (!recordings_read(argv[optind], split, per_source, seed, &list))
        return 1;
    results r = {0};
    printf("%zu recordings, split %s, sway %.0f mm, seed %" PRIu64 "\n", list.n, split, 1000 * SWAY_M, seed);
    const bool ok = run(&list, seed, &r);
    if (ok)
        report(&r);
    else
        fprintf(stderr, "bench_movement: out of memory, or a recording cannot be read\n");
    for (int k = 0; k < N_KINDS; k++)
        for (int noisy = 0; noisy < 2; noisy++)
            free(r.drift[k][noisy]);
    recordings_done(&list);
    return !ok;
}
