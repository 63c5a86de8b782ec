/* check_cloud.c - the way to the cloud: who we say we are, whether it answers; and whether this computer's clock is right. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "edge/doctor/doctor.h"
#include "edge/route/http.h"
#include "edge/route/identity.h"
#include "shared/base/clock.h"
#include "shared/base/file.h"

/* A cold start of a container takes some seconds. MOST_OFF_S: certificates and signed assertions bear more, but the
 * hours that are learned would be wrong. */
enum { PATIENCE_S = 15, MOST_OFF_S = 60, MAX_ANSWER = 64 * 1024 };
/* 2025 and 2100: this program is no older, and no certificate or file format here was made for later. */
#define SANE_SINCE_S INT64_C(1735689600)
#define SANE_UNTIL_S INT64_C(4102444800)

static uint64_t deadline_ns(void)
{
    return vx_now_ns() + (uint64_t)PATIENCE_S * 1000000000u;
}

/* False, with the finding made, when there is nothing to check. */
static bool has_cloud(const vx_patient *patient, vx_cloud_options *ret_options, vx_finding *finding)
{
    vx_errinfo info = {0};
    const vx_err err = vx_cloud_settings(patient->options, ret_options, &info);
    if (err == VX_ERR_NOT_FOUND)
        vx_found(finding, VX_CHECK_SKIPPED, NULL, "no cloud is set up");
    else if (err != VX_OK)
        vx_found_error(finding, VX_CHECK_FAILED, NULL, err, &info);
    return err == VX_OK;
}

/* ---- token ------------------------------------------------------------------------------------------------------ */

static vx_err get_token(const vx_cloud_options *cloud, vx_errinfo *info)
{
    vx_identity *identity = NULL;
    vx_buf header = {0};
    vx_identity_options options = cloud->identity;
    if (!options.audience)
        options.audience = cloud->endpoint;
    if (!options.ca_file)
        options.ca_file = cloud->ca_file;
    vx_err err = vx_identity_create(&options, &identity, info);
    if (err == VX_OK)
        err = vx_identity_header(identity, false, deadline_ns(), &header, info);
    vx_buf_wipe_done(&header);
    vx_identity_destroy(identity);
    return err;
}

void vx_check_token(vx_patient *patient, vx_finding *finding)
{
    vx_cloud_options cloud;
    vx_errinfo info = {0};
    if (!has_cloud(patient, &cloud, finding))
        return;
    if (cloud.identity.kind == VX_IDENTITY_NONE) {
        vx_found(finding, VX_CHECK_SKIPPED, NULL, "the cloud is asked without a token");
        return;
    }
    const vx_err err = get_token(&cloud, &info);
    const char *how = vx_option_text(patient->options, "VOXLOCK_CLOUD_AUTH");
    if (err != VX_OK) {
        struct stat st;
        const char *path = cloud.identity.key_file;
        finding->fixable = err == VX_ERR_PERMISSION && path && stat(path, &st) == 0;
        vx_found_error(finding, VX_CHECK_FAILED,
                       finding->fixable ? "run voxlock doctor --fix" : "docs/identity.md says how each kind is set up",
                       err, &info);
    } else {
        vx_found(finding, VX_CHECK_OK, NULL, "%s gives one", how);
    }
}

vx_err vx_fix_key_file(vx_patient *patient, vx_errinfo *info)
{
    return vx_fix_mode(vx_option_text(patient->options, "VOXLOCK_CLOUD_KEY_FILE"), info);
}

/* ---- cloud ------------------------------------------------------------------------------------------------------ */

void vx_check_cloud(vx_patient *patient, vx_finding *finding)
{
    vx_cloud_options options;
    vx_cloud *cloud = NULL;
    vx_errinfo info = {0};
    if (!has_cloud(patient, &options, finding))
        return;
    if (!patient->has_manifest) {
        vx_found(finding, VX_CHECK_SKIPPED, NULL, "without a model here nobody knows which one the cloud should have");
        return;
    }
    options.model = patient->manifest.digest;
    options.dim = patient->manifest.dim;
    options.timeout_ms = PATIENCE_S * 1000;
    vx_err err = vx_cloud_create(&options, vx_clock_monotonic(), &cloud, &info);
    if (err == VX_OK)
        err = vx_cloud_health(cloud, deadline_ns(), &info);
    vx_cloud_destroy(cloud);
    if (err == VX_ERR_MODEL_MISMATCH)
        vx_found_error(finding, VX_CHECK_FAILED, "give both the same model folder", err, &info);
    else if (err != VX_OK)
        vx_found_error(finding, VX_CHECK_FAILED, "until then the device computes alone", err, &info);
    else
        vx_found(finding, VX_CHECK_OK, NULL, "%s answers, and has the model that is used here", options.endpoint);
}

/* ---- clock ------------------------------------------------------------------------------------------------------ */

/* The server's clock; any answer tells it, a refusal too. Negative: it does not. */
static int64_t ask_date_s(const vx_cloud_options *cloud)
{
    vx_http *http = NULL;
    vx_http_answer answer = {0};
    const vx_http_request request = {.url = cloud->endpoint, .deadline_ns = deadline_ns(), .max_bytes = MAX_ANSWER};
    int64_t date_s = -1;
    if (vx_http_create(cloud->ca_file, &http) == VX_OK && vx_http_ask(http, &request, &answer, NULL) == VX_OK)
        date_s = vx_http_date_s(&answer);
    vx_http_answer_done(&answer);
    vx_http_destroy(http);
    return date_s;
}

/* The newest of the files that are written in use, or that came with the program; 0: none can be seen. */
static int64_t newest_file_s(const vx_patient *patient)
{
    const char *const files[][2] = {{patient->data_folder, VX_STORE_FILE},
                                    {patient->data_folder, VX_STORE_FILE "-wal"},
                                    {patient->data_folder, "agent.log"},
                                    {patient->model_folder, VX_MANIFEST_NAME}};
    int64_t newest_s = 0;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[PATH_MAX];
        struct stat st;
        if (vx_path_join(files[i][0], files[i][1], path, sizeof path) == VX_OK && stat(path, &st) == 0 &&
            (int64_t)st.st_mtime > newest_s)
            newest_s = (int64_t)st.st_mtime;
    }
    return newest_s;
}

/* Without a cloud to ask: a clock that lost its battery stands years back, one that was set back stands before files that
 * were written already. The pauses after rejections bear both (docs/decisions.md); the hours that are learned do not. */
static void check_clock_alone(const vx_patient *patient, vx_finding *finding)
{
    const int64_t now_s = vx_wall_ms() / 1000, behind_s = newest_file_s(patient) - now_s;
    const char *advice = "let the system set its clock from the network";
    if (now_s < SANE_SINCE_S || now_s > SANE_UNTIL_S)
        vx_found(finding, VX_CHECK_FAILED, advice, "this computer's clock shows a year in which voxlock cannot run");
    else if (behind_s > MOST_OFF_S)
        vx_found(finding, VX_CHECK_WARNING, advice, "this computer's clock is %lld s behind a file of voxlock's own",
                 (long long)behind_s);
    else
        vx_found(finding, VX_CHECK_OK, NULL, "it shows a sane year, and no file of voxlock's is from the future");
}

void vx_check_clock(vx_patient *patient, vx_finding *finding)
{
    vx_cloud_options cloud;
    check_clock_alone(patient, finding);
    if (finding->result != VX_CHECK_OK || vx_cloud_settings(patient->options, &cloud, NULL) != VX_OK)
        return;
    const int64_t date_s = ask_date_s(&cloud);
    const int64_t off_s = vx_wall_ms() / 1000 - date_s;
    if (date_s < 0)
        return;
    if (off_s < -MOST_OFF_S || off_s > MOST_OFF_S)
        vx_found(finding, VX_CHECK_WARNING, "let the system set its clock from the network",
                 "this computer's clock is %lld s %s the cloud's", llabs((long long)off_s),
                 off_s > 0 ? "ahead of" : "behind");
    else
        vx_found(finding, VX_CHECK_OK, NULL, "it agrees with the cloud's to %lld s", llabs((long long)off_s));
}
