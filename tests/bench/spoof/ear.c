/* ear.c - what stands between a mouth, or a loudspeaker, and the lock: room, noise, microphone, band.
 * Owns:   the draws that living voices and attacks share. Does not: attack.
 *
 * Ranges are those of a person before a computer: rooms of a home or an office (RT60 0.15 to 0.7 s), at 0.3 to 1.5 m, with
 * noise 5 to 30 dB below the voice, through microphones of laptops and headsets.
 */
#include <math.h>
#include <stdlib.h>

#include "tests/bench/spoof/codec.h"
#include "tests/bench/spoof/ear.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/support/room.h"

void lab_in_room(const char *name, double rt60_s, double distance_m, uint64_t *seed, lab_clip *clip)
{
    const room_plan plan = room_draw(rt60_s, distance_m, seed);
    size_t m = 0;
    float *response = room_response(&plan, &m);
    if (response == NULL || !room_convolve(clip->samples, clip->n, response, m, clip->samples))
        abort();
    free(response);
    lab_note(clip, "%s_rt60=%.2f %s_m=%.2f", name, rt60_s, name, distance_m);
}

static void some_room(uint64_t *seed, lab_clip *clip)
{
    const double rt60_s = lab_log_uniform(seed, 0.15, 0.7);
    lab_in_room("room", rt60_s, lab_log_uniform(seed, 0.3, 1.5), seed, clip);
}

void lab_in_noise(const lab_original *original, double snr_db, uint64_t *seed, lab_clip *clip)
{
    if (original->n_noises == 0)
        return;
    float *stretch = lab_alloc(clip->n + 1, sizeof *stretch);
    double db = -200;
    /* Some recordings hold moments of digital silence. */
    for (int tries = 0; tries < 20 && db < -80; tries++) {
        const lab_noise *noise = &original->noises[lab_pick(seed, original->n_noises)];
        const size_t start = lab_pick(seed, noise->n);
        double power = 0;
        for (size_t i = 0; i < clip->n; i++) {
            stretch[i] = noise->samples[(start + i) % noise->n];
            power += (double)stretch[i] * (double)stretch[i];
        }
        db = 10 * log10(fmax(1e-20, power / (double)clip->n));
    }
    const double gain = lab_db_to_gain(lab_speech_db(clip->samples, clip->n) - snr_db - db);
    for (size_t i = 0; i < clip->n && db >= -80; i++)
        clip->samples[i] += (float)(gain * (double)stretch[i]);
    free(stretch);
    lab_note(clip, "snr=%.0f", snr_db);
}

/* Mild saturation of a preamplifier: odd and even harmonics about 1 % at the peaks. */
static void saturate(double amount, float *samples, size_t n)
{
    const double scale = fmax(1e-9, (double)lab_peak(samples, n));
    for (size_t i = 0; i < n; i++) {
        const double x = (double)samples[i] / scale;
        samples[i] = (float)(scale * (x + 0.3 * amount * x * x - amount * x * x * x));
    }
}

void lab_by_microphone(uint64_t *seed, lab_clip *clip)
{
    const double rate = LAB_RATE, low_hz = lab_log_uniform(seed, 40, 200), tilt_db = lab_uniform(seed, -6, 6);
    const double amount = lab_chance(seed, 0.5) ? lab_log_uniform(seed, 0.002, 0.04) : 0;
    const bool agc = lab_chance(seed, 0.5);
    lab_cut_below(low_hz, 2, clip->samples, clip->n);
    lab_biquad f = lab_high_shelf(rate, lab_log_uniform(seed, 1000, 3000), tilt_db);
    lab_filter(&f, clip->samples, clip->n);
    const size_t n_peaks = 1 + lab_pick(seed, 4);
    for (size_t i = 0; i < n_peaks; i++) {
        const double hz = lab_log_uniform(seed, 150, 7000), q = lab_log_uniform(seed, 0.5, 4);
        f = lab_peak_filter(rate, hz, q, lab_uniform(seed, -6, 6));
        lab_filter(&f, clip->samples, clip->n);
    }
    saturate(amount, clip->samples, clip->n);
    if (agc)
        lab_agc(clip->samples, clip->n, lab_speech_db(clip->samples, clip->n), 12, lab_log_uniform(seed, 0.1, 1));
    lab_note(clip, "mic_hz=%.0f mic_db=%.0f mic_third=%.3f agc=%d", low_hz, tilt_db, amount, agc);
}

/* A voice that comes over a headset, or out of a program that compresses it. */
static void through_band(uint64_t *seed, lab_clip *clip)
{
    double kbps;
    switch (lab_pick(seed, 4)) {
    case 0: (void)lab_narrow_band(seed, clip); return;
    case 1:
        lab_cut_below(100, 4, clip->samples, clip->n);
        lab_cut_above(6000, 8, clip->samples, clip->n);
        lab_note(clip, "band=100-6000");
        return;
    case 2:
        kbps = lab_log_uniform(seed, 16, 64);
        if (lab_recode(LAB_CODEC_MP3, kbps, clip->samples, clip->n))
            lab_note(clip, "mp3=%.0f", kbps);
        return;
    default:
        kbps = lab_log_uniform(seed, 10, 40);
        if (lab_recode(LAB_CODEC_OPUS, kbps, clip->samples, clip->n))
            lab_note(clip, "opus=%.0f", kbps);
    }
}

void lab_hear(const lab_original *original, lab_ear ear, lab_place place, uint64_t *seed, lab_clip *clip)
{
    static const char *const names[LAB_N_EARS] = {"plain", "room", "noise", "microphone", "band", "mixed"};
    const bool often = lab_chance(seed, 0.5) && ear != LAB_EAR_PLAIN;
    const bool room =
        place == LAB_IN_ROOM || (place == LAB_AS_LIVING && (often || ear == LAB_EAR_ROOM || ear == LAB_EAR_MIXED));
    lab_note(clip, "ear=%s", names[ear]);
    if (room)
        some_room(seed, clip);
    if (ear == LAB_EAR_NOISE || ear == LAB_EAR_MIXED)
        lab_in_noise(original, lab_uniform(seed, ear == LAB_EAR_MIXED ? 10 : 5, 30), seed, clip);
    if (ear == LAB_EAR_MICROPHONE || ear == LAB_EAR_MIXED)
        lab_by_microphone(seed, clip);
    if (ear == LAB_EAR_BAND)
        through_band(seed, clip);
}

void lab_hear_any(const lab_original *original, lab_place place, uint64_t *seed, lab_clip *clip)
{
    lab_hear(original, (lab_ear)lab_pick(seed, LAB_N_EARS), place, seed, clip);
}
