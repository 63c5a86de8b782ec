/* bench_startup.c - from the start of a program to the first embedding it says, and the memory it took.
 * Usage:  bench_startup --clip PATH [--runs N] [--model NAME] [--json FILE] LABEL=COMMAND...
 *         Each command is given PATH as a line on its standard input and must answer with a line that holds
 *         "embedding": the contenders of bench_engine.c do, and so does `voxlock embed --json FILE`, which needs no
 *         input. The first is the one the others are compared with. The page cache is warm.
 * Owns:   starting, the clock, the table. Does not: check the embedding (bench_engine.c does).
 */
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/clock.h"
#include "tests/support/child.h"
#include "tests/support/stats.h"

enum { MAX_PROGRAMS = 12, MAX_RUNS = 100, ANSWER_TIMEOUT_MS = 60000, END_TIMEOUT_MS = 5000 };

typedef struct {
    char *label, *command;
    double ms[MAX_RUNS], rss_mb[MAX_RUNS]; /* peak */
    bool failed;
} program;

/* False when no embedding came. */
static bool start_once(const program *p, const char *clip, double *ret_ms, double *ret_rss_mb)
{
    child c = {0};
    const char *line;
    bool answered = false;
    const uint64_t start = vx_now_ns();
    if (!child_start((char *[]){(char *)"sh", (char *)"-c", p->command, NULL}, CHILD_STDOUT, &c))
        return false;
    /* A program that reads nothing may have gone already. */
    child_say(&c, clip);
    while (!answered && child_hear(&c, ANSWER_TIMEOUT_MS, &line))
        answered = strstr(line, "\"embedding\"") != NULL;
    *ret_ms = vx_ms_since(start);
    child_end(&c, END_TIMEOUT_MS);
    *ret_rss_mb = c.peak_rss_mb;
    return answered;
}

static json_t *report(program *p, const char *model, int runs, double first_median)
{
    const spread ms = stats_spread(p->ms, (size_t)runs);
    const double rss = stats_spread(p->rss_mb, (size_t)runs).median;
    char range[32];
    snprintf(range, sizeof range, "%.1f .. %.1f", ms.p10, ms.p90);
    printf("  %-28s %9.1f  %-18s %10.1f %10.2f\n", p->label, ms.median, range, rss, ms.median / first_median);
    return json_pack("{s:s, s:s, s:i, s:f, s:f, s:f, s:f}", "model", model, "program", p->label, "runs", runs,
                     "median_ms", ms.median, "p10_ms", ms.p10, "p90_ms", ms.p90, "peak_rss_mb", rss);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"clip", required_argument, NULL, 'c'},
                                            {"runs", required_argument, NULL, 'r'},
                                            {"model", required_argument, NULL, 'm'},
                                            {"json", required_argument, NULL, 'j'},
                                            {0}};
    static program programs[MAX_PROGRAMS];
    const char *clip = NULL, *model = "?", *json = NULL;
    int runs = 11, n = 0, status = 0;
    bool usage = false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'c': clip = optarg; break;
        case 'r': runs = atoi(optarg); break;
        case 'm': model = optarg; break;
        case 'j': json = optarg; break;
        default: usage = true;
        }
    }
    for (int i = optind; i < argc && n < MAX_PROGRAMS; i++, n++) {
        programs[n].label = argv[i];
        programs[n].command = strchr(argv[i], '=');
        usage |= !programs[n].command;
        if (programs[n].command)
            *programs[n].command++ = '\0';
    }
    if (usage || !clip || n == 0 || runs < 1 || runs > MAX_RUNS) {
        fputs("usage: bench_startup --clip PATH [--runs N] [--model NAME] [--json FILE] LABEL=COMMAND...\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN); /* a program that ends before it is asked is an answer too */
    for (int run = 0; run < runs; run++)
        for (int i = 0; i < n; i++)
            programs[i].failed |= !start_once(&programs[i], clip, &programs[i].ms[run], &programs[i].rss_mb[run]);

    printf("\nmodel %s, program start to first embedding of 3 s, median of %d starts\n", model, runs);
    printf("  %-28s %9s  %-18s %10s %10s\n", "", "ms", "10 % .. 90 %", "peak MB", "x voxlock");
    json_t *results = json_array();
    const double first = stats_spread(programs[0].ms, (size_t)runs).median;
    for (int i = 0; i < n; i++) {
        if (programs[i].failed) {
            printf("  %-28s gave no embedding\n", programs[i].label);
            status = 1;
        } else {
            json_array_append_new(results, report(&programs[i], model, runs, first));
        }
    }
    if (json && json_dump_file(results, json, JSON_INDENT(1) | JSON_REAL_PRECISION(7)) != 0) {
        fprintf(stderr, "bench_startup: %s: cannot be written\n", json);
        status = 1;
    }
    json_decref(results);
    return status;
}
