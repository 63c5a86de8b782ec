/* fuzz.h - what a fuzz target and its driver share. libFuzzer (run.sh) and replay.c both call the one function. */
#ifndef VX_TESTS_FUZZ_H
#define VX_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* One input. Aborts, or is stopped by a sanitizer, where the code under test breaks its promise; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
