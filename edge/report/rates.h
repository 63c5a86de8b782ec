/* rates.h - how often a machine passes for a person and a person for a machine, from scores.
 * Owns:   the rates of ISO/IEC 30107-3 and how far chance moves them. Does not: compute scores.
 *
 * APCER: share of attacks taken for living voices. BPCER: share of living voices taken for attacks. APNRR, BPNRR: shares of
 * either that get no answer.
 */
#ifndef VX_EDGE_REPORT_RATES_H
#define VX_EDGE_REPORT_RATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One recording. */
typedef struct {
    double score; /* higher: more likely living */
    bool living;
    int speaker; /* 0 to n_speakers - 1 */
} vx_presented;

typedef struct {
    double value, low, high; /* low and high: 95 % of the draws lie between them */
} vx_estimate;

typedef struct {
    size_t n_living, n_attacks;
    vx_estimate eer;
    vx_estimate apcer_1, apcer_5; /* where BPCER is 1 and 5 % at most */
} vx_attack_rates;

enum { VX_RATES_DRAWS = 1000 };

/* The rates of one kind of attack against living voices. Intervals by a bootstrap over speakers: recordings of one speaker
 * are no independent draws. Recordings of equal score are accepted or refused together.
 * seed [in] of the draws
 * False, with ret untouched, where there are none of either kind; or memory is out. */
bool vx_attack_rates_of(const vx_presented *presented, size_t n, int n_speakers, uint64_t seed,
                        vx_attack_rates *ret_rates);

/* What a detector that has its bound already says of one recording. */
typedef enum { VX_ANSWER_LIVING, VX_ANSWER_ATTACK, VX_NO_ANSWER, VX_N_ANSWERS } vx_answer;
typedef struct {
    vx_answer answer;
    int speaker;
} vx_answered;

typedef struct {
    size_t n, counts[VX_N_ANSWERS];
    vx_estimate shares[VX_N_ANSWERS];
} vx_answer_rates;

/* Shares of one kind of recordings. Their intervals are a bootstrap's over speakers, or Wilson's of as many independent
 * recordings where that is wider: of what was never seen a bootstrap says that it never happens.
 * False, with ret untouched, where n is 0; or memory is out. */
bool vx_answer_rates_of(const vx_answered *answered, size_t n, int n_speakers, uint64_t seed,
                        vx_answer_rates *ret_rates);

/* A point of a DET curve. */
typedef struct {
    double apcer, bpcer;
} vx_det_point;
/* The curve, BPCER falling. ret_points [out] [cap]; returns their number, thinned to cap. 0 where there are none of
 * either kind, or memory is out. */
size_t vx_det_curve(const vx_presented *presented, size_t n, vx_det_point *ret_points, size_t cap);

#endif
