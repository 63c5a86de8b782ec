/* test_spoof_lab.c - the spoof laboratory's frame, ear, loudspeakers, codecs and repeats, on the bundled readers.
 * Owns:   what holds for every clip of these kinds, and the physics of each step against signals whose answer is known.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "shared/audio/decode.h"
#include "tests/bench/spoof/codec.h"
#include "tests/bench/spoof/ear.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/bench/spoof/lab_data.h"
#include "tests/bench/spoof/loudspeaker.h"
#include "tests/support/clip.h"
#include "tests/support/encode.h"
#include "tests/support/scratch.h"

enum { SECOND = LAB_RATE, N_NOISE = 3 * SECOND };

static const lab_kind *const tables[] = {lab_living_kinds, lab_replay_kinds, lab_codec_kinds, lab_repeat_kinds};
enum { N_TABLES = sizeof tables / sizeof *tables };

static vx_audio reader;
static float noise_samples[N_NOISE];
static const lab_noise noise = {"hiss", noise_samples, N_NOISE};

static lab_original original_with(uint64_t seed)
{
    lab_original o = {.voice = {.path = "reader1_b.flac"}, .noises = &noise, .n_noises = 1};
    lab_original_cut(reader.samples, reader.n, seed, &o);
    return o;
}

static int load(void **state)
{
    uint64_t seed = 11;
    (void)state;
    reader = clip_audio("reader1_b.flac");
    lab_hiss(&seed, -40, noise_samples, N_NOISE);
    /* Cut once for good: originals of any seed are then the same samples. */
    lab_original o = original_with(1);
    reader.n = o.voice.n;
    return 0;
}

static int unload(void **state)
{
    (void)state;
    vx_audio_done(&reader);
    return 0;
}

/* ---- measuring -------------------------------------------------------------------------------------------------------- */

/* A sine of `hz` and amplitude `level`. */
static lab_clip tone(double hz, double level, size_t n)
{
    lab_clip clip = {0};
    lab_take(&clip, lab_alloc(n, sizeof(float)), n);
    for (size_t i = 0; i < n; i++)
        clip.samples[i] = (float)(level * sin(2 * LAB_PI * hz * (double)i / LAB_RATE));
    return clip;
}

/* Amplitude of a frequency that has whole periods in the middle second, dB. */
static double amplitude_db(const float *samples, size_t n, double hz)
{
    double re = 0, im = 0;
    const size_t from = (n - SECOND) / 2;
    for (size_t i = 0; i < SECOND; i++) {
        const double arc = 2 * LAB_PI * hz * (double)i / LAB_RATE;
        re += cos(arc) * (double)samples[from + i];
        im += sin(arc) * (double)samples[from + i];
    }
    return 10 * log10(fmax(1e-20, 4 * (re * re + im * im) / SECOND / SECOND));
}

/* What is left of a tone's middle second beside the tone, dB below it. */
static double tone_to_rest_db(const float *samples, size_t n, double hz)
{
    const size_t from = (n - SECOND) / 2;
    double power = 0;
    for (size_t i = 0; i < SECOND; i++)
        power += (double)samples[from + i] * (double)samples[from + i] / SECOND;
    const double of_tone = pow(10, amplitude_db(samples, n, hz) / 10) / 2;
    return 10 * log10(of_tone / fmax(1e-20, power - of_tone));
}

static double correlation(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

/* Level above a frequency, dB below the whole. */
static double above_db(const float *samples, size_t n, double hz)
{
    float *high = lab_alloc(n, sizeof *high);
    memcpy(high, samples, n * sizeof *high);
    lab_cut_below(hz, 12, high, n);
    const double db = lab_speech_db(high, n) - lab_speech_db(samples, n);
    free(high);
    return db;
}

/* ---- every kind ------------------------------------------------------------------------------------------------------- */

static void every_kind_is_named_once_and_grouped(void **state)
{
    (void)state;
    for (size_t t = 0; lab_kinds[t] != NULL; t++)
        for (const lab_kind *k = lab_kinds[t]; k->kind != NULL; k++) {
            assert_ptr_equal(lab_kind_named(k->kind), k);
            assert_non_null(k->make);
            assert_int_equal(k->spoof, strcmp(k->group, "bonafide") != 0);
            assert_true(k->spoof || !k->held_out);
        }
    assert_null(lab_kind_named("replay"));
}

static void check_clip(const lab_kind *kind, const lab_clip *clip, const lab_original *o)
{
    assert_int_equal(clip->n, o->voice.n - 2 * (size_t)LAB_MARGIN);
    assert_true(vx_audio_is_finite(clip->samples, clip->n));
    for (size_t i = 0; i < clip->n; i++) {
        const float scaled = clip->samples[i] * 32768;
        if (scaled != rintf(scaled) || fabsf(scaled) > 32768)
            fail_msg("%s: sample %zu is not of 16 bits: %g", kind->kind, i, (double)clip->samples[i]);
    }
    const double db = lab_speech_db(clip->samples, clip->n);
    if (db < -50 || db > -8)
        fail_msg("%s: speech at %.1f dBFS", kind->kind, db);
    assert_true(clip->parameters[0] != '\0');
    assert_null(strpbrk(clip->parameters, "\t\n"));
    /* The recording itself is nowhere: not even "plain" is a copy. */
    if (correlation(clip->samples, o->voice.samples + LAB_MARGIN, clip->n) > 0.99999)
        fail_msg("%s: is the original", kind->kind);
}

static void every_kind_makes_a_clip_fixed_by_seed(void **state)
{
    (void)state;
    const lab_original o = original_with(7), other = original_with(8);
    for (size_t t = 0; t < N_TABLES; t++)
        for (const lab_kind *k = tables[t]; k->kind != NULL; k++) {
            lab_clip clip = {0}, again = {0}, differs = {0};
            assert_true(lab_make(k, &o, &clip));
            check_clip(k, &clip, &o);
            assert_true(lab_make(k, &o, &again));
            assert_memory_equal(clip.samples, again.samples, clip.n * sizeof *clip.samples);
            assert_string_equal(clip.parameters, again.parameters);
            assert_true(lab_make(k, &other, &differs));
            assert_memory_not_equal(clip.samples, differs.samples, clip.n * sizeof *clip.samples);
            lab_clip_done(&clip);
            lab_clip_done(&again);
            lab_clip_done(&differs);
        }
}

static void a_telephone_call_stays_one(void **state)
{
    (void)state;
    float *call = lab_alloc(reader.n, sizeof *call);
    memcpy(call, reader.samples, reader.n * sizeof *call);
    lab_telephone(LAB_CODEC_ULAW, call, reader.n);
    lab_original o = {.voice = {.path = "call"}, .noises = &noise, .n_noises = 1};
    lab_original_cut(call, reader.n, 3, &o);
    assert_true(o.narrow);
    assert_false(original_with(3).narrow);
    static const char *const kinds[] = {"plain", "nuisance_noise", "nuisance_mixed", "replay_phone"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        lab_clip clip = {0};
        assert_true(lab_make(lab_kind_named(kinds[i]), &o, &clip));
        assert_true(above_db(clip.samples, clip.n, 4400) < -50);
        lab_clip_done(&clip);
    }
    free(call);
}

/* ---- the ear ---------------------------------------------------------------------------------------------------------- */

static void noise_has_the_level_that_it_says(void **state)
{
    (void)state;
    const lab_original o = original_with(5);
    static const double snrs[] = {5, 17.5, 30};
    for (size_t s = 0; s < sizeof snrs / sizeof *snrs; s++) {
        uint64_t seed = 21;
        double power = 0;
        lab_clip clip = {0};
        lab_start(&o, &clip);
        lab_in_noise(&o, snrs[s], &seed, &clip);
        for (size_t i = 0; i < clip.n; i++)
            power += pow((double)clip.samples[i] - (double)o.voice.samples[i], 2) / (double)clip.n;
        const double snr = lab_speech_db(o.voice.samples, o.voice.n) - 10 * log10(power);
        assert_true(fabs(snr - snrs[s]) < 0.1);
        lab_clip_done(&clip);
    }
}

static void a_room_answers_after_the_sound_and_not_before(void **state)
{
    (void)state;
    uint64_t seed = 4;
    lab_clip clip = tone(0, 0, 2 * SECOND);
    clip.samples[SECOND] = 1;
    lab_in_room("room", 0.5, 1, &seed, &clip);
    assert_non_null(strstr(clip.parameters, "room_rt60=0.50 room_m=1.00"));
    double before = 0, late = 0, later = 0;
    for (size_t i = 0; i < SECOND / 10; i++) {
        before += pow((double)clip.samples[SECOND - 1 - i], 2);
        late += pow((double)clip.samples[SECOND + SECOND / 10 + i], 2);
        later += pow((double)clip.samples[SECOND + 3 * SECOND / 10 + i], 2);
    }
    /* 60 dB in 0.5 s are 24 dB in 0.2 s. */
    const double fall = 10 * log10(late / later);
    assert_true(before < 1e-6 * late);
    assert_true(fall > 16 && fall < 34);
    lab_clip_done(&clip);
}

static void ears_leave_what_is_dry_without_a_room(void **state)
{
    (void)state;
    const lab_original o = original_with(6);
    for (int ear = 0; ear < LAB_N_EARS; ear++) {
        lab_clip dry = {0}, in_room = {0};
        uint64_t seed = 31, same = 31;
        lab_start(&o, &dry);
        lab_start(&o, &in_room);
        lab_hear(&o, (lab_ear)ear, LAB_DRY, &seed, &dry);
        lab_hear(&o, (lab_ear)ear, LAB_IN_ROOM, &same, &in_room);
        assert_null(strstr(dry.parameters, "room_rt60="));
        assert_non_null(strstr(in_room.parameters, "room_rt60="));
        lab_clip_done(&dry);
        lab_clip_done(&in_room);
    }
}

/* Conversions decorrelate at once, since they move what the waveform is made of; a cold may not. */
static void a_cold_is_no_conversion(void **state)
{
    (void)state;
    int found = 0;
    for (uint64_t s = 1; s < 60 && found < 3; s++) {
        const lab_original o = original_with(s);
        lab_clip cold = {0};
        assert_true(lab_make(lab_kind_named("nuisance_cold"), &o, &cold));
        if (strstr(cold.parameters, "ear=plain") != NULL) {
            const double r = correlation(cold.samples, o.voice.samples + LAB_MARGIN, cold.n);
            assert_true(r > 0.75 && r < 0.999);
            found++;
        }
        lab_clip_done(&cold);
    }
    assert_int_equal(found, 3);
}

/* ---- loudspeakers ----------------------------------------------------------------------------------------------------- */

/* By design a specimen of mean drive (-4.6 dB) has a second harmonic 4.6 dB below the mean of its range, a third 9.2 dB;
 * where there is a compressor, it takes up to 10 dB from a steady tone, so up to 10 and 20 from these. */
static void loudspeakers_distort_and_lose_bass(void **state)
{
    (void)state;
    enum { SPECIMENS = 12 };
    static const struct {
        lab_loudspeaker which;
        double second_db[2], third_db[2], bass_db[2]; /* means; bass: 100 Hz against 1,500 Hz */
    } rows[] = {
        {LAB_PHONE, {-54, -40}, {-64, -45}, {-70, -40}},    {LAB_LAPTOP, {-61, -46}, {-67, -50}, {-45, -20}},
        {LAB_BLUETOOTH, {-64, -48}, {-71, -52}, {-15, -2}}, {LAB_TV, {-57, -45}, {-70, -48}, {-25, -4}},
        {LAB_STUDIO, {-67, -60}, {-72, -64}, {-2, 2}},      {LAB_HEADSET, {-63, -50}, {-70, -55}, {-20, 0}},
        {LAB_IDEAL, {-200, -85}, {-200, -85}, {-0.5, 0.5}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double second = 0, third = 0, bass = 0;
        for (uint64_t s = 0; s < SPECIMENS; s++) {
            uint64_t seed = s, same = s;
            lab_clip high = tone(1500, 0.3, 2 * SECOND), low = tone(100, 0.3, 2 * SECOND);
            lab_play(rows[i].which, &seed, &high);
            lab_play(rows[i].which, &same, &low);
            const double level = amplitude_db(high.samples, high.n, 1500);
            second += (amplitude_db(high.samples, high.n, 3000) - level) / SPECIMENS;
            third += (amplitude_db(high.samples, high.n, 4500) - level) / SPECIMENS;
            bass += (amplitude_db(low.samples, low.n, 100) - level) / SPECIMENS;
            lab_clip_done(&high);
            lab_clip_done(&low);
        }
        if (second < rows[i].second_db[0] || second > rows[i].second_db[1] || third < rows[i].third_db[0] ||
            third > rows[i].third_db[1] || bass < rows[i].bass_db[0] || bass > rows[i].bass_db[1])
            fail_msg("%s: harmonics %.1f and %.1f dB, bass %.1f dB", lab_loudspeaker_name(rows[i].which), second, third,
                     bass);
    }
}

/* Of a loudspeaker that adds nothing, the band edge must not be told either. */
static void an_ideal_loudspeaker_is_not_heard(void **state)
{
    (void)state;
    const lab_original o = original_with(9);
    uint64_t seed = 2;
    lab_clip clip = {0};
    lab_start(&o, &clip);
    lab_play(LAB_IDEAL, &seed, &clip);
    assert_true(fabs(above_db(clip.samples, clip.n, 7400) - above_db(o.voice.samples, o.voice.n, 7400)) < 0.5);
    /* Its high-pass filter at 20 Hz turns the phase far above that. */
    float *voice = lab_alloc(o.voice.n, sizeof *voice);
    memcpy(voice, o.voice.samples, o.voice.n * sizeof *voice);
    lab_cut_below(300, 2, voice, o.voice.n);
    lab_cut_below(300, 2, clip.samples, clip.n);
    assert_true(correlation(clip.samples, voice, clip.n) > 0.99);
    free(voice);
    lab_clip_done(&clip);
}

/* ---- codecs ----------------------------------------------------------------------------------------------------------- */

static void codecs_keep_step_and_add_their_noise(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        lab_codec codec;
        double kbps, snr_db[2]; /* kbps 0: lab_telephone. G.711 has 38 dB by its design; the others as measured, +-5 */
    } rows[] = {
        {"ulaw", LAB_CODEC_ULAW, 0, {36, 39}},      {"cvsd", LAB_CODEC_CVSD, 0, {30, 40}},
        {"mp3 64", LAB_CODEC_MP3, 64, {15, 25}},    {"mp3 20", LAB_CODEC_MP3, 20, {12, 22}},
        {"vorbis", LAB_CODEC_VORBIS, 40, {14, 24}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const bool call = rows[i].kbps <= 0;
        double snr;
        if (call) {
            lab_clip clip = tone(1013, 0.3, 2 * SECOND);
            lab_telephone(rows[i].codec, clip.samples, clip.n);
            snr = tone_to_rest_db(clip.samples, clip.n, 1013);
            lab_clip_done(&clip);
        } else {
            float *back = lab_alloc(reader.n, sizeof *back);
            memcpy(back, reader.samples, reader.n * sizeof *back);
            assert_true(lab_recode(rows[i].codec, rows[i].kbps, back, reader.n));
            const double r = correlation(back, reader.samples, reader.n);
            snr = 10 * log10(r * r / fmax(1e-9, 1 - r * r));
            free(back);
        }
        if (snr < rows[i].snr_db[0] || snr > rows[i].snr_db[1])
            fail_msg("%s: %.1f dB", rows[i].name, snr);
    }
}

/* A constant goes through resamplers as it is; libsndfile's G.711 is another's work. */
static void the_telephone_is_g711(void **state)
{
    (void)state;
    for (int i = -12; i <= 12; i++) {
        float level[SECOND], call[SECOND];
        vx_buf file = {0};
        vx_audio audio = {0};
        for (size_t k = 0; k < SECOND; k++)
            call[k] = level[k] = copysignf(powf(0.7F, (float)abs(i)), (float)i);
        assert_int_equal(encode_audio(ENCODE_WAV_ULAW, level, SECOND, LAB_RATE, 1, &file), 0);
        assert_int_equal(vx_audio_decode(file.data, file.len, VX_FORMAT_WAV, 0, &audio, NULL), VX_OK);
        lab_telephone(LAB_CODEC_ULAW, call, SECOND);
        assert_true(fabsf(call[SECOND / 2] - audio.samples[SECOND / 2]) < 2e-4F);
        vx_buf_done(&file);
        vx_audio_done(&audio);
    }
}

static void less_bits_are_more_noise(void **state)
{
    (void)state;
    for (lab_codec codec = LAB_CODEC_OPUS; codec <= LAB_CODEC_VORBIS; codec++) {
        double r[2];
        for (int i = 0; i < 2; i++) {
            float *back = lab_alloc(reader.n, sizeof *back);
            memcpy(back, reader.samples, reader.n * sizeof *back);
            assert_true(lab_recode(codec, i == 0 ? 64 : 28, back, reader.n));
            r[i] = correlation(back, reader.samples, reader.n);
            free(back);
        }
        assert_true(r[0] > r[1] + 1e-4);
    }
}

static void the_narrow_band_ends_at_3400_hz(void **state)
{
    (void)state;
    const lab_original o = original_with(5);
    for (uint64_t s = 1; s <= 6; s++) {
        uint64_t seed = s;
        lab_clip clip = {0};
        lab_start(&o, &clip);
        assert_true(lab_narrow_band(&seed, &clip));
        assert_true(above_db(clip.samples, clip.n, 4400) < -40);
        assert_true(above_db(o.voice.samples, o.voice.n, 4400) > -40);
        lab_clip_done(&clip);
    }
}

/* ---- repeats ---------------------------------------------------------------------------------------------------------- */

/* Highest correlation of b, up to 0.6 s late, with a. */
static double best_match(const lab_clip *a, const lab_clip *b)
{
    double best = 0;
    for (size_t late = 0; late < 6 * SECOND / 10; late++) {
        /* Every late sample, but a second of signal. */
        const double r = correlation(a->samples + SECOND, b->samples + SECOND + late, SECOND);
        best = fmax(best, r);
    }
    return best;
}

static void repeats_are_the_recording_again(void **state)
{
    (void)state;
    const lab_original o = original_with(12);
    lab_clip plain = {0};
    assert_true(lab_make(lab_kind_named("plain"), &o, &plain));
    static const struct {
        const char *kind;
        double least;
    } rows[] = {{"repeat_gain", 0.999}, {"repeat_offset", 0.97}, {"repeat_recode", 0.7}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lab_clip clip = {0};
        assert_true(lab_make(lab_kind_named(rows[i].kind), &o, &clip));
        const double r = best_match(&plain, &clip);
        if (r < rows[i].least)
            fail_msg("%s: %.4f", rows[i].kind, r);
        lab_clip_done(&clip);
    }
    lab_clip_done(&plain);
}

/* ---- signal processing ------------------------------------------------------------------------------------------------ */

static void filters_do_what_they_are_designed_for(void **state)
{
    (void)state;
    const struct {
        const char *name;
        lab_biquad filter;
        double hz, db;
    } rows[] = {
        {"low pass, edge", lab_low_pass(LAB_RATE, 1000, sqrt(0.5)), 1000, -3.01},
        {"low pass, below", lab_low_pass(LAB_RATE, 1000, sqrt(0.5)), 100, 0},
        {"high pass, edge", lab_high_pass(LAB_RATE, 300, sqrt(0.5)), 300, -3.01},
        {"high pass, above", lab_high_pass(LAB_RATE, 300, sqrt(0.5)), 3000, 0},
        {"peak, top", lab_peak_filter(LAB_RATE, 2000, 2, 6), 2000, 6},
        {"peak, far", lab_peak_filter(LAB_RATE, 2000, 2, 6), 50, 0},
        {"low shelf, below", lab_low_shelf(LAB_RATE, 1000, -8), 30, -8},
        {"low shelf, middle", lab_low_shelf(LAB_RATE, 1000, -8), 1000, -4},
        {"low shelf, above", lab_low_shelf(LAB_RATE, 1000, -8), 7900, 0},
        {"high shelf, above", lab_high_shelf(LAB_RATE, 1000, 5), 7900, 5},
        {"high shelf, middle", lab_high_shelf(LAB_RATE, 1000, 5), 1000, 2.5},
        {"high shelf, below", lab_high_shelf(LAB_RATE, 1000, 5), 30, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lab_clip clip = tone(rows[i].hz, 0.5, 2 * SECOND);
        const double before = amplitude_db(clip.samples, clip.n, rows[i].hz);
        lab_filter(&rows[i].filter, clip.samples, clip.n);
        const double change = amplitude_db(clip.samples, clip.n, rows[i].hz) - before;
        if (fabs(change - rows[i].db) > 0.1)
            fail_msg("%s: %.2f dB, not %.2f", rows[i].name, change, rows[i].db);
        lab_clip_done(&clip);
    }
    lab_clip edge = tone(2000, 0.5, 2 * SECOND), stop = tone(4000, 0.5, 2 * SECOND);
    lab_cut_above(2000, 6, edge.samples, edge.n);
    lab_cut_above(2000, 6, stop.samples, stop.n);
    assert_true(fabs(amplitude_db(edge.samples, edge.n, 2000) - 20 * log10(0.5) + 3.01) < 0.05);
    /* tan(pi / 4) over tan(pi / 8) is 2.414: 36 dB an octave, and more by the bilinear warp. */
    assert_true(fabs(amplitude_db(stop.samples, stop.n, 4000) - 20 * log10(0.5) + 60 * log10(pow(1 + sqrt(2), 2))) <
                0.5);
    lab_clip_done(&edge);
    lab_clip_done(&stop);
}

static void delays_and_rates_keep_a_tone(void **state)
{
    (void)state;
    lab_clip clip = tone(3000, 0.5, SECOND);
    lab_delay(clip.samples, clip.n, 100.37);
    for (size_t i = 200; i < SECOND - 200; i++)
        assert_true(fabs((double)clip.samples[i] - 0.5 * sin(2 * LAB_PI * 3000 * ((double)i - 100.37) / LAB_RATE)) <
                    1e-3);
    assert_true(fabsf(clip.samples[40]) < 1e-6F);
    lab_clip_done(&clip);

    size_t n_there = 0, n_back = 0;
    clip = tone(1000, 0.5, 2 * SECOND);
    float *there = lab_resample(clip.samples, clip.n, LAB_RATE, 44100, &n_there);
    float *back = lab_resample(there, n_there, 44100, LAB_RATE, &n_back);
    assert_int_equal(n_there, 88200);
    assert_int_equal(n_back, clip.n);
    assert_true(correlation(clip.samples + 500, back + 500, clip.n - 1000) > 0.999999);
    free(there);
    free(back);
    lab_clip_done(&clip);
}

static void levels_are_of_the_speech(void **state)
{
    (void)state;
    /* A second of tone between two of silence: the pauses do not count. */
    lab_clip clip = tone(1000, 0, 3 * SECOND), sound = tone(1000, 0.1, SECOND);
    memcpy(clip.samples + SECOND, sound.samples, SECOND * sizeof *clip.samples);
    assert_true(fabs(lab_speech_db(clip.samples, clip.n) - 20 * log10(0.1) + 3.01) < 0.05);
    uint64_t seed = 3;
    lab_clip hiss = tone(0, 0, 4 * SECOND);
    lab_hiss(&seed, -50, hiss.samples, hiss.n);
    assert_true(fabs(lab_speech_db(hiss.samples, hiss.n) + 50) < 1);
    assert_true(lab_speech_db(clip.samples, 0) < -190);
    lab_clip_done(&clip);
    lab_clip_done(&sound);
    lab_clip_done(&hiss);
}

/* ---- data -------------------------------------------------------------------------------------------------------------- */

static void originals_are_chosen_evenly(void **state)
{
    (void)state;
    enum { BIG = 30, SMALL = 6 };
    char names[BIG + SMALL][16], speakers[BIG + SMALL][16];
    recording rows[BIG + SMALL];
    static char big[] = "big", small[] = "small";
    for (size_t i = 0; i < BIG + SMALL; i++) {
        (void)snprintf(names[i], sizeof names[i], "clip%zu", i);
        (void)snprintf(speakers[i], sizeof speakers[i], "s%zu", i % 3);
        rows[i] = (recording){names[i], i < BIG ? big : small, speakers[i]};
    }
    const lab_data data = {.speech = {rows, BIG + SMALL}};
    size_t n = 0, n_same = 0, of_small = 0, of_speaker[3] = {0};
    size_t *chosen = lab_data_choose(&data, 0, 12, 5, &n), *same = lab_data_choose(&data, 0, 12, 5, &n_same);
    assert_int_equal(n, 12);
    assert_memory_equal(chosen, same, n * sizeof *chosen);
    for (size_t i = 0; i < n; i++) {
        of_small += chosen[i] >= BIG;
        of_speaker[chosen[i] % 3]++;
    }
    assert_int_equal(of_small, 6);
    for (size_t s = 0; s < 3; s++)
        assert_int_equal(of_speaker[s], 4);
    free(chosen);
    free(same);
    chosen = lab_data_choose(&data, 2, 0, 5, &n);
    assert_int_equal(n, 12); /* two each of three speakers in two sources */
    free(chosen);
    chosen = lab_data_choose(&data, 0, 0, 5, &n);
    assert_int_equal(n, BIG + SMALL);
    free(chosen);
}

static void folders_are_read_and_companions_found(void **state)
{
    (void)state;
    static const char manifest[] = "split\tsource\tspeaker\tpath\tseconds\n"
                                   "train\tbook\tone\ta.flac\t3.5\n"
                                   "train\tbook\tone\tb.flac\t4.1\n"
                                   "train\tbook\ttwo\tc.flac\t3.5\n"
                                   "dev\tbook\tthree\tabsent.flac\t3.5\n";
    static const char *const files[][2] = {{"a.flac", "reader1_a.flac"},
                                           {"b.flac", "reader1_b.flac"},
                                           {"c.flac", "reader2_a.flac"},
                                           {"noise/kind/1-1-A.flac", "reader3_a.flac"}, /* anything passes for noise */
                                           {"noise/kind/5-1-A.flac", "reader4_a.flac"}};
    scratch folder = scratch_make();
    char noises[128], kind[128];
    lab_data data = {0};
    lab_original o;
    assert_false(lab_data_read(folder.path, folder.path, "train", &data));
    scratch_write(&folder, "manifest.tsv", manifest, sizeof manifest - 1);
    assert_int_equal(mkdir(scratch_path(&folder, "noise", noises, sizeof noises), 0700), 0);
    assert_false(lab_data_read(folder.path, noises, "train", &data));
    assert_int_equal(mkdir(scratch_path(&folder, "noise/kind", kind, sizeof kind), 0700), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        vx_buf file = clip_file(files[i][1]);
        scratch_write(&folder, files[i][0], file.data, file.len);
        vx_buf_done(&file);
    }
    assert_false(lab_data_read(folder.path, noises, "test", &data));
    assert_true(lab_data_read(folder.path, noises, "train", &data));
    assert_int_equal(data.speech.n, 3);
    assert_int_equal(data.n_noises, 1);
    assert_string_equal(data.noises[0].path, "1-1-A.flac");

    assert_true(lab_original_read(&data, 0, 9, &o));
    assert_string_equal(o.again.path, "b.flac");
    assert_string_equal(o.another.speaker, "two");
    assert_true(o.seed == lab_seed(9, "a.flac"));
    assert_in_range(o.voice.n, LAB_SHORTEST + 2 * LAB_MARGIN, LAB_LONGEST + 2 * LAB_MARGIN);
    lab_original_done(&o);
    assert_true(lab_original_read(&data, 2, 9, &o));
    assert_int_equal(o.again.n, 0);
    assert_string_equal(o.another.speaker, "one");
    lab_original_done(&o);
    lab_data_done(&data);

    assert_true(lab_data_read(folder.path, noises, "dev", &data));
    assert_string_equal(data.noises[0].path, "5-1-A.flac");
    assert_false(lab_original_read(&data, 0, 9, &o));
    lab_data_done(&data);
    scratch_done(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_named_once_and_grouped),
        cmocka_unit_test(every_kind_makes_a_clip_fixed_by_seed),
        cmocka_unit_test(a_telephone_call_stays_one),
        cmocka_unit_test(noise_has_the_level_that_it_says),
        cmocka_unit_test(a_room_answers_after_the_sound_and_not_before),
        cmocka_unit_test(ears_leave_what_is_dry_without_a_room),
        cmocka_unit_test(a_cold_is_no_conversion),
        cmocka_unit_test(loudspeakers_distort_and_lose_bass),
        cmocka_unit_test(an_ideal_loudspeaker_is_not_heard),
        cmocka_unit_test(codecs_keep_step_and_add_their_noise),
        cmocka_unit_test(the_telephone_is_g711),
        cmocka_unit_test(less_bits_are_more_noise),
        cmocka_unit_test(the_narrow_band_ends_at_3400_hz),
        cmocka_unit_test(repeats_are_the_recording_again),
        cmocka_unit_test(filters_do_what_they_are_designed_for),
        cmocka_unit_test(delays_and_rates_keep_a_tone),
        cmocka_unit_test(levels_are_of_the_speech),
        cmocka_unit_test(originals_are_chosen_evenly),
        cmocka_unit_test(folders_are_read_and_companions_found),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
