/* attempt_report.c - an outcome for programs (JSON) and for people (text). */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "edge/attempt.h"
#include "shared/base/json.h"
#include "shared/base/tame.h"
#include "shared/base/text.h"

/* null where nothing was compared: 0 would read as a match of 0 %. */
static json_t *voice_json(const vx_attempt_outcome *o)
{
    if (!o->voice_compared)
        return json_null();
    return json_pack("{s:b, s:f, s:f, s:f, s:f}", "accepted", o->voice_accepted, "probability", o->score.probability,
                     "similarity", o->score.cosine, "normalised", o->score.normalised, "llr", o->score.llr);
}

static json_t *quality_json(const vx_quality *q)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "seconds", q->seconds, "speech_s", q->speech_s,
                     "speech_share", q->speech_share, "speech_dbfs", q->speech_dbfs, "noise_dbfs", q->noise_dbfs,
                     "snr_db", q->snr_db, "clipped_share", q->clipped_share);
}

static json_t *route_json(const vx_route_report *route)
{
    return json_pack("{s:s, s:o, s:f, s:o}", "by", vx_route_name(route->by), "pressure",
                     route->pressure >= 0 ? json_real(route->pressure) : json_null(), "elapsed_ms", route->elapsed_ms,
                     "reason", vx_json_shown(route->reason));
}

static json_t *layer_json(const vx_layer_finding *f, vx_pava_layer layer)
{
    const char *const *names = vx_pava_measure_names(layer);
    json_t *measures = json_object();
    for (int m = 0; names[m]; m++)
        if (f->status == VX_EVIDENCE_VALID && isfinite(f->measures[m]))
            (void)json_object_set_new(measures, names[m], json_real(f->measures[m]));
    return json_pack("{s:s, s:s, s:o, s:f, s:b, s:o, s:o}", "layer", vx_pava_layer_name(layer), "status",
                     vx_evidence_status_name(f->status), "spoof",
                     f->status == VX_EVIDENCE_VALID ? json_real(f->spoof) : json_null(), "reliability", f->reliability,
                     "counts", vx_pava_layer_has_say(layer), "reason", vx_json_shown(f->reason), "measures", measures);
}

/* null where no layer was asked, or none in time. */
static json_t *pava_json(const vx_attempt_outcome *o)
{
    json_t *layers = o->examined ? json_array() : NULL;
    if (!layers)
        return json_null();
    for (int l = 0; l < VX_N_LAYERS; l++)
        (void)json_array_append_new(layers, layer_json(&o->pava.layers[l], (vx_pava_layer)l));
    return json_pack("{s:f, s:f, s:o}", "risk", o->pava.risk, "elapsed_ms", o->pava.elapsed_ms, "layers", layers);
}

json_t *vx_attempt_json(const vx_attempt_outcome *o)
{
    const bool decided = vx_verdict_is_decision(o->verdict);
    return json_pack("{s:I, s:s, s:o, s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:f}", "id",
                     (json_int_t)o->id, "verdict", vx_verdict_name(o->verdict), "sentence", vx_json_shown(o->sentence),
                     "speaker", vx_json_shown(o->speaker), "may_unlock", o->may_unlock, "challenge_passed",
                     o->challenge_passed, "voice", voice_json(o), "decision",
                     decided ? vx_decision_json(o->evidence, &o->decision) : json_null(), "physics", pava_json(o),
                     "quality", o->quality.seconds > 0 ? quality_json(&o->quality) : json_null(), "route",
                     o->voice_compared ? route_json(&o->route) : json_null(), "wait_s",
                     o->wait_ms > 0 ? json_real(ceil((double)o->wait_ms / 1000)) : json_null(), "starter_model",
                     o->starter, "not_learned", o->learn_err ? json_string(vx_err_code(o->learn_err)) : json_null(),
                     "elapsed_ms", o->elapsed_ms);
}

/* A line a layer: what it makes of the voice, and what weight that has. */
static void put_layers(vx_text *text, const vx_attempt_outcome *o)
{
    vx_text_put(text, "\nliving voice or machine      likelihood of a machine\n");
    for (int l = 0; l < VX_N_LAYERS; l++) {
        const vx_layer_finding *f = &o->pava.layers[l];
        vx_text_put(text, "  %-12s", vx_pava_layer_name((vx_pava_layer)l));
        if (f->status == VX_EVIDENCE_VALID)
            vx_text_put(text, " %5.2f%s\n", f->spoof,
                        vx_pava_layer_has_say((vx_pava_layer)l) ? "" : "  (has no weight: docs/pava.md)");
        else
            vx_text_put(text, "     -  %s\n", f->reason);
    }
}

/* Sentences may hold names. */
static void put_sentence(vx_text *text, const vx_attempt_outcome *o)
{
    char sentence[VX_SENTENCE_CAP];
    (void)snprintf(sentence, sizeof sentence, "%s", o->sentence);
    vx_tame(sentence);
    vx_text_put(text, "%s: %s\n", vx_verdict_name(o->verdict), sentence);
}

vx_err vx_attempt_show(const vx_attempt_outcome *o, vx_buf *out)
{
    vx_text text = {.out = out};
    /* The table of a decision ends with verdict and sentence. */
    if (!vx_verdict_is_decision(o->verdict))
        put_sentence(&text, o);
    if (o->voice_compared)
        vx_text_put(&text, "the voice is %s: probability %.1f %%, similarity %.3f\n",
                    o->voice_accepted ? "accepted" : "not accepted", 100 * o->score.probability, o->score.cosine);
    if (o->quality.seconds > 0)
        vx_text_put(&text, "%.1f s of speech in %.1f s, %.0f dB above the noise; %.0f ms in all\n", o->quality.speech_s,
                    o->quality.seconds, o->quality.snr_db, o->elapsed_ms);
    if (text.err != VX_OK || !vx_verdict_is_decision(o->verdict))
        return text.err;
    vx_text_put(&text, "\n");
    if (text.err == VX_OK)
        text.err = vx_decision_show(o->evidence, &o->decision, out);
    if (o->challenge_passed)
        put_sentence(&text, o);
    if (o->examined)
        put_layers(&text, o);
    if (o->starter)
        vx_text_put(&text,
                    "\nThis is the starter model, whose error rate is many times that of a full one (voxlock status);"
                    " docs/models.md says how to import a better one.\n");
    return text.err;
}
