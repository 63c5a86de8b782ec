/* negotiate.h - what Accept, Accept-Encoding, Content-Type and Content-Encoding say (RFC 9110, sections 8 and 12).
 * Owns:   their grammar, and choosing among what the caller offers. Does not: know which forms a route has, or answer
 *         406 and 415.
 * Headers may be NULL: absent. Several lines of one name are one list; join them with commas.
 */
#ifndef VX_CLOUD_NEGOTIATE_H
#define VX_CLOUD_NEGOTIATE_H

#define VX_NEGOTIATE_NONE (-1)

/* Which of the offered media types ("application/json"; the server's own favourite first) the client likes best: the
 * highest q; between equals the one it names more exactly, then the one it names first, then the server's order.
 * Parameters of a range are ignored: what is offered here has none.
 * Returns an index, or NONE when the client rules every offer out. A header that is absent, empty, not of its grammar,
 * or longer than 32 elements rules nothing out: 0. */
int vx_negotiate_type(const char *accept, const char *const *offers, int n_offers);

/* The same for content codings ("gzip", "identity"). identity is acceptable unless the client says q=0 to it, or to
 * "*" without naming it, and comes last where the client does not name it. x-gzip is gzip. A header that is absent or
 * not of its grammar asks for no coding. Returns an index; NONE only when nothing offered is acceptable. */
int vx_negotiate_coding(const char *accept_encoding, const char *const *offers, int n_offers);

typedef enum {
    VX_CONTENT_JSON,   /* application/json, text/json, anything +json */
    VX_CONTENT_RAW,    /* audio/anything, application/octet-stream: the bytes of a recording */
    VX_CONTENT_UNSAID, /* no type, or the one that curl -d and old clients send whatever the body is */
    VX_CONTENT_OTHER,
} vx_content;
/* Parameters are ignored, well-formed or not: JSON is UTF-8 whatever charset says, and recordings say what they are. */
vx_content vx_content_of(const char *content_type);

typedef enum { VX_CODING_IDENTITY, VX_CODING_GZIP, VX_CODING_OTHER } vx_coding;
/* Codings applied one over the other are OTHER: nobody needs gzip in gzip, except to build bombs. */
vx_coding vx_coding_of(const char *content_encoding);

#endif
