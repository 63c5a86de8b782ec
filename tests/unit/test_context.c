/* test_context.c - what a place is worth, what is forgotten, and what Linux tells of gateways and displays. */
#include "edge/evidence/context.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "edge/decide/decide.h"
#include "edge/evidence/behaviour.h"
#include "edge/evidence/surroundings.h"
#include "shared/base/file.h"
#include "tests/support/alloc_fail.h"

static const vx_surroundings NOTHING = {.displays = -1, .since_lock_s = -1};
static const vx_surroundings HOME = {.has_network = true,
                                     .network = "home",
                                     .has_device = true,
                                     .device = "built-in",
                                     .displays = 1,
                                     .since_lock_s = -1};
static const vx_surroundings AWAY = {.has_network = true,
                                     .network = "hotel",
                                     .has_device = true,
                                     .device = "headset",
                                     .displays = 3,
                                     .since_lock_s = -1};

static vx_places learned(const vx_surroundings *where, int times)
{
    vx_places places;
    assert_int_equal(vx_places_init(&places), VX_OK);
    for (int i = 0; i < times; i++)
        vx_places_learn(&places, where);
    return places;
}

static vx_evidence judge(const vx_places *places, const vx_surroundings *now)
{
    vx_evidence evidence = {.confidence = 7};
    vx_context_judge(places, now, &evidence);
    assert_true(evidence.reason[0] != '\0');
    return evidence;
}

static double confidence(const vx_places *places, const vx_surroundings *now)
{
    const vx_evidence evidence = judge(places, now);
    if (evidence.status != VX_EVIDENCE_VALID)
        fail_msg("%s: %s", vx_evidence_status_name(evidence.status), evidence.reason);
    return evidence.confidence;
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

static void without_history_it_is_neutral_and_says_why(void **state)
{
    (void)state;
    for (int n = 0; n < VX_HABITS_MIN; n++) {
        const vx_places places = learned(&HOME, n);
        const vx_evidence evidence = judge(&places, &HOME);
        assert_int_equal(evidence.status, VX_EVIDENCE_NEUTRAL);
        assert_non_null(strstr(evidence.reason, "no places known yet"));
    }
    vx_places places = learned(&HOME, VX_HABITS_MIN);
    assert_true(confidence(&places, &HOME) > 0.8);
    /* Nothing seen now, and nothing that could be seen then. */
    assert_int_equal(judge(&places, &NOTHING).status, VX_EVIDENCE_NEUTRAL);
    places = learned(&NOTHING, 20);
    assert_int_equal(judge(&places, &HOME).status, VX_EVIDENCE_NEUTRAL);
}

static void places_are_worth_what_the_header_says(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        bool network, device, displays; /* seen now */
        bool new_network, new_device, new_displays;
        double since_lock_s, want;
        const char *reason;
    } rows[] = {
        {"all known", true, true, true, false, false, false, -1, 0.910, "a known network, a known microphone"},
        {"and just locked", true, true, true, false, false, false, 60, 0.917, "a known network"},
        {"only the network", true, false, false, false, false, false, -1, 0.840, "a known network"},
        {"only the displays", false, false, true, false, false, false, -1, 0.749, "a known number of displays"},
        {"new network", true, true, true, true, false, false, -1, 0.745, "a new network, a known microphone"},
        {"new microphone", true, true, true, false, true, false, -1, 0.845, "a new microphone"},
        {"a journey", true, true, true, true, true, false, -1, 0.612, "a new network, a new microphone"},
        {"all new", true, true, true, true, true, true, -1, 0.521, "a new number of displays"},
        {"all new, long locked", true, true, true, true, true, true, 72 * 3600.0, 0.500, "locked for long"},
        {"just locked", false, false, false, false, false, false, 0, 0.718, "a short time ago"},
        {"locked a month ago", false, false, false, false, false, false, 30 * 86400.0, 0.682, "locked for long"},
    };
    const vx_places places = learned(&HOME, 20);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        vx_surroundings now = NOTHING;
        now.has_network = rows[i].network;
        memcpy(now.network, rows[i].new_network ? AWAY.network : HOME.network, VX_PLACE_KEY);
        now.has_device = rows[i].device;
        memcpy(now.device, rows[i].new_device ? AWAY.device : HOME.device, VX_PLACE_KEY);
        now.displays = !rows[i].displays ? -1 : rows[i].new_displays ? AWAY.displays : HOME.displays;
        now.since_lock_s = rows[i].since_lock_s;
        const double got = confidence(&places, &now);
        if (fabs(got - rows[i].want) > 0.0006 || !strstr(judge(&places, &now).reason, rows[i].reason))
            fail_msg("%s: %.4f, %s", rows[i].what, got, judge(&places, &now).reason);
    }
}

/* Somebody who keeps the system from telling gains nothing over neutral, and the owner loses nothing below it. */
static void what_is_unknown_stands_at_neutral(void **state)
{
    (void)state;
    const vx_places places = learned(&HOME, 20);
    vx_surroundings now = HOME;
    const double all = confidence(&places, &now);
    now.has_network = false;
    const double offline = confidence(&places, &now);
    now = HOME;
    memcpy(now.network, AWAY.network, VX_PLACE_KEY);
    assert_true(confidence(&places, &now) < offline && offline < all && offline > VX_HABITS_NEUTRAL);

    const double times[] = {NAN, -1, -INFINITY};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        now = HOME;
        now.since_lock_s = times[i];
        assert_true(confidence(&places, &now) == all);
    }
    now.since_lock_s = INFINITY;
    assert_true(confidence(&places, &now) < all);
}

static void what_is_known_longer_is_worth_more(void **state)
{
    (void)state;
    double last = 0;
    for (int n = VX_HABITS_MIN; n < 200; n++) {
        const vx_places places = learned(&HOME, n);
        const double c = confidence(&places, &HOME);
        if (!(c > last || (n > 100 && c >= last)) || c > 0.95)
            fail_msg("%d: %.6f after %.6f", n, c, last);
        last = c;
    }
    /* A new place becomes a known one by each acceptance there, and costs the old one little. */
    vx_places places = learned(&HOME, 50);
    const double home = confidence(&places, &HOME);
    last = confidence(&places, &AWAY);
    for (int n = 0; n < 10; n++) {
        vx_places_learn(&places, &AWAY);
        assert_true(confidence(&places, &AWAY) > last);
        last = confidence(&places, &AWAY);
    }
    assert_true(last > 0.85 && confidence(&places, &HOME) > home - 0.02);
}

/* The owner on a journey is let in on a good voice and a good hour; nobody is let in by a good place. */
static void context_alone_decides_nothing(void **state)
{
    (void)state;
    static const struct {
        double ml, physics, behaviour;
        bool home;
        vx_verdict want;
    } rows[] = {
        {0.92, 0.88, 0.95, true, VX_AUTHENTICATE},
        {0.92, 0.88, 0.95, false, VX_AUTHENTICATE},
        {0.60, 0.88, 0.95, true, VX_CHALLENGE},
    };
    const vx_places places = learned(&HOME, 50);
    const vx_decide_options options = vx_decide_options_default();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const double confidences[] = {rows[i].ml, rows[i].physics, rows[i].behaviour};
        vx_evidence evidence[VX_N_SOURCES];
        vx_decision decision;
        for (int s = 0; s < VX_SOURCE_CONTEXT; s++)
            evidence[s] = (vx_evidence){.status = VX_EVIDENCE_VALID, .confidence = confidences[s]};
        evidence[VX_SOURCE_CONTEXT] = judge(&places, rows[i].home ? &HOME : &AWAY);
        vx_decide(evidence, &options, &decision);
        if (decision.verdict != rows[i].want)
            fail_msg("row %zu: %s, P %.3f", i, vx_verdict_name(decision.verdict), decision.p);
    }
}

/* ---- learning ---------------------------------------------------------------------------------------------------- */

static int n_places(const vx_places *places)
{
    int n = 0;
    for (int i = 0; i < VX_PLACES_MAX; i++)
        n += places->places[i].kind != VX_PLACE_FREE;
    for (int i = 0; i < n; i++) /* used ones are in front */
        assert_int_not_equal(places->places[i].kind, VX_PLACE_FREE);
    return n;
}

static void what_is_not_seen_again_is_forgotten(void **state)
{
    (void)state;
    vx_places places = learned(&AWAY, 1);
    int n = 0;
    while (n_places(&places) > 3 || n == 0) {
        vx_places_learn(&places, &HOME);
        assert_true(++n < 200);
    }
    assert_int_equal(n, 99);
    for (int i = 0; i < VX_PLACES_MAX; i++)
        assert_memory_not_equal(places.places[i].key, "hotel", 5);
    /* Unlocks without a network teach nothing about networks. */
    const double home = confidence(&places, &HOME);
    for (int i = 0; i < 500; i++)
        vx_places_learn(&places, &NOTHING);
    assert_true(confidence(&places, &HOME) == home);
}

static void a_traveller_keeps_his_home(void **state)
{
    (void)state;
    vx_places places = learned(&HOME, 30);
    for (int i = 0; i < 60; i++) {
        vx_surroundings hotel = HOME;
        hotel.network[0] = (uint8_t)i;
        vx_places_learn(&places, &hotel);
        assert_true(n_places(&places) <= VX_PLACES_MAX);
    }
    assert_int_equal(n_places(&places), VX_PLACES_MAX);
    vx_surroundings first = HOME;
    first.network[0] = 0;
    assert_true(confidence(&places, &HOME) > confidence(&places, &first) + 0.1);
}

static void salts_differ(void **state)
{
    (void)state;
    const vx_places a = learned(&HOME, 0), b = learned(&HOME, 0);
    assert_memory_not_equal(a.salt, b.salt, VX_PLACE_KEY);
}

/* ---- kept -------------------------------------------------------------------------------------------------------- */

static void places_come_back_as_they_were(void **state)
{
    (void)state;
    vx_places places = learned(&HOME, 3), again;
    for (int round = 0; round < 40; round++) {
        vx_buf form = {0};
        memset(&again, 0xa5, sizeof again);
        assert_int_equal(vx_places_encode(&places, &form), VX_OK);
        assert_int_equal(vx_places_decode(form.data, form.len, &again, NULL), VX_OK);
        assert_int_equal(again.n, places.n);
        assert_memory_equal(again.salt, places.salt, VX_PLACE_KEY);
        for (int i = 0; i < VX_PLACES_MAX; i++) {
            assert_memory_equal(again.places[i].key, places.places[i].key, VX_PLACE_KEY);
            assert_int_equal(again.places[i].kind, places.places[i].kind);
            assert_true(again.places[i].weight == places.places[i].weight);
        }
        vx_buf_done(&form);
        vx_surroundings next = AWAY;
        next.network[0] = (uint8_t)round;
        vx_places_learn(&places, &next);
    }
    for (int i = 0; i < 5000; i++) /* counts fed and faded for years stay in the range that is read back */
        vx_places_learn(&places, &HOME);
    vx_buf form = {0};
    assert_int_equal(vx_places_encode(&places, &form), VX_OK);
    assert_int_equal(vx_places_decode(form.data, form.len, &again, NULL), VX_OK);
    vx_buf_done(&form);
}

static void what_a_store_gives_back_is_examined(void **state)
{
    (void)state;
    enum { COUNT = 4 + 4 + 16, FIRST = COUNT + 4, PLACE = 25 };
    const vx_places places = learned(&HOME, 3);
    vx_buf form = {0};
    assert_int_equal(vx_places_encode(&places, &form), VX_OK);
    assert_int_equal(form.len, FIRST + 3 * PLACE);
    assert_memory_equal(form.data, "vxp1\x03\0\0\0", 8);
    assert_memory_equal(form.data + FIRST, "\x01home", 5);
    static const struct {
        const char *what;
        size_t at;
        uint8_t bytes[8];
        size_t n;
    } rows[] = {
        {"magic", 0, {'V'}, 1},
        {"version", 3, {'2'}, 1},
        {"one more", COUNT, {4}, 1},
        {"one less", COUNT, {2}, 1},
        {"too many", COUNT, {33}, 1},
        {"a length that wraps around", COUNT, {0, 0, 0, 0xff}, 4},
        {"free", FIRST, {0}, 1},
        {"no such kind", FIRST, {4}, 1},
        {"NaN", FIRST + 17, {0, 0, 0, 0, 0, 0, 0xf8, 0x7f}, 8},
        {"infinite", FIRST + 17, {0, 0, 0, 0, 0, 0, 0xf0, 0x7f}, 8},
        {"negative", FIRST + 17, {0, 0, 0, 0, 0, 0, 0xf0, 0xbf}, 8},
        {"none", FIRST + 17, {0}, 8},
        {"more than decay allows", FIRST + 17, {0, 0, 0, 0, 0, 0, 0x59, 0x40}, 8},
    };
    for (size_t i = 0; i <= sizeof rows / sizeof *rows; i++) {
        vx_places again;
        vx_errinfo info = {0};
        uint8_t *bad = malloc(form.len);
        assert_non_null(bad);
        memcpy(bad, form.data, form.len);
        if (i < sizeof rows / sizeof *rows)
            memcpy(bad + rows[i].at, rows[i].bytes, rows[i].n);
        else
            memcpy(bad + FIRST + PLACE, bad + FIRST, PLACE); /* a place twice */
        memset(&again, 0xa5, sizeof again);
        if (vx_places_decode(bad, form.len, &again, &info) != VX_ERR_STORE_CORRUPT || info.text[0] == '\0')
            fail_msg("row %zu", i);
        for (size_t b = 0; b < sizeof again; b++)
            assert_int_equal(((const uint8_t *)&again)[b], 0xa5);
        free(bad);
    }
    for (size_t len = 0; len < form.len; len++) {
        vx_places again;
        uint8_t *cut = malloc(len + 1);
        assert_non_null(cut);
        memcpy(cut, form.data, len);
        assert_int_equal(vx_places_decode(cut, len, &again, NULL), VX_ERR_STORE_CORRUPT);
        free(cut);
    }
    vx_buf_done(&form);
}

static vx_err encode_once(void *ctx)
{
    vx_buf form = {0};
    vx_err err = vx_places_encode(ctx, &form);
    vx_buf_done(&form);
    return err;
}

static void memory_that_runs_out_is_told(void **state)
{
    (void)state;
    vx_places places = learned(&HOME, 3);
    vx_alloc_fail_each(encode_once, &places);
}

/* ---- what Linux tells -------------------------------------------------------------------------------------------- */

#define ROUTES                   "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
#define WLAN                     "wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0   \n"
#define WIRE                     "eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0   \n"
#define LAN                      "wlan0\t0001A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0   \n"
#define TUNNEL                   "tun0\t00000000\t00000000\t0001\t0\t0\t50\t00000000\t0\t0\t0   \n"
#define ARP                      "IP address       HW type     Flags       HW address            Mask     Device\n"
#define AT_WLAN                  "192.168.1.1      0x1         0x2         A4:2B:8c:00:00:01     *        wlan0\n"
#define AT_WIRE                  "10.0.0.1         0x1         0x2         a4:2b:8c:00:00:02     *        eth0\n"
#define PRINTER                  "192.168.1.20     0x1         0x2         a4:2b:8c:00:00:03     *        wlan0\n"
#define ZEROS                    "00000000000000000000000000000000"
#define SIX(next, metric, flags) ZEROS " 00 " ZEROS " 00 " next " " metric " 00000001 00000000 " flags " wlan0\n"
#define EUI                      "fe80000000000000a62b8cfffe000004"

static void the_gateway_is_found_in_what_linux_tells(void **state)
{
    (void)state;
    static const struct {
        const char *what, *route, *arp, *route6;
        int last; /* byte of the address; 0: unknown */
    } rows[] = {
        {"one way out", ROUTES LAN WLAN, ARP PRINTER AT_WLAN, "", 1},
        {"the lesser metric", ROUTES WLAN WIRE, ARP AT_WLAN AT_WIRE, "", 2},
        {"in any order", ROUTES WIRE WLAN, ARP AT_WIRE AT_WLAN, "", 2},
        {"a tunnel over it", ROUTES TUNNEL WLAN, ARP AT_WLAN, "", 1},
        {"the cable is asleep", ROUTES WIRE WLAN, ARP AT_WLAN, "", 1},
        {"without headings or last newline", "wlan0 00000000 0101A8C0 0003 0 0 600 00000000 0 0 0", AT_WLAN, "", 1},
        {"nothing at all", "", "", "", 0},
        {"offline", ROUTES LAN, ARP PRINTER, "", 0},
        {"neighbour of another interface", ROUTES WIRE, ARP "10.0.0.1 0x1 0x2 a4:2b:8c:00:00:09 * wlan0\n", "", 0},
        {"not answered", ROUTES WLAN, ARP "192.168.1.1 0x1 0x0 00:00:00:00:00:00 * wlan0\n", "", 0},
        {"answered by nobody", ROUTES WLAN, ARP "192.168.1.1 0x1 0x2 00:00:00:00:00:00 * wlan0\n", "", 0},
        {"a group", ROUTES WLAN, ARP "192.168.1.1 0x1 0x2 01:00:5e:00:00:01 * wlan0\n", "", 0},
        {"hidden", ROUTES WLAN, ARP "192.168.1.1 0x1 0x2 02:00:00:00:00:00 * wlan0\n", "", 0},
        {"no Ethernet", ROUTES WLAN, ARP "192.168.1.1 0x20 0x2 a4:2b:8c:00:00:01 * wlan0\n", "", 0},
        {"too short an address", ROUTES WLAN, ARP "192.168.1.1 0x1 0x2 a4:2b:8c:00:00 * wlan0\n", "", 0},
        {"no address", ROUTES WLAN, ARP "192.168.1.1 0x1 0x2 a4-2b-8c-00-00-01 * wlan0\n", "", 0},
        {"route down", ROUTES "wlan0 00000000 0101A8C0 0002 0 0 600 00000000 0 0 0\n", AT_WLAN, "", 0},
        {"half of all", ROUTES "wlan0 00000000 0101A8C0 0003 0 0 600 00000080 0 0 0\n", AT_WLAN, "", 0},
        {"too few fields", ROUTES "wlan0 00000000 0101A8C0 0003\n", AT_WLAN, "", 0},
        {"too large a number", ROUTES "wlan0 00000000 0101A8C0 0003 0 0 4294967296 00000000 0 0 0\n", AT_WLAN, "", 0},
        {"a sign", ROUTES "wlan0 00000000 0101A8C0 0003 0 0 -1 00000000 0 0 0\n", AT_WLAN, "", 0},
        {"no number", ROUTES "wlan0 0000000g 0101A8C0 0003 0 0 1 00000000 0 0 0\n", AT_WLAN, "", 0},
        {"IPv6 only", "", "", SIX(EUI, "00000400", "00000003"), 4},
        {"IPv4 first", ROUTES WLAN, AT_WLAN, SIX(EUI, "00000400", "00000003"), 1},
        {"of two", "", "",
         SIX("fe80000000000000a62b8cfffe000005", "00000800", "00000003") SIX(EUI, "00000400", "00000003"), 4},
        {"an address that tells nothing", "", "", SIX("fe800000000000000000000000000001", "00000400", "00000003"), 0},
        {"not link-local", "", "", SIX("20010db800000000a62b8cfffe000004", "00000400", "00000003"), 0},
        {"unreachable", "", "", SIX(ZEROS, "ffffffff", "00200200"), 0},
        {"not all of it", "", "",
         "fd000000000000000000000000000000 40 " ZEROS " 00 " EUI " 00000400 1 0 00000003 wlan0\n", 0},
        {"too short a next hop", "", "", SIX("fe80000000000000a62b8cfffe0004", "00000400", "00000003"), 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *texts[3] = {rows[i].route, rows[i].arp, rows[i].route6};
        vx_proc_text copies[3];
        char *exact[3];
        uint8_t got[VX_HARDWARE_ADDRESS] = "....";
        for (int t = 0; t < 3; t++) { /* in blocks of their own length, for ASan */
            copies[t].len = strlen(texts[t]);
            assert_non_null(exact[t] = malloc(copies[t].len + 1));
            memcpy(exact[t], texts[t], copies[t].len);
            exact[t] = realloc(exact[t], copies[t].len ? copies[t].len : 1);
            assert_non_null(copies[t].text = exact[t]);
        }
        const bool found = vx_gateway_from_proc(copies[0], copies[1], copies[2], got);
        const uint8_t want[VX_HARDWARE_ADDRESS] = {0xa4, 0x2b, 0x8c, 0, 0, (uint8_t)rows[i].last};
        if (found != (rows[i].last != 0) || memcmp(got, found ? want : (const uint8_t *)"....\0", sizeof got) != 0)
            fail_msg("%s: %d, %02x", rows[i].what, found, got[5]);
        for (int t = 0; t < 3; t++)
            free(exact[t]);
    }
}

static void write_text(const char *folder, const char *name, const char *text)
{
    char path[256];
    assert_int_equal(vx_path_join(folder, name, path, sizeof path), VX_OK);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void displays_are_counted_by_their_connectors(void **state)
{
    (void)state;
    static const char *const statuses[][4] = {
        {"connected\n", "disconnected\n", "connected\n", "unknown\n"}, /* 2 */
        {"disconnected\n", "disconnected\n", "disconnected\n", ""},    /* 0 */
        {"connected\n", "connected", "not connected\n", "connected\n\n"},
    };
    static const int want[] = {2, 0, 1};
    static const char *const names[] = {"card0-eDP-1", "card0-HDMI-A-1", "card1-DP-1", "card1-DP-2"};
    char folder[] = "/tmp/voxlock-drm-XXXXXX", path[256];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(vx_displays_from_drm("/nowhere/at/all"), -1);
    assert_int_equal(vx_displays_from_drm(folder), -1);
    write_text(folder, "version", "drm 1.1.0 20060810\n");
    assert_int_equal(vx_displays_from_drm(folder), -1); /* no connector: not a computer without displays */
    for (int i = 0; i < 4; i++) {
        assert_int_equal(vx_path_join(folder, names[i], path, sizeof path), VX_OK);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    for (size_t row = 0; row < sizeof want / sizeof *want; row++) {
        for (int i = 0; i < 4; i++) {
            assert_int_equal(vx_path_join(folder, names[i], path, sizeof path), VX_OK);
            write_text(path, "status", statuses[row][i]);
        }
        assert_int_equal(vx_displays_from_drm(folder), want[row]);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(vx_path_join(folder, names[i], path, sizeof path), VX_OK);
        char file[256];
        assert_int_equal(vx_path_join(path, "status", file, sizeof file), VX_OK);
        assert_int_equal(unlink(file), 0);
        assert_int_equal(rmdir(path), 0);
    }
    assert_int_equal(vx_path_join(folder, "version", path, sizeof path), VX_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void this_computer_is_looked_at(void **state)
{
    (void)state;
    const vx_places mine = learned(&HOME, 0), others = learned(&HOME, 0);
    vx_surroundings now, again, elsewhere, unnamed;
    vx_surroundings_read(&mine, "Built-in Microphone", &now);
    vx_surroundings_read(&mine, "Built-in Microphone", &again);
    vx_surroundings_read(&others, "Built-in Microphone", &elsewhere);
    vx_surroundings_read(&mine, "", &unnamed);
    print_message("# network %s, %d displays\n", now.has_network ? "seen" : "unknown", now.displays);
    assert_true(now.has_device && !unnamed.has_device);
    assert_true(now.since_lock_s == -1 && now.displays >= -1);
    assert_memory_equal(now.device, again.device, VX_PLACE_KEY);
    assert_memory_not_equal(now.device, elsewhere.device, VX_PLACE_KEY); /* another salt */
    assert_memory_not_equal(now.device, "Built-in Microph", VX_PLACE_KEY);
    if (now.has_network && elsewhere.has_network)
        assert_memory_not_equal(now.network, elsewhere.network, VX_PLACE_KEY);

    /* HMAC-SHA-256 under an all-zero salt of "d" and the name. Source: Python's hmac module. */
    static const uint8_t known[VX_PLACE_KEY] = {0x9c, 0x90, 0x7f, 0x44, 0x45, 0x03, 0xf1, 0x0e,
                                                0x0e, 0xed, 0x3d, 0x4b, 0x5c, 0x82, 0x7a, 0xbe};
    const vx_places unsalted = {0};
    vx_surroundings_read(&unsalted, "Built-in Microphone", &now);
    assert_memory_equal(now.device, known, VX_PLACE_KEY);
    /* A name longer than any is none. */
    char name[200] = {0};
    memset(name, 'x', sizeof name - 1);
    vx_surroundings_read(&mine, name, &now);
    assert_false(now.has_device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_history_it_is_neutral_and_says_why),
        cmocka_unit_test(places_are_worth_what_the_header_says),
        cmocka_unit_test(what_is_unknown_stands_at_neutral),
        cmocka_unit_test(what_is_known_longer_is_worth_more),
        cmocka_unit_test(context_alone_decides_nothing),
        cmocka_unit_test(what_is_not_seen_again_is_forgotten),
        cmocka_unit_test(a_traveller_keeps_his_home),
        cmocka_unit_test(salts_differ),
        cmocka_unit_test(places_come_back_as_they_were),
        cmocka_unit_test(what_a_store_gives_back_is_examined),
        cmocka_unit_test(memory_that_runs_out_is_told),
        cmocka_unit_test(the_gateway_is_found_in_what_linux_tells),
        cmocka_unit_test(displays_are_counted_by_their_connectors),
        cmocka_unit_test(this_computer_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
