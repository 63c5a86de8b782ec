/* proof.c - a digest computed beside other work: 50 ms for 83 MB of weights, which is as long as binding, converting and
 * testing a network take together.
 */
#include "shared/engine/proof.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/bytes.h"
#include "shared/base/sha256.h"

struct vx_proof {
    const vx_map *map;
    const vx_artefact *artefact;
    pthread_t thread;
    bool has_thread;
    /* The thread's, until it is joined. */
    vx_err err;
    uint8_t digest[VX_SHA256_BYTES];
    char path[];
};

static void *compute(void *arg)
{
    vx_proof *p = arg;
    p->err = vx_sha256_of(p->map->data, p->map->len, p->digest);
    return NULL;
}

/* Signals belong to the program's own threads, but for the fault of a file that was cut short under us. */
static bool start_thread(vx_proof *p)
{
    sigset_t all, old;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    const bool started = pthread_create(&p->thread, NULL, compute, p) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return started;
}

vx_err vx_proof_start(const vx_map *map, const vx_artefact *artefact, const char *path, vx_proof **ret_proof,
                      vx_errinfo *info)
{
    /* It costs nothing, and a file cut short by a full disk is the common case. */
    if (map->len != artefact->bytes)
        return vx_errinfo_set_at(info, VX_ERR_MODEL_HASH, path, -1, 0, "%zu bytes where the manifest states %zu",
                                 map->len, artefact->bytes);
    const size_t path_bytes = strlen(path) + 1;
    vx_proof *p = calloc(1, sizeof *p + path_bytes);
    if (!p)
        return VX_ERR_NOMEM;
    p->map = map;
    p->artefact = artefact;
    memcpy(p->path, path, path_bytes);
    p->has_thread = start_thread(p);
    *ret_proof = p;
    return VX_OK;
}

vx_err vx_proof_end(vx_proof *p, vx_errinfo *info)
{
    char found[VX_SHA256_HEX], stated[VX_SHA256_HEX];
    if (p->has_thread)
        pthread_join(p->thread, NULL);
    else
        compute(p);
    vx_err err = p->err;
    if (err != VX_OK) {
        vx_errinfo_set_at(info, err, p->path, -1, 0, "SHA-256 could not be computed");
    } else if (!vx_equal_ct(p->digest, p->artefact->sha256, sizeof p->digest)) {
        vx_hex(p->digest, sizeof p->digest, found);
        vx_hex(p->artefact->sha256, sizeof p->artefact->sha256, stated);
        err = vx_errinfo_set_at(info, VX_ERR_MODEL_HASH, p->path, -1, 0, "SHA-256 is %s where the manifest states %s",
                                found, stated);
    }
    free(p);
    return err;
}
