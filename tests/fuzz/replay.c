/* replay.c - runs a fuzz target over a committed corpus and over fixed mutations of it; speaks TAP.
 * Owns:   the mutations. Does not: look for new inputs (run.sh does, with libFuzzer).
 * Usage: fuzz_TARGET [--keep FILE] FOLDER...    --keep writes each input to FILE before it runs: after a crash, FILE
 *        is the input to add to the corpus.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "shared/base/file.h"
#include "tests/fuzz/fuzz.h"

/* Inputs made of one file: 400, fewer where that would be more than 2 MiB, so that a run under ASan takes seconds. */
#define MUTATIONS_MAX 400
#define MUTATIONS_MIN 16
#define BYTES_A_FILE  (2u << 20)
#define FILE_CAP      (1u << 20)
#define SEED          0x766f786c6f636bu

typedef struct {
    const char *keep;
    uint64_t random;
    vx_buf input;
    size_t n_done; /* files */
} replay;

static void check(bool good, const char *what)
{
    if (good)
        return;
    (void)fprintf(stderr, "replay: %s\n", what);
    exit(1);
}

/* xorshift64*: the same numbers on every machine. */
static size_t below(replay *r, size_t n)
{
    r->random ^= r->random >> 12;
    r->random ^= r->random << 25;
    r->random ^= r->random >> 27;
    return (size_t)((r->random * 0x2545f4914f6cdd1du) >> 32) % n;
}

/* The input in a block of exactly its size, so that ASan sees the first byte read too far. */
static void run_one(replay *r)
{
    uint8_t *exact = malloc(r->input.len);

    check(exact || r->input.len == 0, "out of memory");
    if (r->input.len > 0)
        memcpy(exact, r->input.data, r->input.len);
    if (r->keep) {
        FILE *file = fopen(r->keep, "wb");
        check(file && fwrite(exact, 1, r->input.len, file) == r->input.len && fclose(file) == 0, "cannot write --keep");
    }
    (void)LLVMFuzzerTestOneInput(exact, r->input.len);
    free(exact);
}

/* Values at which parsers change their mind: signs, separators, the ends of a length field. */
static uint8_t telling_byte(replay *r)
{
    static const uint8_t bytes[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '"', '\\', '=', '\n', '{', '[', '-', '9', ' '};
    return bytes[below(r, sizeof bytes)];
}

/* One to four changes, each at a random place. Only a truncation changes the length, and only downwards. */
static void mutate(replay *r)
{
    vx_buf *in = &r->input;

    for (size_t left = 1 + below(r, 4); left > 0 && in->len > 0; left--) {
        size_t at = below(r, in->len), n = 1 + below(r, in->len - at);
        switch (below(r, 5)) {
        case 0: in->len = at; break;
        case 1: in->data[at] = telling_byte(r); break;
        case 2: memmove(in->data + below(r, in->len - n + 1), in->data + at, n); break;
        case 3: memset(in->data + at, telling_byte(r), n < 8 ? n : 8); break;
        default: in->data[at] ^= (uint8_t)(1u << below(r, 8)); break;
        }
    }
}

static void replay_file(replay *r, const char *folder, const char *name)
{
    char path[1024];
    vx_buf original = {0};

    check(vx_path_join(folder, name, path, sizeof path) == VX_OK, "a path is too long");
    check(vx_file_read(path, FILE_CAP, &original, NULL) == VX_OK, path);
    size_t n = BYTES_A_FILE / (original.len + 1);
    n = n > MUTATIONS_MAX ? MUTATIONS_MAX : n < MUTATIONS_MIN ? MUTATIONS_MIN : n;
    (void)printf("# %s, %zu mutations\n", name, n);
    for (size_t i = 0; i <= n; i++) {
        r->input.len = 0;
        check(vx_buf_append(&r->input, original.data, original.len) == VX_OK, "out of memory");
        if (i > 0)
            mutate(r);
        run_one(r);
    }
    (void)printf("ok %zu - %s\n", ++r->n_done, name);
    vx_buf_done(&original);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    replay r = {.random = SEED};
    struct dirent **names[16];
    int n_names[16], n_all = 0, first = 1;

    if (argc > 2 && strcmp(argv[1], "--keep") == 0) {
        r.keep = argv[2];
        first = 3;
    }
    check(argc > first && argc - first <= 16, "usage: [--keep FILE] FOLDER... (16 at most)");
    /* Line by line, so that the log of a crash ends with the file that caused it. */
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = first; i < argc; i++) {
        n_names[i - first] = scandir(argv[i], &names[i - first], is_visible, alphasort);
        check(n_names[i - first] >= 0, argv[i]);
        n_all += n_names[i - first];
    }
    (void)printf("1..%d\n# seed 0x%llx\n", n_all, (unsigned long long)SEED);
    for (int i = first; i < argc; i++) {
        for (int j = 0; j < n_names[i - first]; j++) {
            replay_file(&r, argv[i], names[i - first][j]->d_name);
            free(names[i - first][j]);
        }
        free(names[i - first]);
    }
    vx_buf_done(&r.input);
    return n_all > 0 ? 0 : 1;
}
