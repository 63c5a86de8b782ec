/* ear.h - the parts of the ear, for kinds that put them before it: an attacker has a room and a microphone too. */
#ifndef VX_TESTS_BENCH_SPOOF_EAR_H
#define VX_TESTS_BENCH_SPOOF_EAR_H

#include "tests/bench/spoof/lab.h"

/* Ranges: tests/support/room.h. Notes name_rt60=0.43 name_m=0.80. */
void lab_in_room(const char *name, double rt60_s, double distance_m, uint64_t *seed, lab_clip *clip);
/* One of the recorded noises, so many dB below the speech. Without noises: nothing. */
void lab_in_noise(const lab_original *original, double snr_db, uint64_t *seed, lab_clip *clip);
/* Response, overload and automatic gain of a cheap microphone. */
void lab_by_microphone(uint64_t *seed, lab_clip *clip);

#endif
