/* service.h - the real voxlock-cloud, started beside the test.
 * Owns:   the processes, their settings, their logs. Does not: speak HTTP (http.h).
 *
 * The program is the one of this build mode, so that a sanitizer sees what a test does to it: a test fails when a
 * service ends by a signal or a sanitizer's report stands in its log.
 */
#ifndef VX_TESTS_SERVICE_H
#define VX_TESTS_SERVICE_H

#include <stdbool.h>
#include <sys/types.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* How long anything that is bound to happen may take, on a machine that is busy with other things. */
#define PATIENCE_MS (SANITIZED ? 60000 : 20000)

typedef struct {
    pid_t pid;  /* 0: ended */
    int port;   /* 0: never listened */
    int status; /* exit status once ended; 128 and the signal's number after a signal */
    int log_fd;
} service;

/* Starts the program and returns once it listens; fails the test with its log if it does not.
 * settings [in] "NAME=value", NULL at the end; may be NULL. They replace these: a free port on the loopback, the
 *               starter model, JSON log lines of every level. Settings in the test's own environment do not count.
 *               VOXLOCK_TEST_FAULTS starts the build with faults on purpose (cloud/faults.h)
 * Returns  a service that service_reap frees */
service *service_start(const char *const settings[]);
/* The same with a command line (args, NULL at the end; may be NULL). */
service *service_start_with(const char *const settings[], const char *const args[]);
/* service_start, and the model is loaded. */
service *service_start_ready(const char *const settings[]);
/* Runs the program until it ends by itself, which it must.
 * args [in] of the command line, NULL at the end; may be NULL */
service *service_run(const char *const settings[], const char *const args[]);

/* All that it has written to standard error so far. Freed by the caller. */
char *service_log(const service *s);
/* Waits until the log holds a text. False when it ends or PATIENCE_MS pass before. */
bool service_says(service *s, const char *text);
/* The parts of the log that are not one JSON object a line: 0. Fails the test at the first line that is none. */
void service_check_log(const service *s);
bool service_running(service *s);
/* Resident memory, in KiB; 0 where the system does not tell (anything but Linux). */
long service_rss_kib(const service *s);

/* Sends a signal. */
void service_signal(const service *s, int signal_no);
/* Waits for its end, and returns its exit status. Fails the test when it crashed, hung or a sanitizer spoke. */
int service_wait(service *s);
/* SIGTERM, then service_wait. */
int service_stop(service *s);

/* Teardown of a test or a group: ends and frees every service that is left; -1 if one had to be killed, crashed, or
 * a sanitizer spoke. */
int service_reap(void **state);

#endif
