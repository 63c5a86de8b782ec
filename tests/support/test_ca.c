/* test_ca.c - X.509 by libcrypto, on P-256: a key takes no time. */
#include "tests/support/test_ca.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

enum { MAX_FILES = 32, DAY_S = 86400 };

struct test_ca {
    char folder[64], path[96];
    EVP_PKEY *key;
    X509 *certificate;
    long serial;
    char files[MAX_FILES][128]; /* to be removed */
    int n_files;
};

static void require(bool ok, const char *what)
{
    if (!ok)
        fail_msg("cannot make a certificate: %s", what);
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    require(extension && X509_add_ext(certificate, extension, -1) == 1, value);
    X509_EXTENSION_free(extension);
}

static X509 *make_certificate(test_ca *ca, EVP_PKEY *key, const char *name, long from_s, long to_s)
{
    X509 *certificate = X509_new();
    require(certificate && X509_set_version(certificate, 2), "version");
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++ca->serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), from_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), to_s);
    X509_NAME *subject = X509_get_subject_name(certificate);
    require(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0), name);
    require(X509_set_pubkey(certificate, key), "key");
    X509_set_issuer_name(certificate, ca->certificate ? X509_get_subject_name(ca->certificate) : subject);
    return certificate;
}

static FILE *create(test_ca *ca, const char *path)
{
    FILE *file = fopen(path, "w");
    require(file && ca->n_files < MAX_FILES, path);
    snprintf(ca->files[ca->n_files++], sizeof ca->files[0], "%s", path);
    return file;
}

static void write_certificate(test_ca *ca, const char *path, X509 *certificate)
{
    FILE *file = create(ca, path);
    require(PEM_write_X509(file, certificate) && fclose(file) == 0, path);
}

test_ca *test_ca_start(void)
{
    test_ca *ca = calloc(1, sizeof *ca);
    if (!ca) {
        fail_msg("out of memory");
        return NULL;
    }
    snprintf(ca->folder, sizeof ca->folder, "/tmp/voxlock-ca-XXXXXX");
    require(mkdtemp(ca->folder) != NULL, "folder");
    snprintf(ca->path, sizeof ca->path, "%s/ca.pem", ca->folder);
    ca->key = EVP_EC_gen("P-256");
    require(ca->key != NULL, "key");
    X509 *own = make_certificate(ca, ca->key, "voxlock test authority", -DAY_S, DAY_S);
    add_extension(own, own, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(own, own, NID_key_usage, "critical,keyCertSign");
    add_extension(own, own, NID_subject_key_identifier, "hash");
    require(X509_sign(own, ca->key, EVP_sha256()) > 0, "signature");
    ca->certificate = own;
    write_certificate(ca, ca->path, own);
    return ca;
}

void test_ca_done(test_ca *ca)
{
    if (!ca)
        return;
    for (int i = 0; i < ca->n_files; i++)
        unlink(ca->files[i]);
    rmdir(ca->folder);
    X509_free(ca->certificate);
    EVP_PKEY_free(ca->key);
    free(ca);
}

const char *test_ca_path(const test_ca *ca)
{
    return ca->path;
}

void test_ca_issue(test_ca *ca, const char *name, const char *host, long from_s, long to_s, char ret_pem[128],
                   char ret_key[128])
{
    char alternative[96];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    require(key != NULL, "key");
    X509 *certificate = make_certificate(ca, key, host, from_s, to_s);
    snprintf(alternative, sizeof alternative, "DNS:%s", host);
    add_extension(certificate, ca->certificate, NID_subject_alt_name, alternative);
    add_extension(certificate, ca->certificate, NID_ext_key_usage, "serverAuth");
    require(X509_sign(certificate, ca->key, EVP_sha256()) > 0, "signature");
    snprintf(ret_pem, 128, "%s/%s.pem", ca->folder, name);
    snprintf(ret_key, 128, "%s/%s.key", ca->folder, name);
    write_certificate(ca, ret_pem, certificate);
    FILE *file = create(ca, ret_key);
    require(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) && fclose(file) == 0, ret_key);
    X509_free(certificate);
    EVP_PKEY_free(key);
}
