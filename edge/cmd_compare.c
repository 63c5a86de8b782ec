/* cmd_compare.c - voxlock compare: do two recordings hold the same voice? */
#include <stdio.h>

#include "edge/cmd.h"

enum { FLAG_JSON = 1 };

static json_t *answer(double cosine, const double *probability, const vx_manifest *manifest)
{
    char model[VX_DIGEST_TEXT];
    vx_model_digest_text(&manifest->digest, model);
    return json_pack("{s:f, s:o, s:f, s:b, s:s}", "similarity", cosine, "probability",
                     probability ? json_real(*probability) : json_null(), "threshold", manifest->threshold,
                     "same_speaker", cosine >= manifest->threshold, "model", model);
}

static int run(const vx_cmd_call *call)
{
    vx_engine *engine = NULL;
    vx_embedding embeddings[2];
    vx_audio audio;
    vx_errinfo info = {0};
    const char *what = NULL;
    double cosine = 0, probability = 0;
    vx_err err = vx_cmd_open_engine(call->options, NULL, &engine, &info);
    for (int i = 0; i < call->n_operands && err == VX_OK; i++) {
        what = call->operands[i];
        err = vx_cmd_embed_file(engine, what, &embeddings[i], &audio, &info);
    }
    if (err == VX_OK)
        err = vx_embedding_cosine(&embeddings[0], &embeddings[1], &cosine);
    if (err != VX_OK) {
        vx_engine_close(engine);
        return vx_cmd_fail(what, err, &info);
    }
    vx_embedding_wipe(&embeddings[0]);
    vx_embedding_wipe(&embeddings[1]);

    vx_engine_info about;
    vx_engine_get_info(engine, &about);
    const bool calibrated = vx_manifest_probability(about.manifest, cosine, &probability);
    int code = VX_EXIT_OK;
    if (call->flags & FLAG_JSON) {
        code = vx_cmd_print(answer(cosine, calibrated ? &probability : NULL, about.manifest), true);
    } else {
        printf("similarity %.3f: %s (threshold %.3f of model %s)\n", cosine,
               cosine >= about.manifest->threshold ? "probably the same speaker" : "probably different speakers",
               about.manifest->threshold, about.manifest->name);
        if (calibrated)
            printf("probability of one speaker: %.1f %%\n", 100 * probability);
    }
    vx_engine_close(engine);
    return code;
}

const vx_cmd vx_cmd_compare = {
    .name = "compare",
    .usage = "FILE FILE [--json]",
    .help = "Say how alike the voices of two recordings are (cosine similarity, and the model's verdict).",
    .flags = {{"--json", "one JSON object: similarity, probability, threshold, same_speaker, model", NULL}},
    .min_operands = 2,
    .max_operands = 2,
    .run = run,
};
