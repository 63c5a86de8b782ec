/* token_endpoint.c - one thread that takes one connection after the other. */
#include "tests/support/token_endpoint.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY_ID        "0123456789abcdef0123456789abcdef01234567"
#define METADATA_PATH "/computeMetadata/v1/instance/service-accounts/default/identity"
#define GRANT         "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
#define OPAQUE_PREFIX "opaque-token-"

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* LEEWAY_S: what an assertion's iat and exp may be off, as Google has it. */
enum { MAX_REQUEST = 64 * 1024, MAX_PART = 4096, LEEWAY_S = 300, LIFE_S = 3600 };

struct token_endpoint {
    EVP_PKEY *key;
    int listener, stop[2]; /* a byte in stop ends the thread */
    pthread_t thread;
    char url[64], token_uri[80];

    pthread_mutex_t lock; /* guards what follows */
    token_rules rules;
    int asked, granted;
    char complaint[128];
};

typedef struct {
    char text[MAX_REQUEST];
    size_t len;
    const char *body; /* in text */
} request;

typedef struct {
    int status;
    char body[MAX_PART];
} answer;

/* ---- tokens ----------------------------------------------------------------------------------------------------- */

static void to_base64url(const void *data, size_t len, char *ret)
{
    EVP_EncodeBlock((unsigned char *)ret, data, (int)len);
    for (char *c = ret; *c; c++)
        *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
    ret[strcspn(ret, "=")] = '\0';
}

/* Bytes written, with a zero behind them; -1 when it is not base64url. */
static int from_base64url(const char *text, size_t len, unsigned char ret[MAX_PART])
{
    char padded[MAX_PART];
    size_t n = 0;
    if (len + 4 > sizeof padded)
        return -1;
    for (; n < len; n++)
        padded[n] = text[n] == '-' ? '+' : text[n] == '_' ? '/' : text[n];
    const size_t pad = (4 - len % 4) % 4;
    for (size_t i = 0; i < pad; i++)
        padded[n++] = '=';
    int got = EVP_DecodeBlock(ret, (const unsigned char *)padded, (int)n);
    if (got < 0)
        return -1;
    got -= (int)pad;
    ret[got] = '\0';
    return got;
}

static int64_t own_time(const token_rules *rules)
{
    return (int64_t)time(NULL) + rules->clock_off_s;
}

static void make_token(const token_rules *rules, int number, char ret[MAX_PART])
{
    char claims[256], first[64], second[400];
    const int64_t now = own_time(rules);
    if (rules->opaque) {
        snprintf(ret, MAX_PART, OPAQUE_PREFIX "%d", number);
        return;
    }
    snprintf(claims, sizeof claims, "{\"aud\":\"%s\",\"iat\":%lld,\"exp\":%lld,\"number\":%d}", TOKEN_AUDIENCE,
             (long long)now, (long long)(now + (rules->life_s ? rules->life_s : LIFE_S)), number);
    to_base64url("{\"alg\":\"RS256\"}", 15, first);
    to_base64url(claims, strlen(claims), second);
    snprintf(ret, MAX_PART, "%s.%s.c2lnbmF0dXJl", first, second);
}

int token_endpoint_number(const char *header)
{
    unsigned char claims[MAX_PART];
    if (strncmp(header, "Bearer ", 7) != 0)
        return 0;
    header += 7;
    if (strncmp(header, OPAQUE_PREFIX, sizeof OPAQUE_PREFIX - 1) == 0)
        return atoi(header + sizeof OPAQUE_PREFIX - 1);
    const char *start = strchr(header, '.'), *end = start ? strchr(start + 1, '.') : NULL;
    if (!end || from_base64url(start + 1, (size_t)(end - start - 1), claims) < 0)
        return 0;
    const char *number = strstr((const char *)claims, "\"number\":");
    return number ? atoi(number + 9) : 0;
}

/* ---- assertions ------------------------------------------------------------------------------------------------- */

static bool signature_holds(const token_endpoint *t, const char *jwt, size_t len, const char *signature)
{
    unsigned char bytes[MAX_PART];
    const int n = from_base64url(signature, strlen(signature), bytes);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const bool good = n > 0 && ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, t->key) == 1 &&
                      EVP_DigestVerify(ctx, bytes, (size_t)n, (const unsigned char *)jwt, len) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static bool says(const json_t *claims, const char *name, const char *value)
{
    const char *text = json_string_value(json_object_get(claims, name));
    return text && strcmp(text, value) == 0;
}

/* NULL when all is well. */
static const char *judge_claims(const token_endpoint *t, const token_rules *rules, const json_t *head,
                                const json_t *claims)
{
    const int64_t now = own_time(rules), iat = json_integer_value(json_object_get(claims, "iat")),
                  exp = json_integer_value(json_object_get(claims, "exp"));
    if (!says(head, "alg", "RS256") || !says(head, "typ", "JWT") || !says(head, "kid", KEY_ID))
        return "invalid_grant: Invalid JWT header";
    if (!says(claims, "iss", TOKEN_EMAIL))
        return "invalid_grant: Invalid issuer";
    if (!says(claims, "aud", t->token_uri))
        return "invalid_grant: Invalid JWT audience";
    if (exp <= iat || exp - iat > LIFE_S || iat > now + LEEWAY_S || exp < now)
        return "invalid_grant: Invalid JWT: Token must be a short-lived token (60 minutes)";
    if (!says(claims, "target_audience", TOKEN_AUDIENCE))
        return "invalid_request: Bad target_audience";
    return NULL;
}

static const char *judge_assertion(const token_endpoint *t, const token_rules *rules, const char *jwt)
{
    unsigned char head_text[MAX_PART], claims_text[MAX_PART];
    const char *first = strchr(jwt, '.'), *second = first ? strchr(first + 1, '.') : NULL;
    if (!second || from_base64url(jwt, (size_t)(first - jwt), head_text) < 0 ||
        from_base64url(first + 1, (size_t)(second - first - 1), claims_text) < 0)
        return "invalid_request: no JWT";
    if (rules->revoked || !signature_holds(t, jwt, (size_t)(second - jwt), second + 1))
        return "invalid_grant: Invalid JWT Signature.";
    json_t *head = json_loads((const char *)head_text, 0, NULL),
           *claims = json_loads((const char *)claims_text, 0, NULL);
    const char *wrong = judge_claims(t, rules, head, claims);
    json_decref(head);
    json_decref(claims);
    return wrong;
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

static bool has_header(const request *r, const char *line)
{
    const char *found = strcasestr(r->text, line);
    return found && found < r->body;
}

/* Both kinds: what is wrong with the request, NULL when it earns a token. */
static const char *judge_exchange(const token_endpoint *t, const token_rules *rules, const request *r)
{
    static const char form[] = "grant_type=" GRANT "&assertion=";
    if (!has_header(r, "\r\nContent-Type: application/x-www-form-urlencoded\r\n"))
        return "invalid_request: no form";
    if (strncmp(r->body, form, sizeof form - 1) != 0)
        return "unsupported_grant_type: Invalid grant_type";
    return judge_assertion(t, rules, r->body + sizeof form - 1);
}

static const char *judge_metadata(const request *r)
{
    if (!has_header(r, "\r\nMetadata-Flavor: Google\r\n"))
        return "forbidden: no Metadata-Flavor";
    if (!strstr(r->text, "format=full") || !strstr(r->text, "audience=https%3A%2F%2Fvoxlock-ml-abc123-uc.a.run.app"))
        return "not_found: wrong query";
    return NULL;
}

static void refuse(answer *a, const char *why)
{
    const size_t code = strcspn(why, ":");
    a->status = 400;
    snprintf(a->body, sizeof a->body, "{\"error\":\"%.*s\",\"error_description\":\"%s\"}", (int)code, why,
             why + code + 2);
}

/* Writes down what came of it. */
static void decide(token_endpoint *t, const request *r, answer *a, token_rules *ret_rules)
{
    const char *wrong = "not_found: no such path";
    char token[MAX_PART];
    pthread_mutex_lock(&t->lock);
    const token_rules rules = t->rules;
    const bool exchange = strncmp(r->text, "POST /token HTTP", 16) == 0;
    t->asked++;
    if (exchange)
        wrong = judge_exchange(t, &rules, r);
    else if (strncmp(r->text, "GET " METADATA_PATH "?", sizeof METADATA_PATH + 4) == 0)
        wrong = judge_metadata(r);
    a->status = 200;
    a->body[0] = '\0';
    if (rules.status || rules.body) {
        a->status = rules.status ? rules.status : 200;
        snprintf(a->body, sizeof a->body, "%s", rules.body ? rules.body : "");
    } else if (wrong) {
        refuse(a, wrong);
        snprintf(t->complaint, sizeof t->complaint, "%s", wrong);
    } else if (!rules.hangs_up) {
        make_token(&rules, ++t->granted, token);
        snprintf(a->body, sizeof a->body, exchange ? "{\"id_token\":\"%.3800s\"}" : "%.3800s", token);
    }
    *ret_rules = rules;
    pthread_mutex_unlock(&t->lock);
}

/* False when the client sends no whole request. */
static bool read_request(int fd, request *r)
{
    r->len = 0;
    for (;;) {
        const ssize_t n = recv(fd, r->text + r->len, sizeof r->text - 1 - r->len, 0);
        if (n <= 0)
            return false;
        r->len += (size_t)n;
        r->text[r->len] = '\0';
        const char *end = strstr(r->text, "\r\n\r\n");
        if (!end)
            continue;
        r->body = end + 4;
        const char *length = strcasestr(r->text, "\r\nContent-Length:");
        const size_t body = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
        if (r->len >= (size_t)(r->body - r->text) + body)
            return true;
    }
}

static void send_answer(int fd, const answer *a, const token_rules *rules)
{
    char text[MAX_PART + 512], date[64];
    const time_t now = (time_t)own_time(rules);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    const int n =
        snprintf(text, sizeof text, "HTTP/1.1 %d X\r\nDate: %s\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                 a->status, date, rules->no_flavor ? "" : "Metadata-Flavor: Google\r\n", strlen(a->body), a->body);
    (void)send(fd, text, (size_t)n, MSG_NOSIGNAL);
}

/* Waits, unless the end comes first, or the client goes. */
static bool ends_within(const token_endpoint *t, int client, int ms)
{
    struct pollfd fds[2] = {{.fd = t->stop[0], .events = POLLIN}, {.fd = client, .events = POLLIN}};
    return ms > 0 && poll(fds, 2, ms) > 0;
}

static void serve(token_endpoint *t, int fd, request *r)
{
    const struct timeval patience = {.tv_sec = 5};
    answer a;
    token_rules rules;
#if defined(SO_NOSIGPIPE)
    (void)setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &(int){1}, sizeof(int));
#endif
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (!read_request(fd, r))
        return;
    decide(t, r, &a, &rules);
    if (!ends_within(t, fd, rules.delay_ms) && !rules.hangs_up)
        send_answer(fd, &a, &rules);
}

static void *run(void *arg)
{
    token_endpoint *t = arg;
    request *r = calloc(1, sizeof *r);
    struct pollfd fds[2] = {{.fd = t->listener, .events = POLLIN}, {.fd = t->stop[0], .events = POLLIN}};
    while (r && poll(fds, 2, -1) >= 0 && !fds[1].revents) {
        const int fd = accept(t->listener, NULL, NULL);
        if (fd < 0)
            continue;
        serve(t, fd, r);
        close(fd);
    }
    free(r);
    return NULL;
}

/* ---- start, stop ------------------------------------------------------------------------------------------------ */

static EVP_PKEY *make_key(void)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);
    assert_true(ctx && EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048) == 1 &&
                EVP_PKEY_keygen(ctx, &key) == 1);
    EVP_PKEY_CTX_free(ctx);
    return key;
}

token_endpoint *token_endpoint_start(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    token_endpoint *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->key = make_key();
    t->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(t->listener >= 0 && bind(t->listener, (struct sockaddr *)&at, sizeof at) == 0 &&
                listen(t->listener, 64) == 0 && getsockname(t->listener, (struct sockaddr *)&at, &len) == 0);
    assert_int_equal(pipe(t->stop), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(fcntl(t->stop[i], F_SETFD, FD_CLOEXEC), 0);
    assert_int_equal(fcntl(t->listener, F_SETFD, FD_CLOEXEC), 0);
    snprintf(t->url, sizeof t->url, "http://127.0.0.1:%d", ntohs(at.sin_port));
    snprintf(t->token_uri, sizeof t->token_uri, "%s/token", t->url);
    assert_int_equal(pthread_mutex_init(&t->lock, NULL), 0);
    assert_int_equal(pthread_create(&t->thread, NULL, run, t), 0);
    return t;
}

void token_endpoint_stop(token_endpoint *t)
{
    if (!t)
        return;
    assert_int_equal(write(t->stop[1], "x", 1), 1);
    pthread_join(t->thread, NULL);
    close(t->listener);
    close(t->stop[0]);
    close(t->stop[1]);
    pthread_mutex_destroy(&t->lock);
    EVP_PKEY_free(t->key);
    free(t);
}

const char *token_endpoint_url(const token_endpoint *t)
{
    return t->url;
}

void token_endpoint_rule(token_endpoint *t, token_rules rules)
{
    pthread_mutex_lock(&t->lock);
    t->rules = rules;
    pthread_mutex_unlock(&t->lock);
}

/* ---- the account's key ------------------------------------------------------------------------------------------ */

char *token_endpoint_key_json(const token_endpoint *t)
{
    char *pem = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    assert_true(bio && PEM_write_bio_PKCS8PrivateKey(bio, t->key, NULL, NULL, 0, NULL, NULL) == 1);
    const long len = BIO_get_mem_data(bio, &pem);
    json_t *root = json_pack("{s:s, s:s, s:s, s:s%, s:s, s:s}", "type", "service_account", "project_id", "my-project",
                             "private_key_id", KEY_ID, "private_key", pem, (size_t)len, "client_email", TOKEN_EMAIL,
                             "token_uri", t->token_uri);
    assert_non_null(root);
    char *text = json_dumps(root, JSON_INDENT(2));
    assert_non_null(text);
    json_decref(root);
    BIO_free(bio);
    return text;
}

void token_endpoint_write_key(const token_endpoint *t, const char *path)
{
    char *text = token_endpoint_key_json(t);
    const size_t len = strlen(text);
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, text, len) == (ssize_t)len && fchmod(fd, 0600) == 0 && close(fd) == 0);
    free(text);
}

/* ---- what it saw ------------------------------------------------------------------------------------------------ */

int token_endpoint_asked(token_endpoint *t)
{
    pthread_mutex_lock(&t->lock);
    const int n = t->asked;
    pthread_mutex_unlock(&t->lock);
    return n;
}

int token_endpoint_granted(token_endpoint *t)
{
    pthread_mutex_lock(&t->lock);
    const int n = t->granted;
    pthread_mutex_unlock(&t->lock);
    return n;
}

void token_endpoint_complaint(token_endpoint *t, char ret_text[128])
{
    pthread_mutex_lock(&t->lock);
    memcpy(ret_text, t->complaint, sizeof t->complaint);
    pthread_mutex_unlock(&t->lock);
}
