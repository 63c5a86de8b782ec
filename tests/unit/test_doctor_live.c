/* test_doctor_live.c - the checks of what a live unlock needs, each with its own fault: microphones that give too little,
 * phrases that cannot be understood, nothing that speaks, PAM's folders in every state, agents; and the list for a Mac.
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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/agent/place.h"
#include "edge/agent/socket.h"
#include "edge/cmd.h"
#include "edge/doctor/doctor.h"
#include "shared/audio/audio.h"
#include "tests/support/agent_double.h"
#include "tests/support/encode.h"
#include "tests/support/scratch.h"

/* A patient in a folder of its own: home, data and the system's root lie in it. */
typedef struct {
    scratch home;
    char data[256], home_entry[128], data_entry[300];
    vx_options *options;
    vx_patient patient;
    char *environment[4];
} fixture;

static void prepare(fixture *f, const char *setting)
{
    const char *operands[2];
    int n_operands = 0;
    vx_errinfo info = {0};
    *f = (fixture){.home = scratch_make()};
    (void)scratch_path(&f->home, "data", f->data, sizeof f->data);
    (void)snprintf(f->home_entry, sizeof f->home_entry, "HOME=%s", f->home.path);
    (void)snprintf(f->data_entry, sizeof f->data_entry, "VOXLOCK_DATA_DIR=%s", f->data);
    f->environment[0] = f->home_entry;
    f->environment[1] = f->data_entry;
    char *given[] = {f->home_entry, f->data_entry, (char *)(uintptr_t) "ECAPA_CACHE_DIR=models/starter", NULL, NULL};
    given[3] = (char *)(uintptr_t)setting;
    if (vx_options_load(VX_FOR_EDGE, given, 0, NULL, NULL, operands, &n_operands, &f->options, &info) != VX_OK ||
        vx_patient_init(f->options, f->environment, &f->patient, &info) != VX_OK)
        fail_msg("%s", info.text);
    f->patient.by_hand = true;
    f->patient.root = f->home.path;
}

static void drop(fixture *f)
{
    vx_patient_done(&f->patient);
    vx_options_destroy(f->options);
    scratch_done(&f->home);
}

/* One check, whose result and words must be these. */
static void finds(fixture *f, void (*check)(vx_patient *, vx_finding *), vx_check_result result, const char *part)
{
    vx_finding finding = {.result = (vx_check_result)-1};
    check(&f->patient, &finding);
    if (finding.result != result || !strstr(finding.sentence, part))
        fail_msg("%s: '%s', not %s: '%s'", vx_check_result_name(finding.result), finding.sentence,
                 vx_check_result_name(result), part);
}

/* ---- the microphone -------------------------------------------------------------------------------------------------- */

static void a_microphone_is_judged_by_what_it_gives(void **state)
{
    (void)state;
    static const struct {
        double dbfs; /* of white noise at the device's rate, of which 16 kHz keep a third of 48 kHz: 5 dB less */
        int rate, n;
        vx_check_result result;
        const char *part;
    } cases[] = {
        {-55, 48000, 96000, VX_CHECK_OK, "hears the room at -60 dBFS"},
        {-55, 16000, 32000, VX_CHECK_OK, "16000 Hz, 1 channels) hears the room at -55 dBFS"},
        {-20, 48000, 96000, VX_CHECK_WARNING, "is at -25 dBFS while nobody should speak"},
        {-55, 8000, 16000, VX_CHECK_WARNING, "gives 8000 Hz"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f;
        char path[256];
        vx_buf file = {0};
        unsigned seed = 7;
        prepare(&f, NULL);
        float *samples = calloc((size_t)cases[i].n, sizeof *samples);
        assert_non_null(samples);
        for (int k = 0; k < cases[i].n; k++) { /* uniform noise of that level */
            seed = seed * 1664525u + 1013904223u;
            const double unit = ((double)(seed >> 8) / (1 << 23) - 1) * sqrt(3);
            samples[k] = (float)(unit * pow(10, cases[i].dbfs / 20));
        }
        assert_int_equal(encode_audio(ENCODE_WAV_FLOAT, samples, (size_t)cases[i].n, cases[i].rate, 1, &file), 0);
        scratch_write(&f.home, "heard.wav", file.data, file.len);
        f.patient.microphone =
            (vx_capture_options){.source = "file", .path = scratch_path(&f.home, "heard.wav", path, sizeof path)};
        finds(&f, vx_check_microphone, cases[i].result, cases[i].part);
        vx_buf_done(&file);
        free(samples);
        drop(&f);
    }
}

static void a_microphone_that_is_not_there_is_a_warning(void **state)
{
    (void)state;
    fixture f;
    prepare(&f, NULL);
    f.patient.microphone = (vx_capture_options){.source = "file", .path = "/nonexistent/microphone"};
    finds(&f, vx_check_microphone, VX_CHECK_WARNING, "/nonexistent/microphone");
    /* Asked by the agent's API, nobody listens. */
    f.patient.by_hand = false;
    finds(&f, vx_check_microphone, VX_CHECK_SKIPPED, "nobody asked");
    finds(&f, vx_check_agent, VX_CHECK_SKIPPED, "agent that answers");
    drop(&f);
}

/* ---- words ----------------------------------------------------------------------------------------------------------- */

static void phrases_that_cannot_be_understood_are_found(void **state)
{
    (void)state;
    fixture f;
    prepare(&f, "VOXLOCK_PHRASES=open, 2 doors");
    finds(&f, vx_check_phrase, VX_CHECK_FAILED, "letters");
    drop(&f);
    prepare(&f, NULL);
    vx_finding finding = {0};
    vx_check_phrase(&f.patient, &finding);
    const bool has_recogniser = finding.result == VX_CHECK_OK; /* this computer's business */
    assert_true(has_recogniser || finding.result == VX_CHECK_WARNING);
    drop(&f);
    if (!has_recogniser)
        return;
    prepare(&f, "VOXLOCK_PHRASES=xyzzyx plugh frobozz");
    finds(&f, vx_check_phrase, VX_CHECK_FAILED, "xyzzyx");
    drop(&f);
}

static void a_program_that_speaks_is_looked_for_and_not_run(void **state)
{
    (void)state;
    fixture f;
    char path[512], tool[256];
    prepare(&f, NULL);
    /* "say" on a Mac, the other elsewhere; running it would leave a mark. */
    static const char *const names[] = {"say", "espeak-ng"};
    (void)snprintf(path, sizeof path, "PATH=/nonexistent::%s", f.home.path);
    finds(&f, vx_check_speech, VX_CHECK_WARNING, "no program speaks");
    f.environment[2] = path;
    finds(&f, vx_check_speech, VX_CHECK_WARNING, "no program speaks");
    for (int i = 0; i < 2; i++)
        scratch_write(&f.home, names[i], "#!/bin/sh\n: > \"$0.ran\"\n", 23);
    finds(&f, vx_check_speech, VX_CHECK_WARNING, "no program speaks"); /* mode 0600: no program */
    for (int i = 0; i < 2; i++)
        assert_int_equal(chmod(scratch_path(&f.home, names[i], tool, sizeof tool), 0700), 0);
    finds(&f, vx_check_speech, VX_CHECK_OK, "says what cannot be read");
    assert_false(scratch_has(&f.home, "say.ran") || scratch_has(&f.home, "espeak-ng.ran"));
    drop(&f);
    prepare(&f, "VOXLOCK_SPEAK=off");
    finds(&f, vx_check_speech, VX_CHECK_SKIPPED, "VOXLOCK_SPEAK=off");
    drop(&f);
}

/* ---- PAM ------------------------------------------------------------------------------------------------------------- */

static void make_folders(const scratch *s, const char *path)
{
    char part[256];
    for (const char *slash = path; slash; slash = strchr(slash + 1, '/')) {
        const char *end = strchr(slash + 1, '/');
        char full[512];
        (void)snprintf(part, sizeof part, "%.*s", (int)(end ? (size_t)(end - path) : strlen(path)), path);
        (void)mkdir(scratch_path(s, part, full, sizeof full), 0755);
    }
}

static void pam_is_judged_by_its_folders(void **state)
{
    (void)state;
#define LINE "auth sufficient pam_voxlock.so timeout=10\n"
    static const struct {
        const char *stack, *text; /* a file of /etc/pam.d; NULL: none */
        mode_t module;            /* of the module; 0: it is not there */
        vx_check_result result;
        const char *part;
    } cases[] = {
        {NULL, NULL, 0, VX_CHECK_SKIPPED, "is not installed"},
        {"swaylock", LINE, 0, VX_CHECK_FAILED, "/etc/pam.d/swaylock names"},
        {NULL, NULL, 0644, VX_CHECK_OK, "no stack names it"},
        {"swaylock", "auth include login\n", 0644, VX_CHECK_OK, "no stack names it"},
        {"swaylock", "  # " LINE, 0644, VX_CHECK_OK, "no stack names it"},
        {"swaylock", "# as pam says\n" LINE "auth include login\n", 0644, VX_CHECK_OK, "by 1 stack: swaylock"},
        {"swaylock", LINE, 0664, VX_CHECK_FAILED, "others than root may write"},
        {"sudo", LINE, 0644, VX_CHECK_WARNING, "/etc/pam.d/sudo names"},
        {"polkit-1", "auth\tsufficient\tpam_voxlock.so", 0644, VX_CHECK_WARNING, "any program of yours"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture f;
        char name[128], path[256];
        prepare(&f, NULL);
        make_folders(&f.home, "etc/pam.d");
        make_folders(&f.home, "usr/lib/security");
        if (cases[i].stack) {
            (void)snprintf(name, sizeof name, "etc/pam.d/%s", cases[i].stack);
            scratch_write(&f.home, name, cases[i].text, strlen(cases[i].text));
        }
        if (cases[i].module) {
            scratch_write(&f.home, "usr/lib/security/pam_voxlock.so", "", 0);
            assert_int_equal(
                chmod(scratch_path(&f.home, "usr/lib/security/pam_voxlock.so", path, sizeof path), cases[i].module), 0);
        }
        finds(&f, vx_check_pam, cases[i].result, cases[i].part);
        drop(&f);
    }
}

/* ---- agent ----------------------------------------------------------------------------------------------------------- */

static void an_agent_is_asked_for_its_version(void **state)
{
    (void)state;
    fixture f;
    agent_double agent = {0};
    vx_agent_socket *socket = NULL;
    prepare(&f, NULL);
    finds(&f, vx_check_agent, VX_CHECK_SKIPPED, "no agent is installed");
    assert_int_equal(vx_agent_take_folder(f.data, NULL), VX_OK);
    const vx_agent_calls calls = agent_double_calls(&agent);
    assert_int_equal(vx_agent_socket_create(f.data, &calls, (vx_agent_socket_options){0}, &socket, NULL), VX_OK);
    finds(&f, vx_check_agent, VX_CHECK_WARNING, "this program is " VX_VERSION); /* the double tells another version */
    assert_int_equal(atomic_load(&agent.n_status), 1);
    vx_agent_socket_destroy(socket);
    drop(&f);
}

/* ---- clock ----------------------------------------------------------------------------------------------------------- */

static void a_file_from_the_future_shows_a_clock_set_back(void **state)
{
    (void)state;
    fixture f;
    char path[256];
    prepare(&f, NULL);
    finds(&f, vx_check_clock, VX_CHECK_OK, "sane year");
    assert_int_equal(mkdir(f.data, 0700), 0);
    scratch_write(&f.home, "data/voxlock.db", "", 0);
    finds(&f, vx_check_clock, VX_CHECK_OK, "sane year");
    const time_t later = time(NULL) + 7200;
    const struct timespec times[2] = {{.tv_sec = later}, {.tv_sec = later}};
    assert_int_equal(utimensat(AT_FDCWD, scratch_path(&f.home, "data/voxlock.db", path, sizeof path), times, 0), 0);
    finds(&f, vx_check_clock, VX_CHECK_WARNING, "behind a file of voxlock's own");
    drop(&f);
}

/* ---- the list for a Mac ---------------------------------------------------------------------------------------------- */

static const vx_cmd *command(const char *name, size_t len)
{
    for (size_t i = 0; vx_commands[i]; i++)
        if (strlen(vx_commands[i]->name) == len && strncmp(vx_commands[i]->name, name, len) == 0)
            return vx_commands[i];
    return NULL;
}

static bool takes(const vx_cmd *cmd, const char *flag, size_t len)
{
    for (int i = 0; i < VX_CMD_MAX_FLAGS && cmd->flags[i].name; i++)
        if (strlen(cmd->flags[i].name) == len && strncmp(cmd->flags[i].name, flag, len) == 0)
            return true;
    return false;
}

/* A list that tells people to run what is not there is worse than none. */
static void every_command_of_the_list_exists(void **state)
{
    (void)state;
    size_t n = 0;
    for (size_t i = 0; i < vx_n_mac_steps; i++) {
        const vx_mac_step *step = &vx_mac_steps[i];
        assert_true(strlen(step->act) > 0 && strlen(step->expect) > 0);
        for (const char *at = strstr(step->act, "voxlock "); at; at = strstr(at + 1, "voxlock ")) {
            const char *name = at + strlen("voxlock ");
            const size_t end = strcspn(name, ";,`"), len = strcspn(name, " ;,`");
            const vx_cmd *cmd = command(name, len);
            if (!cmd)
                fail_msg("step %zu: no command '%.20s'", i + 1, name);
            for (const char *flag = strstr(name, "--"); flag && flag < name + end; flag = strstr(flag + 1, "--"))
                if (!takes(cmd, flag, strcspn(flag, " ;,")))
                    fail_msg("step %zu: %s takes no '%.20s'", i + 1, cmd->name, flag);
            n++;
        }
    }
    assert_true(n >= 15);
    assert_non_null(strstr(vx_mac_after, "voxlock doctor --json"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_microphone_is_judged_by_what_it_gives),
        cmocka_unit_test(a_microphone_that_is_not_there_is_a_warning),
        cmocka_unit_test(phrases_that_cannot_be_understood_are_found),
        cmocka_unit_test(a_program_that_speaks_is_looked_for_and_not_run),
        cmocka_unit_test(pam_is_judged_by_its_folders),
        cmocka_unit_test(an_agent_is_asked_for_its_version),
        cmocka_unit_test(a_file_from_the_future_shows_a_clock_set_back),
        cmocka_unit_test(every_command_of_the_list_exists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
