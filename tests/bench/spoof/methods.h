/* methods.h - what an attacker's programs do to speech, as plain functions of samples.
 * Owns:   the list of them. Does not: draw their settings, or play what comes out (the tables of kinds beside each).
 *
 * Each writes as many samples as it is given, 16 kHz mono, unless it says otherwise; outputs overlap no inputs. State is
 * of stats_random.
 */
#ifndef VX_TESTS_BENCH_SPOOF_METHODS_H
#define VX_TESTS_BENCH_SPOOF_METHODS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/bench/spoof/voice.h"

/* ---- vocoders: the voice taken to parameters, and back ------------------------------------------------------------------ */

/* Linear prediction, excited by impulses and noise: LPC-10 and what came of it.
 * order  [in] of the predictor, up to VX_LPC_MAX
 * breath [in] share of noise in the power that excites voiced sounds */
void vocode_lpc(const voice *v, int order, double breath, uint64_t *state, float *ret);

/* Harmonics plus noise (Y. Stylianou, 2001). own_phases: those of the voice, which hide the vocoder best; else those that
 * a tract of least delay gives, as when the harmonics come from a statistical model. */
void vocode_hnm(const voice *v, bool own_phases, uint64_t *state, float *ret);
/* Only the harmonics of it, for tests: sums of sines up to max_hz, phases of the voice. */
void vocode_harmonics(const voice *v, double max_hz, float *ret);

/* Smooth envelope, impulses and noise through filters of least delay, in the manner of WORLD (M. Morise et al., 2016). */
void vocode_world(const voice *v, uint64_t *state, float *ret);

/* Phases made up for a spectrogram (D. Griffin, J. Lim, 1984).
 * window [in] samples, frames a quarter of it apart
 * bands  [in] mel bands that the spectrogram is reduced to first; 0: none, its own bins */
void vocode_griffin_lim(const float *samples, size_t n, int window, int bands, int rounds, uint64_t *state, float *ret);

/* ---- conversion: the voice made another ------------------------------------------------------------------------------------ */

/* Melody times `factor`, formants where they were: grains of two cycles, closer or further apart (E. Moulines,
 * F. Charpentier: TD-PSOLA, 1990). */
void shift_pitch(const voice *v, double factor, float *ret);
/* Melody and formants times `factor`, as a voice changer does: stretched by a phase vocoder, then played faster. */
void shift_all(const float *samples, size_t n, double factor, float *ret);
/* Formants times `factor`, melody as it was: the envelope of each frame moved, its harmonics not. */
void warp_formants(const float *samples, size_t n, double factor, float *ret);
/* The spectrum of every cycle bent by the all-pass of `alpha` (upwards for alpha > 0), its harmonics not (D. Suendermann,
 * H. Ney: VTLN-based voice conversion, 2003). */
void warp_cycles(const voice *v, double alpha, float *ret);
/* The mean frequency of formants of one recording over that of another, from their mean envelopes: 0.8 to 1.25. */
double formant_ratio(const voice *v, const voice *other);
/* From v towards `other`: melody, formants, and mean spectrum. share: how much of the way, 0 to 1. */
void convert_voice(const voice *v, const voice *other, double share, float *ret);

/* ---- time ---------------------------------------------------------------------------------------------------------------- */

/* Slower (factor > 1) or faster, at the same pitch. ret [out] stretched_length(n, factor) samples.
 * By overlap-add where waveforms fit (W. Verhelst, M. Roelands: WSOLA, 1993), or by a phase vocoder whose peaks keep the
 * phases around them (J. Laroche, M. Dolson, 1999). */
size_t stretched_length(size_t n, double factor);
void stretch_waveform(const float *samples, size_t n, double factor, float *ret);
void stretch_phases(const float *samples, size_t n, double factor, float *ret);

/* ---- splices ------------------------------------------------------------------------------------------------------------- */

/* Pieces of a quarter to four fifths of a second (the last of a recording: one second) of one or two recordings, in a new order.
 * second     [in]  NULL: pieces of the first alone
 * quiet      [in]  cut at the quietest place within reach; else anywhere
 * fade       [in]  samples in which one piece goes over into the next; 0: hard joints
 * ret        [out] n_first samples of room
 * ret_joints [out] places where what follows was not said next
 * Returns how many samples there are: n_first, or less where that is all there is */
size_t splice_pieces(const float *first, size_t n_first, const float *second, size_t n_second, bool quiet, size_t fade,
                     uint64_t *state, float *ret, size_t *ret_joints);

#endif
