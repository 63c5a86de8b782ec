/* test_unlock_random.c - 100,000 random worlds around an unlock: locks, wakes, other people's unlocks, sleeps, user
 * switches, silence, stalls and failing calls, in every order and at every point between two calls.
 * A failure names its schedule, which is a function of that number alone; the first is printed.
 */
#include "edge/unlock/unlock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/support/desktop_fake.h"

enum { N_SCHEDULES = 100000, N_RESULTS = VX_BACKED_OFF + 1 };

/* The record is large: one for all tests. */
static desktop_fake f;

/* splitmix64: every seed is as good as any other. */
static uint64_t draw(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint32_t below(uint64_t *seed, uint32_t n)
{
    return (uint32_t)(draw(seed) % n);
}

typedef struct {
    uint64_t seed;
    uint32_t one_in; /* how often something happens at a point; 0: never */
    int n_events;
} world;

static void meanwhile(desktop_fake *fake)
{
    world *w = fake->arg;
    if (w->one_in == 0 || below(&w->seed, w->one_in) != 0)
        return;
    w->n_events++;
    fake_happen(fake, (fake_event)below(&w->seed, FAKE_N_EVENTS));
}

/* A world by its number: most begin locked, and in most the password is right. */
static void make_world(uint64_t number, bool in_window, world *ret_world)
{
    static const uint32_t rates[] = {0, 8, 60, 300, 300, 1000};
    static const vx_err errors[] = {VX_ERR_IO, VX_ERR_DEADLINE, VX_ERR_PERMISSION};
    world w = {.seed = number};
    fake_init(&f);
    w.one_in = rates[below(&w.seed, 6)];
    f.method = below(&w.seed, 8) == 0 ? VX_UNLOCK_ASK : VX_UNLOCK_TYPE;
    f.kept = below(&w.seed, 4) == 0 ? "wrong" : f.password;
    f.opens_after_ms = (int)below(&w.seed, 5000);
    f.swallow_ms = (int)below(&w.seed, 600);
    f.ignores_us = below(&w.seed, 16) == 0;
    f.fail_call = below(&w.seed, 4) == 0 ? (int)below(&w.seed, 100) : 0;
    f.fail_with = errors[below(&w.seed, 3)];
    f.unlocked = below(&w.seed, 16) == 0;
    f.away = below(&w.seed, 32) == 0;
    f.asleep = below(&w.seed, 2) == 0;
    f.n_field = below(&w.seed, 3) == 0 ? below(&w.seed, 32) : 0;
    f.in_window = in_window;
    f.meanwhile = meanwhile;
    *ret_world = w;
}

/* What holds of every run, whatever happened. */
static void check_run(uint64_t number, const vx_unlock_outcome *o, const vx_unlock_memory *memory)
{
    int n_enters = 0, n_erased = 0;
    bool right = f.n_keys <= FAKE_MAX_KEYS && f.n_late == 0;
    for (int i = 0; right && i < f.n_keys; i++) {
        const fake_key *key = &f.keys[i];
        right = key->just_read;
        /* A try begins with an emptied field: no character but behind 32 erasing keys. */
        if (key->kind == FAKE_ERASE)
            n_erased++;
        else if (key->kind == FAKE_ENTER)
            n_enters++, n_erased = 0;
        else
            right = right && n_erased >= 32;
    }
    right = right && n_enters <= 2 && o->n_tries <= 2 && f.n_requests <= 2 && f.n_secrets <= 1;
    right = right && o->n_keys == f.n_keys && (f.n_keys == 0 || f.n_requests == 0);
    right = right && (o->result != VX_UNLOCKED || n_enters + f.n_requests > 0);
    right = right && (memory->failures == 0 || memory->not_before > 0);
    right = right && o->sentence[0] != '\0' && !strstr(o->sentence, f.kept) && o->elapsed_ms < 60e3;
    if (!right)
        fail_msg("schedule 0x%llx: %s after %d tries, %d keys, %d returns", (unsigned long long)number,
                 vx_unlock_result_name(o->result), o->n_tries, f.n_keys, n_enters);
}

static uint64_t first_seed(void)
{
    const uint64_t seed = (uint64_t)time(NULL) * 1000003u;
    print_message("# seed 0x%llx\n", (unsigned long long)seed);
    return seed;
}

/* The world changes at every point but the one that no program can close. */
static void no_key_goes_astray(void **state)
{
    (void)state;
    const uint64_t seed = first_seed();
    int counts[N_RESULTS] = {0}, n_keys = 0, n_events = 0;
    for (uint64_t i = 0; i < N_SCHEDULES; i++) {
        world w;
        make_world(seed + i, false, &w);
        f.arg = &w;
        vx_unlock_memory memory = {0};
        const vx_unlock_outcome o = fake_run(&f, &memory);
        check_run(seed + i, &o, &memory);
        if (fake_strays(&f) > 0)
            fail_msg("schedule 0x%llx: %d keys outside the lock screen", (unsigned long long)(seed + i),
                     fake_strays(&f));
        /* Undisturbed, the right password opens within the default times. */
        const bool disturbed = w.n_events > 0 || f.away || f.ignores_us || (f.fail_call && f.n_calls >= f.fail_call);
        const bool in_time = f.swallow_ms <= 400 && f.opens_after_ms < 3000;
        if (!disturbed && in_time && f.kept == f.password && o.result != VX_UNLOCKED && o.result != VX_WAS_UNLOCKED)
            fail_msg("schedule 0x%llx: %s", (unsigned long long)(seed + i), o.sentence);
        counts[o.result]++;
        n_keys += f.n_keys;
        n_events += w.n_events;
    }
    print_message("# %d keys and %d events;", n_keys, n_events);
    for (int r = 0; r < N_RESULTS; r++)
        print_message(" %s %d", vx_unlock_result_name((vx_unlock_result)r), counts[r]);
    print_message("\n");
    /* Each end was reached, or the worlds are too tame. */
    for (int r = 0; r < VX_BACKED_OFF; r++)
        assert_true(counts[r] > N_SCHEDULES / 1000);
}

/* With changes in that window too: what goes astray is the one key that was under way. */
static void only_what_is_under_way_can_go_astray(void **state)
{
    (void)state;
    const uint64_t seed = first_seed();
    int n_strays = 0, n_keys = 0;
    for (uint64_t i = 0; i < N_SCHEDULES / 4; i++) {
        world w;
        make_world(seed + i, true, &w);
        f.arg = &w;
        vx_unlock_memory memory = {0};
        const vx_unlock_outcome o = fake_run(&f, &memory);
        check_run(seed + i, &o, &memory); /* each key right behind a reading of its own */
        n_strays += fake_strays(&f);
        n_keys += f.n_keys;
    }
    print_message("# %d of %d keys\n", n_strays, n_keys);
    assert_true(n_strays > 0); /* or the window was not opened */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_key_goes_astray),
        cmocka_unit_test(only_what_is_under_way_can_go_astray),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
