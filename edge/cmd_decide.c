/* cmd_decide.c - voxlock decide: what the verdict would be, by the code that decides in earnest. */
#include <stdio.h>

#include "edge/cmd.h"
#include "edge/decide/decide.h"
#include "edge/decide/prior.h"

/* The first flags are the sources in their order. */
enum { VALUE_PRIOR = VX_N_SOURCES, FLAG_JSON = 1 << (VX_N_SOURCES + 1) };

/* What was given counts as measured; what was not is missing as it would be in earnest. */
static vx_err read_evidence(const vx_cmd_call *call, vx_evidence ret_evidence[VX_N_SOURCES], vx_errinfo *info)
{
    for (int i = 0; i < VX_N_SOURCES; i++) {
        const bool given = call->values[i] != NULL, has_neutral = i == VX_SOURCE_BEHAVIOUR || i == VX_SOURCE_CONTEXT;
        vx_evidence e = {.status = given         ? VX_EVIDENCE_VALID
                                   : has_neutral ? VX_EVIDENCE_NEUTRAL
                                                 : VX_EVIDENCE_UNAVAILABLE};
        char flag[16];
        (void)snprintf(flag, sizeof flag, "--%s", vx_source_name((vx_source)i));
        (void)snprintf(e.reason, sizeof e.reason, "%s", given ? "given" : "not given");
        vx_err err = given ? vx_cmd_share(flag, call->values[i], &e.confidence, info) : VX_OK;
        if (err != VX_OK)
            return err;
        ret_evidence[i] = e;
    }
    return VX_OK;
}

static vx_err read_prior(const char *text, double *ret_prior, vx_errinfo *info)
{
    double prior = 0;
    vx_err err = vx_cmd_share("--prior", text, &prior, info);
    if (err == VX_OK && !(prior >= VX_PRIOR_LEAST && prior <= VX_PRIOR_MOST))
        return vx_errinfo_set(info, VX_ERR_OPTION_VALUE, "--prior takes a number from %g to %g, not '%.40s'",
                              VX_PRIOR_LEAST, VX_PRIOR_MOST, text);
    if (err == VX_OK)
        *ret_prior = prior;
    return err;
}

static int print_table(const vx_evidence evidence[VX_N_SOURCES], const vx_decision *decision)
{
    vx_buf text = {0};
    vx_err err = vx_decision_show(evidence, decision, &text);
    if (err == VX_OK && fwrite(text.data, 1, text.len, stdout) != text.len)
        err = VX_ERR_IO;
    vx_buf_done(&text);
    return err == VX_OK ? VX_EXIT_OK : vx_cmd_fail("writing the answer", err, NULL);
}

static int run(const vx_cmd_call *call)
{
    vx_evidence evidence[VX_N_SOURCES];
    vx_decide_options options;
    vx_decision decision;
    vx_errinfo info = {0};
    vx_err err = vx_decide_settings(call->options, &options, &info);
    if (err == VX_OK)
        err = read_evidence(call, evidence, &info);
    if (err == VX_OK && call->values[VALUE_PRIOR])
        err = read_prior(call->values[VALUE_PRIOR], &options.prior, &info);
    if (err != VX_OK)
        return vx_cmd_fail(NULL, err, &info);

    vx_decide(evidence, &options, &decision);
    const int code = call->flags & FLAG_JSON ? vx_cmd_print(vx_decision_json(evidence, &decision), true)
                                             : print_table(evidence, &decision);
    return code == VX_EXIT_OK ? vx_exit_of_verdict(decision.verdict) : code;
}

const vx_cmd vx_cmd_decide = {
    .name = "decide",
    .usage = "[--ml N] [--physics N] [--behavior N] [--context N] [--prior N] [--json]",
    .help = "Say what the verdict on given confidences would be, and why.",
    .flags = {{"--ml", "confidence that the voice is the owner's, 0 to 1; without it the voice is unavailable", "N"},
              {"--physics", "that it is a living voice; without it unavailable", "N"},
              {"--behavior", "that time and manner are the owner's; without it neutral", "N"},
              {"--context", "that place and devices are; without it neutral", "N"},
              {"--prior", "belief before anybody speaks, 0.05 to 0.95, in place of BAYESIAN_PRIOR_AUTHENTIC", "N"},
              {"--json", "one JSON object: verdict, probability, threshold, evidence and more", NULL}},
    .run = run,
};
