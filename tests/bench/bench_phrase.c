/* bench_phrase.c - digits and command phrases recognised: error rates, challenges passed, false alarms, time.
 * Usage:  bench_phrase [--digits FOLDER] [--count N] [--seed N] [--alarms] [--phrase PHRASE] SPEECH NOISE
 *         SPEECH and NOISE are those of tests/support/speech_mix.h. FOLDER holds recordings of single digits by people,
 *         DIGIT_SPEAKER_TAKE.wav: the layout of the Free Spoken Digit Dataset (Jakobovski et al., CC BY-SA 4.0).
 *         PHRASE in place of four of its own.
 *         --alarms also looks for the phrases in all of SPEECH: minutes.
 * Owns:   tables on stdout. Does not: judge voices.
 *
 * Synthetic voices say whole challenges; recordings of single digits by one person are set one behind the other.
 */
#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edge/challenge/challenge.h"
#include "edge/challenge/phrase.h"
#include "shared/audio/decode.h"
#include "shared/base/clock.h"
#include "shared/base/file.h"
#include "tests/support/say.h"
#include "tests/support/speech_mix.h"
#include "tests/support/stats.h"

#define SPEECH_DBFS (-26.0)
enum { N_NOISES = 3, MAX_SINGLES = 8192, MAX_FILE = 1 << 22, ROOM = VX_AUDIO_RATE / 5 };
enum { HEAD = 44, SINGLE_RATE = 8000, GAP_MIN = SINGLE_RATE / 10, GAP_MAX = 3 * SINGLE_RATE / 10 };
static const double SNRS_DB[N_NOISES] = {INFINITY, 20, 10};
static const char *const PHRASES[] = {VX_PHRASE_DEFAULT, "hello computer", "open sesame", "this is my computer"};
enum { N_PHRASES = sizeof PHRASES / sizeof *PHRASES };

typedef struct {
    size_t n, passed;                                     /* challenges */
    size_t digits, substituted, inserted, deleted, empty; /* against what was said */
} tally;

typedef struct {
    mix_data data;
    vx_phrase *phrase;
    double wall_s, audio_s; /* of recognition */
    uint64_t seed;
    const char *const *phrases; /* n_phrases */
    size_t n_phrases;
} bench;

/* ---- counting ------------------------------------------------------------------------------------------------------- */

/* 95 % interval of a share, Wilson's. */
static void print_share(size_t k, size_t n)
{
    const double z = 1.96, p = (double)k / (double)n, d = 1 + z * z / (double)n;
    const double mid = (p + z * z / (2 * (double)n)) / d;
    const double half = z / d * sqrt(p * (1 - p) / (double)n + z * z / (4 * (double)n * (double)n));
    printf("%6.1f %% (%zu of %zu, %.1f-%.1f)", 100 * p, k, n, 100 * fmax(0, mid - half), 100 * fmin(1, mid + half));
}

typedef struct {
    int cost, substituted, inserted, deleted;
} edits;

static edits cheaper(edits a, edits b)
{
    return b.cost < a.cost ? b : a;
}

/* Fewest changes that make `said` into `heard`. */
static edits compare(const char *said, const char *heard)
{
    edits row[VX_DIGITS_CAP] = {{0}};
    const size_t n = strlen(heard);
    for (size_t k = 1; k <= n; k++)
        row[k] = (edits){(int)k, 0, (int)k, 0};
    for (size_t i = 0; said[i]; i++) {
        edits diagonal = row[0];
        row[0].cost++, row[0].deleted++;
        for (size_t k = 1; k <= n; k++) {
            edits same = diagonal, deleted = row[k], inserted = row[k - 1];
            const bool differ = said[i] != heard[k - 1];
            same.cost += differ, same.substituted += differ;
            deleted.cost++, deleted.deleted++;
            inserted.cost++, inserted.inserted++;
            diagonal = row[k];
            row[k] = cheaper(same, cheaper(inserted, deleted));
        }
    }
    return row[n];
}

static void count(tally *t, const char *said, const char *heard)
{
    const edits e = compare(said, heard);
    t->n++;
    t->passed += strcmp(said, heard) == 0;
    t->empty += heard[0] == '\0';
    t->digits += strlen(said);
    t->substituted += (size_t)e.substituted;
    t->inserted += (size_t)e.inserted;
    t->deleted += (size_t)e.deleted;
}

static void print_tallies(const char *title, tally t[2][N_NOISES])
{
    for (int fixed = 0; fixed < 2; fixed++)
        for (int s = 0; s < N_NOISES; s++) {
            const tally *c = &t[fixed][s];
            if (c->n == 0)
                continue;
            printf("%-22s %-12s %4.0f dB  digits wrong ", title, fixed ? "five digits" : "any number", SNRS_DB[s]);
            print_share(c->substituted + c->inserted + c->deleted, c->digits);
            printf(" [sub %zu ins %zu del %zu]; challenges passed ", c->substituted, c->inserted, c->deleted);
            print_share(c->passed, c->n);
            printf("; nothing heard %zu\n", c->empty);
        }
}

/* ---- recordings ------------------------------------------------------------------------------------------------------ */

/* At SPEECH_DBFS, with ROOM before and behind, and noise of a kind drawn. Freed by the caller. */
static float *in_noise(bench *b, const float *samples, size_t n, const char *source, double snr_db, size_t *ret_n)
{
    mix_clip clip = {.source = (char *)(uintptr_t)source, .n = n, .n_frames = n / MIX_FRAME};
    clip.samples = (float *)(uintptr_t)samples;
    clip.speech = calloc(clip.n_frames + 1, sizeof *clip.speech);
    double *powers = calloc(clip.n_frames + 1, sizeof *powers);
    mixture m = {0};
    float *mixed = NULL;
    size_t n_speech = 0;
    if (clip.speech && powers) {
        mix_powers(samples, clip.n_frames, powers);
        mix_label(powers, clip.n_frames, clip.speech);
        for (size_t t = 0; t < clip.n_frames; t++)
            if (clip.speech[t])
                clip.power += powers[t], n_speech++;
        clip.power /= fmax(1, (double)n_speech);
        /* Nothing is without noise: -80 dBFS stands for a quiet room. */
        const mix_noise *noise = &b->data.noises[stats_random(&b->seed) % b->data.n_noises];
        const double snr = isfinite(snr_db) ? snr_db : 80 + SPEECH_DBFS;
        if (n_speech > 0 && mix_make(&clip, noise, snr, SPEECH_DBFS, &b->seed, &m)) {
            const size_t cut = (size_t)MIX_PAUSE * MIX_FRAME - ROOM;
            *ret_n = m.n_frames * MIX_FRAME - 2 * cut;
            mixed = calloc(*ret_n, sizeof *mixed);
            for (size_t i = 0; mixed && i < *ret_n; i++)
                mixed[i] = (float)m.samples[cut + i] / 32768;
        }
    }
    mixture_done(&m);
    free(clip.speech);
    free(powers);
    return mixed;
}

static bool hear(bench *b, tally t[2][N_NOISES], const char *said, const float *samples, size_t n, const char *source)
{
    for (int s = 0; s < N_NOISES; s++) {
        size_t n_mixed = 0;
        float *mixed = in_noise(b, samples, n, source, SNRS_DB[s], &n_mixed);
        bool ok = mixed != NULL;
        for (int fixed = 0; ok && fixed < 2; fixed++) {
            char heard[VX_DIGITS_CAP];
            const uint64_t start = vx_now_ns();
            ok = vx_phrase_digits(b->phrase, fixed ? VX_CHALLENGE_DIGITS : 0, mixed, n_mixed, heard, NULL) == VX_OK;
            b->wall_s += vx_ms_since(start) / 1000;
            b->audio_s += (double)n_mixed / VX_AUDIO_RATE;
            if (ok)
                count(&t[fixed][s], said, heard);
        }
        free(mixed);
        if (!ok)
            return false;
    }
    return true;
}

/* Digits of a challenge without their spaces, and its words with pauses between them. */
static bool draw(char ret_digits[VX_CHALLENGE_TEXT], char ret_words[VX_CHALLENGE_TEXT])
{
    vx_challenge *challenge = NULL;
    if (vx_challenge_create(0, vx_clock_monotonic(), &challenge) != VX_OK)
        return false;
    vx_challenge_text(challenge, ret_digits, ret_words);
    vx_challenge_destroy(challenge);
    for (size_t i = 0; i < VX_CHALLENGE_DIGITS; i++)
        ret_digits[i] = ret_digits[2 * i];
    ret_digits[VX_CHALLENGE_DIGITS] = '\0';
    return true;
}

static bool synthetic_digits(bench *b, size_t n_each)
{
    tally of_kind[2][2][N_NOISES] = {0};
    for (size_t v = 0; v < say_n_voices; v++)
        for (size_t i = 0; i < n_each; i++) {
            char digits[VX_CHALLENGE_TEXT], words[VX_CHALLENGE_TEXT], spoken[2 * VX_CHALLENGE_TEXT];
            vx_audio audio = {0};
            if (!draw(digits, words))
                return false;
            size_t at = 0;
            for (const char *c = words; *c; c++)
                at += (size_t)snprintf(spoken + at, sizeof spoken - at, *c == ' ' ? ", " : "%c", *c);
            if (!say(say_voices[v], spoken, &audio))
                continue;
            const bool ok = hear(b, of_kind[v >= say_n_flite], digits, audio.samples, audio.n, "synthetic");
            vx_audio_done(&audio);
            if (!ok)
                return false;
        }
    print_tallies("flite", of_kind[0]);
    print_tallies("espeak-ng", of_kind[1]);
    return true;
}

/* ---- digits of people ------------------------------------------------------------------------------------------------- */

typedef struct {
    char *paths[MAX_SINGLES], *speakers[MAX_SINGLES]; /* speakers owned, paths too */
    char digits[MAX_SINGLES];
    size_t n;
} singles;

static bool list_singles(const char *folder, singles *s)
{
    struct dirent **entries = NULL;
    const int n = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char path[1024], speaker[64], digit = 0;
        if (s->n < MAX_SINGLES && sscanf(entries[i]->d_name, "%c_%63[^_]_%*d.wav", &digit, speaker) == 2 &&
            digit >= '0' && digit <= '9' && vx_path_join(folder, entries[i]->d_name, path, sizeof path) == VX_OK) {
            s->paths[s->n] = strdup(path);
            s->speakers[s->n] = strdup(speaker);
            s->digits[s->n++] = digit;
        }
        free(entries[i]);
    }
    free(entries);
    return s->n > 0;
}

/* Appends the samples of one recording of this digit by this speaker, drawn, and a pause. They are 16-bit, mono, 8 kHz,
 * behind a head of 44 bytes; one by one many of them are too short for the decoder. */
static bool append_single(bench *b, const singles *s, const char *speaker, char digit, vx_buf *pcm)
{
    static const unsigned char silence[GAP_MAX * 2];
    size_t seen = 0, drawn = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->digits[i] == digit && strcmp(s->speakers[i], speaker) == 0 && stats_random(&b->seed) % ++seen == 0)
            drawn = i;
    const size_t gap = GAP_MIN + stats_random(&b->seed) % (GAP_MAX - GAP_MIN);
    vx_buf file = {0};
    const bool ok = seen > 0 && vx_file_read(s->paths[drawn], MAX_FILE, &file, NULL) == VX_OK && file.len > HEAD &&
                    vx_buf_append(pcm, file.data + HEAD, (file.len - HEAD) / 2 * 2) == VX_OK &&
                    vx_buf_append(pcm, silence, 2 * gap) == VX_OK;
    vx_buf_done(&file);
    return ok;
}

static bool human_challenge(bench *b, const singles *s, tally t[2][N_NOISES])
{
    char digits[VX_CHALLENGE_TEXT], words[VX_CHALLENGE_TEXT];
    const char *speaker = s->speakers[stats_random(&b->seed) % s->n];
    vx_buf pcm = {0};
    vx_audio audio = {0};
    bool ok = draw(digits, words);
    for (const char *d = digits; ok && *d; d++)
        ok = append_single(b, s, speaker, *d, &pcm);
    ok = ok && vx_audio_decode(pcm.data, pcm.len, VX_FORMAT_S16LE, SINGLE_RATE, &audio, NULL) == VX_OK &&
         hear(b, t, digits, audio.samples, audio.n, "wuw2"); /* of telephones too: its noise is to have no treble */
    vx_audio_done(&audio);
    vx_buf_done(&pcm);
    return ok;
}

static bool human_digits(bench *b, const char *folder, size_t n)
{
    static singles s;
    tally t[2][N_NOISES] = {0};
    bool ok = list_singles(folder, &s);
    for (size_t i = 0; ok && i < n; i++)
        ok = human_challenge(b, &s, t);
    print_tallies("people, 8 kHz", t);
    for (size_t i = 0; i < s.n; i++) {
        free(s.paths[i]);
        free(s.speakers[i]);
    }
    return ok;
}

/* ---- phrases ----------------------------------------------------------------------------------------------------------- */

static bool spot(bench *b, const char *phrase, const float *samples, size_t n, double *ret_score)
{
    int found = -1;
    const uint64_t start = vx_now_ns();
    const bool ok = vx_phrase_spot(b->phrase, &phrase, 1, samples, n, &found, ret_score, NULL) == VX_OK;
    b->wall_s += vx_ms_since(start) / 1000;
    b->audio_s += (double)n / VX_AUDIO_RATE;
    return ok;
}

/* Each voice says each phrase alone and within a sentence. */
static bool phrases_found(bench *b)
{
    for (int s = 0; s < N_NOISES; s++)
        for (int kind = 0; kind < 2; kind++) {
            size_t n = 0, found = 0;
            for (size_t v = kind ? say_n_flite : 0; v < (kind ? say_n_voices : say_n_flite); v++)
                for (size_t p = 0; p < 2 * b->n_phrases; p++) {
                    char text[128];
                    (void)snprintf(text, sizeof text, p % 2 ? "please, %s, and be quick" : "%s.", b->phrases[p / 2]);
                    vx_audio audio = {0};
                    size_t n_mixed = 0;
                    double score = 0;
                    if (!say(say_voices[v], text, &audio))
                        continue;
                    float *mixed = in_noise(b, audio.samples, audio.n, "synthetic", SNRS_DB[s], &n_mixed);
                    const bool ok = mixed && spot(b, b->phrases[p / 2], mixed, n_mixed, &score);
                    free(mixed);
                    vx_audio_done(&audio);
                    if (!ok)
                        return false;
                    n++;
                    found += score >= 0.5;
                }
            if (n > 0) {
                printf("phrases by %-10s %4.0f dB  found ", kind ? "espeak-ng" : "flite", SNRS_DB[s]);
                print_share(found, n);
                printf("\n");
            }
        }
    return true;
}

/* What sounds like the default phrase, and says something else. */
static bool others_taken_for_it(bench *b)
{
    static const char *const texts[] = {"lock my screen", "please, lock my screen", "block my screen",
                                        "now lock my screen"};
    for (int s = 0; s < N_NOISES; s++)
        for (int kind = 0; kind < 2; kind++) {
            size_t n = 0, found = 0;
            for (size_t v = kind ? say_n_flite : 0; v < (kind ? say_n_voices : say_n_flite); v++)
                for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
                    vx_audio audio = {0};
                    size_t n_mixed = 0;
                    double score = 0;
                    if (!say(say_voices[v], texts[t], &audio))
                        continue;
                    float *mixed = in_noise(b, audio.samples, audio.n, "synthetic", SNRS_DB[s], &n_mixed);
                    const bool ok = mixed && spot(b, VX_PHRASE_DEFAULT, mixed, n_mixed, &score);
                    free(mixed);
                    vx_audio_done(&audio);
                    if (!ok)
                        return false;
                    n++;
                    found += score >= 0.5;
                }
            if (n > 0) {
                printf("\"lock my screen\" and the like by %-10s %4.0f dB  taken for the phrase ",
                       kind ? "espeak-ng" : "flite", SNRS_DB[s]);
                print_share(found, n);
                printf("\n");
            }
        }
    return true;
}

static bool false_alarms(bench *b)
{
    for (size_t p = 0; p < b->n_phrases; p++) {
        double hours = 0, highest = 0;
        size_t alarms = 0;
        for (size_t i = 0; i < b->data.n_clips; i++) {
            const mix_clip *clip = &b->data.clips[i];
            double score = 0;
            const size_t most = (size_t)VX_PHRASE_MAX_SECONDS * VX_AUDIO_RATE;
            const size_t n = clip->n < most ? clip->n : most;
            if (!spot(b, b->phrases[p], clip->samples, n, &score))
                return false;
            alarms += score >= 0.5;
            highest = fmax(highest, score);
            hours += (double)n / VX_AUDIO_RATE / 3600;
        }
        /* With none in t hours, 3 / t is the upper end of the 95 % interval. */
        printf("false alarms of \"%s\": %zu in %.2f hours, %zu recordings; highest score %.3f\n", b->phrases[p], alarms,
               hours, b->data.n_clips, highest);
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"digits", required_argument, NULL, 'd'}, {"count", required_argument, NULL, 'n'},
        {"seed", required_argument, NULL, 's'},   {"alarms", no_argument, NULL, 'a'},
        {"phrase", required_argument, NULL, 'p'}, {0}};
    const char *folder = NULL;
    size_t n = 100;
    bool alarms = false;
    const char *phrase = NULL;
    bench b = {.seed = 1, .phrases = PHRASES, .n_phrases = N_PHRASES};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 'd': folder = optarg; break;
        case 'n': n = strtoul(optarg, NULL, 10); break;
        case 's': b.seed = strtoull(optarg, NULL, 10); break;
        case 'a': alarms = true; break;
        case 'p':
            phrase = optarg;
            b.phrases = &phrase;
            b.n_phrases = 1;
            break;
        default: optind = argc; break;
        }
    if (argc - optind != 2) {
        fprintf(
            stderr,
            "usage: bench_phrase [--digits FOLDER] [--count N] [--seed N] [--alarms] [--phrase PHRASE] SPEECH NOISE\n");
        return 2;
    }
    vx_errinfo info = {0};
    const uint64_t start = vx_now_ns();
    const vx_err err = vx_phrase_open(NULL, &b.phrase, &info);
    if (err != VX_OK) {
        fprintf(stderr, "bench_phrase: %s\n", vx_errinfo_text(&info, err));
        return 1;
    }
    printf("opened in %.0f ms; seed %" PRIu64 "\n", vx_ms_since(start), b.seed);
    bool ok = mix_load(argv[optind], argv[optind + 1], "", 0, b.seed, &b.data);
    ok = ok && synthetic_digits(&b, (n + say_n_voices - 1) / say_n_voices);
    ok = ok && (folder == NULL || human_digits(&b, folder, n));
    ok = ok && phrases_found(&b) && others_taken_for_it(&b) && (!alarms || false_alarms(&b));
    if (ok)
        printf("time: %.1f %% of the length of a recording\n", 100 * b.wall_s / b.audio_s);
    mix_done(&b.data);
    vx_phrase_close(b.phrase);
    return ok ? 0 : 1;
}
