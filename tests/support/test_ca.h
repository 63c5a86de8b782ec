/* test_ca.h - a certificate authority of a test's own, made anew, and certificates that it gives to servers.
 * Owns:   a temporary folder of PEM files. Does not: serve, revoke.
 * Every function fails the cmocka test when it cannot do its work.
 */
#ifndef VX_TESTS_TEST_CA_H
#define VX_TESTS_TEST_CA_H

typedef struct test_ca test_ca;

/* Makes the authority and writes its certificate. */
test_ca *test_ca_start(void);
/* Removes the folder. NULL is fine. */
void test_ca_done(test_ca *ca);
/* Path of the authority's certificate. Borrowed. */
const char *test_ca_path(const test_ca *ca);
/* A certificate for a host name, good from from_s to to_s (seconds from now, either may be negative), in NAME.pem and
 * NAME.key; at most one of a name.
 * ret_pem, ret_key [out] paths, room for 128 characters each */
void test_ca_issue(test_ca *ca, const char *name, const char *host, long from_s, long to_s, char ret_pem[128],
                   char ret_key[128]);

#endif
