/* test_phrase.c - digits and phrases in speech of which is known what it holds, and in what is no speech.
 * What needs the plugin, the model (pocketsphinx-en-us) or a synthesiser (flite) skips without it.
 */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/challenge/challenge.h"
#include "edge/challenge/phrase.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/say.h"
#include "tests/support/scratch.h"
#include "tests/support/stats.h"

#if defined(__SANITIZE_ADDRESS__)
#define LEAKS_ARE_REPORTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAKS_ARE_REPORTED 1
#endif
#endif

enum { SECOND = VX_AUDIO_RATE, ROOM = SECOND / 5, N_DIGITS = VX_CHALLENGE_DIGITS };
static const double PI = 3.14159265358979323846;

/* ---- recordings --------------------------------------------------------------------------------------------------------- */

typedef struct {
    float *samples;
    size_t n;
} clip;

static clip clip_make(size_t n)
{
    clip c = {calloc(n + 1, sizeof *c.samples), n};
    assert_non_null(c.samples);
    return c;
}

/* Faint, so that silence is not digital silence: the same for every run. */
static void add_noise(clip *c, double amplitude, uint64_t seed)
{
    for (size_t i = 0; i < c->n; i++)
        c->samples[i] += (float)(amplitude * ((double)(stats_random(&seed) >> 11) / (double)(1ULL << 52) - 1));
}

/* Words with room around them; skips the test where nobody can say them. */
static clip spoken(const char *voice, const char *text)
{
    vx_audio audio = {0};
    if (!say(voice, text, &audio)) {
        print_message("# no synthesiser for %s\n", voice);
        skip();
    }
    clip c = clip_make(audio.n + 2 * (size_t)ROOM);
    memcpy(c.samples + ROOM, audio.samples, audio.n * sizeof *audio.samples);
    vx_audio_done(&audio);
    add_noise(&c, 1e-4, 1);
    return c;
}

static int open_phrase(void **state)
{
    vx_phrase *p = NULL;
    vx_errinfo info = {0};
    const vx_err err = vx_phrase_open(NULL, &p, &info);
    if (err != VX_OK)
        print_message("# %s\n", vx_errinfo_text(&info, err));
    /* A fault of ours is no reason to skip. */
    assert_true(err == VX_OK || err == VX_ERR_UNSUPPORTED || err == VX_ERR_NOT_FOUND);
    *state = p;
    return 0;
}

static int close_phrase(void **state)
{
    vx_phrase_close(*state);
    return 0;
}

static vx_phrase *opened(void **state)
{
    if (!*state)
        skip();
    return *state;
}

static void digits_of(vx_phrase *p, size_t n_digits, const clip *c, char ret_digits[VX_DIGITS_CAP])
{
    vx_errinfo info = {0};
    if (vx_phrase_digits(p, n_digits, c->samples, c->n, ret_digits, &info) != VX_OK)
        fail_msg("%s", info.text);
}

/* ---- digits ------------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *text, *digits;
} said[] = {
    {"four, seven, one, nine, zero", "47190"},  {"three, eight, two, six, five", "38265"},
    {"nine, zero, nine, one, three", "90913"},  {"six, two, eight, four, seven", "62847"},
    {"five, one, zero, three, eight", "51038"},
};
enum { N_SAID = sizeof said / sizeof *said };
static const char *const voices[] = {"flite:slt", "flite:rms"};
enum { N_VOICES = sizeof voices / sizeof *voices };

/* How often it errs is measured by tests/bench/bench_phrase.c; here are clear voices, which are to be understood. */
static void test_digits(void **state)
{
    vx_phrase *p = opened(state);
    for (int v = 0; v < N_VOICES; v++)
        for (int i = 0; i < N_SAID; i++) {
            char heard[VX_DIGITS_CAP] = "?";
            clip c = spoken(voices[v], said[i].text);
            digits_of(p, N_DIGITS, &c, heard);
            assert_string_equal(heard, said[i].digits);
            free(c.samples);
        }
}

/* A challenge, answered by a voice. ret_shown [out] "4 7 1 9 0" */
static vx_challenge_result answer_aloud(vx_phrase *p, bool right, char ret_shown[VX_CHALLENGE_TEXT])
{
    vx_challenge *challenge = NULL;
    char words[VX_CHALLENGE_TEXT], text[2 * VX_CHALLENGE_TEXT], heard[VX_DIGITS_CAP];
    assert_int_equal(vx_challenge_create(0, vx_clock_monotonic(), &challenge), VX_OK);
    vx_challenge_text(challenge, ret_shown, words);
    size_t at = 0;
    for (const char *w = words; *w; w++)
        at += (size_t)snprintf(text + at, sizeof text - at, *w == ' ' ? ", " : "%c", *w);
    clip c = spoken("flite:slt", right ? text : said[ret_shown[0] == '4'].text); /* another row for certain */
    digits_of(p, N_DIGITS, &c, heard);
    const vx_challenge_result result = vx_challenge_answer(challenge, heard);
    vx_challenge_destroy(challenge);
    free(c.samples);
    return result;
}

/* The whole of it. Digits drawn anew are now and then misheard, so that one of several has to pass: all of eight fail in
 * one run of 10^8 if one in ten does. */
static void test_challenge_by_voice(void **state)
{
    vx_phrase *p = opened(state);
    char shown[VX_CHALLENGE_TEXT];
    bool passed = false;
    for (int tries = 0; tries < 8 && !passed; tries++) {
        passed = answer_aloud(p, true, shown) == VX_CHALLENGE_PASSED;
        print_message("# asked for and said %s: %s\n", shown, passed ? "passed" : "misheard");
    }
    assert_true(passed);
    for (int i = 0; i < 3; i++)
        assert_int_equal(answer_aloud(p, false, shown), VX_CHALLENGE_WRONG);
}

/* A recogniser that adapts to what it hears would judge a recording by those before it. */
static void test_nothing_is_kept(void **state)
{
    vx_phrase *p = opened(state);
    char first[VX_DIGITS_CAP], between[VX_DIGITS_CAP], again[VX_DIGITS_CAP];
    clip a = spoken("flite:awb", said[0].text), b = clip_make(3 * (size_t)SECOND);
    add_noise(&b, 0.5, 7);
    digits_of(p, 0, &a, first);
    digits_of(p, 0, &b, between);
    digits_of(p, 0, &a, again);
    assert_string_equal(first, again);
    free(a.samples);
    free(b.samples);
}

static void test_any_number_of_digits(void **state)
{
    vx_phrase *p = opened(state);
    char heard[VX_DIGITS_CAP];
    clip c = spoken("flite:rms", "three, eight, two");
    digits_of(p, 3, &c, heard);
    assert_string_equal(heard, "382");
    digits_of(p, 0, &c, heard);
    assert_non_null(strstr(heard, "8"));
    free(c.samples);
}

/* ---- what is no answer ---------------------------------------------------------------------------------------------------- */

typedef void make_sound(clip *c);

static void silence(clip *c)
{
    (void)c;
}
static void white_noise(clip *c)
{
    add_noise(c, 0.3, 3);
}
static void tone(clip *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->samples[i] = (float)(0.4 * sin(2 * PI * 440 * (double)i / SECOND));
}
/* Chords with harmonics, changing twice a second. */
static void music(clip *c)
{
    static const double roots[] = {220, 174.6, 261.6, 196};
    for (size_t i = 0; i < c->n; i++) {
        const double root = roots[i / (SECOND / 2) % 4], t = (double)i / SECOND;
        double sum = 0;
        for (int h = 1; h <= 6; h++)
            sum +=
                (sin(2 * PI * root * h * t) + sin(2 * PI * root * 1.25 * h * t) + sin(2 * PI * root * 1.5 * h * t)) / h;
        c->samples[i] = (float)(0.1 * sum * exp(-3 * fmod(t, 0.5)));
    }
}
static void clipped(clip *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->samples[i] = i / 40 % 2 ? 1e30F : -1e30F;
}
static void constant(clip *c)
{
    for (size_t i = 0; i < c->n; i++)
        c->samples[i] = 1.0F;
}
static void one_click(clip *c)
{
    if (c->n > 0)
        c->samples[c->n / 2] = 1.0F;
}

static void test_no_speech(void **state)
{
    static const struct {
        const char *name;
        make_sound *make;
    } sounds[] = {{"silence", silence}, {"white noise", white_noise}, {"tone", tone},          {"music", music},
                  {"clipped", clipped}, {"constant", constant},       {"one click", one_click}};
    static const size_t lengths[] = {0, 1, 159, 1599, 1600, 1601, 2000, 4800, 3 * SECOND};
    vx_phrase *p = opened(state);
    for (size_t s = 0; s < sizeof sounds / sizeof *sounds; s++)
        for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++)
            for (size_t n_digits = 0; n_digits <= N_DIGITS; n_digits += N_DIGITS) {
                clip c = clip_make(lengths[l]);
                sounds[s].make(&c);
                char heard[VX_DIGITS_CAP] = "?";
                const char *const phrase = VX_PHRASE_DEFAULT;
                int found = 7;
                double score = 7;
                digits_of(p, n_digits, &c, heard);
                if (n_digits > 0 && heard[0] != '\0')
                    assert_int_equal(strlen(heard), n_digits);
                if (lengths[l] < 1600)
                    assert_string_equal(heard, "");
                assert_int_equal(vx_phrase_spot(p, &phrase, 1, c.samples, c.n, &found, &score, NULL), VX_OK);
                if (found != -1)
                    fail_msg("%s, %zu samples: the phrase is found", sounds[s].name, c.n);
                assert_true(score >= 0 && score < 0.5);
                free(c.samples);
            }
}

/* Whatever is said, it is refused: a challenge is drawn for each, and passed by none. */
static void test_other_words(void **state)
{
    static const char *const texts[] = {"unlock my screen", "good morning, how are you today", "la la la la", "one",
                                        "ten eleven twelve thirteen fourteen"};
    vx_phrase *p = opened(state);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char heard[VX_DIGITS_CAP];
        uint64_t seed = i;
        clip c = spoken(voices[stats_random(&seed) % N_VOICES], texts[i]);
        digits_of(p, N_DIGITS, &c, heard);
        assert_true(heard[0] == '\0' || strlen(heard) == N_DIGITS);
        free(c.samples);
    }
}

static void test_unusable_recordings(void **state)
{
    vx_phrase *p = opened(state);
    clip c = clip_make((size_t)VX_PHRASE_MAX_SECONDS * SECOND + 1);
    const char *const phrase = VX_PHRASE_DEFAULT;
    char heard[VX_DIGITS_CAP] = "?";
    int found = 7;
    double score = 7;
    for (int kind = 0; kind < 4; kind++) {
        const size_t n = kind == 0 ? c.n : SECOND;
        c.samples[SECOND / 2] = kind == 1 ? NAN : kind == 2 ? INFINITY : kind == 3 ? -INFINITY : 0;
        vx_errinfo info = {0};
        assert_int_equal(vx_phrase_digits(p, N_DIGITS, c.samples, n, heard, &info), VX_ERR_RANGE);
        assert_int_equal(info.code, VX_ERR_RANGE);
        assert_int_equal(vx_phrase_spot(p, &phrase, 1, c.samples, n, &found, &score, NULL), VX_ERR_RANGE);
    }
    c.samples[SECOND / 2] = 0;
    assert_int_equal(vx_phrase_digits(p, VX_DIGITS_MAX + 1, c.samples, SECOND, heard, NULL), VX_ERR_RANGE);
    assert_string_equal(heard, "?");
    assert_int_equal(found, 7);
    assert_true(score > 6);
    free(c.samples);
}

/* ---- phrases -------------------------------------------------------------------------------------------------------------- */

static void test_spot(void **state)
{
    static const char *const phrases[] = {"open sesame", VX_PHRASE_DEFAULT, "hello computer"};
    static const struct {
        const char *text;
        int found;
    } cases[] = {
        {"unlock my screen", 1},
        {"please, unlock my screen, and be quick", 1},
        {"open sesame", 0},
        {"hello computer, are you there", 2},
        {"four, seven, one, nine, zero", -1},
        {"the weather is going to be fine tomorrow", -1},
        {"unlock the garden door", -1},
        {"open the window, please", -1},
        {"lock my screen", -1}, /* the opposite */
        {"please, lock my screen", -1},
        {"block my screen", -1},
    };
    vx_phrase *p = opened(state);
    for (int v = 0; v < N_VOICES; v++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            clip c = spoken(voices[v], cases[i].text);
            int found = 7;
            double score = 7;
            assert_int_equal(vx_phrase_spot(p, phrases, 3, c.samples, c.n, &found, &score, NULL), VX_OK);
            print_message("# %s: %s: %d, %.3f\n", voices[v], cases[i].text, found, score);
            assert_int_equal(found, cases[i].found);
            assert_true(found >= 0 ? score >= 0.5 && score <= 1 : score >= 0 && score < 0.5);
            free(c.samples);
        }
}

static void test_phrases_that_cannot_be(void **state)
{
    static const struct {
        const char *phrase;
        vx_err err;
        const char *says; /* part of the sentence */
    } cases[] = {
        {VX_PHRASE_DEFAULT, VX_OK, NULL},
        {"let's  go  home now", VX_OK, NULL},
        {"unlock my sqreen", VX_ERR_OPTION_VALUE, "'sqreen'"},
        {"zzxqj please open up", VX_ERR_OPTION_VALUE, "'zzxqj'"},
        {"Unlock my screen", VX_ERR_OPTION_VALUE, "lower-case"},
        {"unlock my screen 2", VX_ERR_OPTION_VALUE, "lower-case"},
        {"unlock my screen(2)", VX_ERR_OPTION_VALUE, "lower-case"},
        {"unlock\nmy screen", VX_ERR_OPTION_VALUE, "lower-case"},
        {"unlock /1e-9/", VX_ERR_OPTION_VALUE, "lower-case"},
        {"d\xc3\xa9verrouille", VX_ERR_OPTION_VALUE, "lower-case"},
        {"", VX_ERR_OPTION_VALUE, "too short"},
        {"   ", VX_ERR_OPTION_VALUE, "too short"},
        {"go", VX_ERR_OPTION_VALUE, "too short"},
        {"open open open open open open open open open open open open open", VX_OK, NULL},
        {"open open open open open open open open open open open open opens", VX_ERR_OPTION_VALUE, "at most"},
    };
    vx_phrase *p = opened(state);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const phrases[] = {VX_PHRASE_DEFAULT, cases[i].phrase};
        int found = 7;
        double score = 7;
        vx_errinfo info = {0};
        const vx_err err = vx_phrase_spot(p, phrases, 2, NULL, 0, &found, &score, &info);
        print_message("# %s: %s\n", cases[i].phrase, info.text);
        assert_int_equal(err, cases[i].err);
        assert_int_equal(found, err == VX_OK ? -1 : 7);
        if (cases[i].says)
            assert_non_null(strstr(info.text, cases[i].says));
    }
    static const char *const many[VX_PHRASES_MAX + 1] = {VX_PHRASE_DEFAULT};
    int found = 7;
    double score = 7;
    assert_int_equal(vx_phrase_spot(p, many, 0, NULL, 0, &found, &score, NULL), VX_ERR_RANGE);
    assert_int_equal(vx_phrase_spot(p, many, VX_PHRASES_MAX + 1, NULL, 0, &found, &score, NULL), VX_ERR_RANGE);
}

/* ---- models that are none -------------------------------------------------------------------------------------------------- */

#define MODEL "/usr/share/pocketsphinx/model/en-us/"

static vx_buf read_model(const char *name)
{
    char path[256];
    vx_buf content = {0};
    FILE *file = fopen((snprintf(path, sizeof path, MODEL "%s", name), path), "rb");
    if (!file)
        skip();
    char block[4096];
    for (size_t n; (n = fread(block, 1, sizeof block, file)) > 0;)
        assert_int_equal(vx_buf_append(&content, block, n), VX_OK);
    (void)fclose(file);
    return content;
}

static void make_folder(const scratch *s, const char *name)
{
    char path[256];
    assert_int_equal(mkdir(scratch_path(s, name, path, sizeof path), 0700), 0);
}

static void test_no_model(void **state)
{
    (void)opened(state);
    static const char digits[] = "zero Z IH R OW\none W AH N\ntwo T UW\nthree TH R IY\nfour F AO R\nfive F AY V\n"
                                 "six S IH K S\nseven S EH V AH N\neight EY T\n";
    vx_phrase *p = NULL;
    vx_errinfo info = {0};
    scratch s = scratch_make();
    assert_int_equal(vx_phrase_open("/nowhere", &p, NULL), VX_ERR_NOT_FOUND);
    assert_int_equal(vx_phrase_open(s.path, &p, NULL), VX_ERR_NOT_FOUND);
    scratch_write(&s, "cmudict-en-us.dict", digits, sizeof digits - 1);
    assert_int_equal(vx_phrase_open(s.path, &p, &info), VX_ERR_NOT_FOUND);
    assert_non_null(strstr(info.text, "acoustic"));
    char path[256];
    assert_int_equal(symlink(MODEL "en-us", scratch_path(&s, "en-us", path, sizeof path)), 0);
    info = (vx_errinfo){0};
    assert_int_equal(vx_phrase_open(s.path, &p, &info), VX_ERR_MODEL_CORRUPT);
    assert_non_null(strstr(info.text, "'nine'"));
    assert_null(p);
    scratch_done(&s);
}

/* Files that are missing or empty. The library ends the program over some of them, if it is let; what it held then is lost,
 * which a sanitizer would report. */
static void test_broken_model(void **state)
{
    (void)opened(state);
#ifdef LEAKS_ARE_REPORTED
    print_message("# the library leaks when it gives up\n");
    skip();
#endif
    static const char *const files[] = {"mdef", "means", "variances", "sendump", "transition_matrices", "noisedict"};
    enum { N_FILES = sizeof files / sizeof *files };
    vx_buf dictionary = read_model("cmudict-en-us.dict"), content[N_FILES] = {{0}};
    for (int i = 0; i < N_FILES; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "en-us/%s", files[i]);
        content[i] = read_model(name);
    }
    for (int broken = 0; broken < N_FILES - 1; broken++)
        for (int kind = 0; kind < 2; kind++) {
            scratch s = scratch_make();
            make_folder(&s, "en-us");
            scratch_write(&s, "cmudict-en-us.dict", dictionary.data, dictionary.len);
            for (int i = 0; i < N_FILES; i++) {
                char name[64];
                (void)snprintf(name, sizeof name, "en-us/%s", files[i]);
                if (i != broken || kind == 0)
                    scratch_write(&s, name, content[i].data, i == broken ? 0 : content[i].len);
            }
            vx_phrase *p = NULL;
            vx_errinfo info = {0};
            const vx_err err = vx_phrase_open(s.path, &p, &info);
            print_message("# %s %s: %s\n", files[broken], kind ? "missing" : "empty", info.text);
            assert_int_equal(err, VX_ERR_ENGINE);
            assert_null(p);
            scratch_done(&s);
        }
    vx_buf_done(&dictionary);
    for (int i = 0; i < N_FILES; i++)
        vx_buf_done(&content[i]);
    /* A recogniser that is in use is not disturbed by one that gave up. */
    test_digits(state);
}

/* ---- manners ----------------------------------------------------------------------------------------------------------------- */

/* The library is talkative. */
static void test_says_nothing(void **state)
{
    vx_phrase *p = opened(state);
    scratch s = scratch_make();
    char path[256], heard[VX_DIGITS_CAP];
    const int file = open(scratch_path(&s, "said", path, sizeof path), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    const int usual = dup(STDERR_FILENO), usual_out = dup(STDOUT_FILENO);
    assert_true(file >= 0 && usual >= 0 && usual_out >= 0);
    fflush(stdout);
    assert_true(dup2(file, STDERR_FILENO) >= 0 && dup2(file, STDOUT_FILENO) >= 0);

    vx_phrase *another = NULL;
    const vx_err opened_another = vx_phrase_open(NULL, &another, NULL);
    clip c = clip_make(SECOND);
    add_noise(&c, 0.1, 5);
    const vx_err recognised = vx_phrase_digits(another ? another : p, N_DIGITS, c.samples, c.n, heard, NULL);
    vx_phrase_close(another);
    fflush(stdout);
    fflush(stderr);

    assert_true(dup2(usual, STDERR_FILENO) >= 0 && dup2(usual_out, STDOUT_FILENO) >= 0);
    close(usual);
    close(usual_out);
    close(file);
    vx_buf said_aloud = scratch_read(&s, "said");
    if (said_aloud.len > 0)
        fail_msg("it said: %.*s", (int)(said_aloud.len < 200 ? said_aloud.len : 200), (const char *)said_aloud.data);
    vx_buf_done(&said_aloud);
    assert_int_equal(opened_another, VX_OK);
    assert_int_equal(recognised, VX_OK);
    free(c.samples);
    scratch_done(&s);
}

static vx_err open_and_close(void *ctx)
{
    (void)ctx;
    vx_phrase *p = NULL;
    const vx_err err = vx_phrase_open(NULL, &p, NULL);
    vx_phrase_close(p);
    return err;
}

static vx_err hear(void *ctx)
{
    static float samples[SECOND];
    char heard[VX_DIGITS_CAP];
    return vx_phrase_digits(ctx, N_DIGITS, samples, SECOND, heard, NULL);
}

static void test_memory(void **state)
{
    vx_phrase *p = opened(state);
    vx_phrase_close(NULL);
    if (!vx_alloc_fail_works())
        skip();
    vx_alloc_fail_each(open_and_close, NULL);
    vx_alloc_fail_each(hear, p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digits),
        cmocka_unit_test(test_challenge_by_voice),
        cmocka_unit_test(test_nothing_is_kept),
        cmocka_unit_test(test_any_number_of_digits),
        cmocka_unit_test(test_no_speech),
        cmocka_unit_test(test_other_words),
        cmocka_unit_test(test_unusable_recordings),
        cmocka_unit_test(test_spot),
        cmocka_unit_test(test_phrases_that_cannot_be),
        cmocka_unit_test(test_no_model),
        cmocka_unit_test(test_broken_model),
        cmocka_unit_test(test_says_nothing),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, open_phrase, close_phrase);
}
