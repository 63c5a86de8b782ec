/* token_endpoint.h - a Google of our own on the loopback: the endpoint that exchanges a service account's assertion for
 * an identity token, and the metadata server of a machine in its cloud.
 * Owns:   a thread, an RSA key pair made anew, its own clock; every claim and the signature of an assertion are
 *         verified (with libcrypto, not with the code under test). Does not: sign the tokens that it gives; nobody here looks.
 * Every function fails the cmocka test when it cannot do its work.
 */
#ifndef VX_TESTS_TOKEN_ENDPOINT_H
#define VX_TESTS_TOKEN_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#define TOKEN_AUDIENCE "https://voxlock-ml-abc123-uc.a.run.app"
#define TOKEN_EMAIL    "edge@my-project.iam.gserviceaccount.com"

/* All zero: a token of an hour to whoever proves who he is. */
typedef struct {
    int64_t clock_off_s; /* its clock, ahead of the system's */
    int64_t life_s;      /* of tokens; 0: 3600; negative: expired on arrival */
    int delay_ms;        /* before it answers */
    bool hangs_up;       /* closes the connection instead of answering */
    bool revoked;        /* the account's key is no longer known: invalid_grant */
    bool opaque;         /* tokens that tell nothing of themselves */
    bool no_flavor;      /* answers without Metadata-Flavor */
    int status;          /* of every answer, without a body; 0: as it comes */
    const char *body;    /* of every answer; NULL: as it comes */
} token_rules;

typedef struct token_endpoint token_endpoint;

token_endpoint *token_endpoint_start(void);
/* NULL is fine. */
void token_endpoint_stop(token_endpoint *t);
/* "http://127.0.0.1:PORT": the metadata server; with "/token" behind it, the token endpoint. */
const char *token_endpoint_url(const token_endpoint *t);
void token_endpoint_rule(token_endpoint *t, token_rules rules);

/* The account's key as Google hands it out, mode 0600. */
void token_endpoint_write_key(const token_endpoint *t, const char *path);
/* The same as text, to be changed by a test; freed by the caller. */
char *token_endpoint_key_json(const token_endpoint *t);

/* Requests so far; those that got a token; and what was wrong with the last one that got none. */
int token_endpoint_asked(token_endpoint *t);
int token_endpoint_granted(token_endpoint *t);
void token_endpoint_complaint(token_endpoint *t, char ret_text[128]);
/* The number of a token that it gave, 1, 2, ...; 0 when it is none of its own. header: "Bearer ..." */
int token_endpoint_number(const char *header);

#endif
