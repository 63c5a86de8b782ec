#include "tests/support/amx_trap.h"

#if defined(__linux__) && defined(__x86_64__)
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "shared/engine/kernel_tables.h"
#include "tests/support/amx_emulated.h"

static size_t count;

/* A VEX instruction of the map 0F38 with one ModRM. */
typedef struct {
    unsigned prefix; /* 0: none, 1: 66, 2: F3, 3: F2 */
    unsigned opcode, mod, reg, rm, vvvv;
    char *address; /* of the memory operand, without its index */
    size_t index;  /* times its scale */
    size_t length;
} instruction;

static uint64_t general(const greg_t *gregs, unsigned number)
{
    static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                  REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return (uint64_t)gregs[order[number]];
}

/* The memory operand behind ModRM: SIB, displacement, none relative to the instruction. */
static bool decode_memory(const uint8_t *at, const greg_t *gregs, unsigned x, unsigned b, instruction *in)
{
    unsigned base = in->rm | b << 3;
    size_t length = 0;
    if (in->rm == 4) {
        const unsigned index = (at[0] >> 3 & 7) | x << 3;
        base = (at[0] & 7) | b << 3;
        in->index = index == 4 ? 0 : general(gregs, index) << (at[0] >> 6);
        length = 1;
    }
    if (in->mod == 0 && (base & 7) == 5)
        return false;
    int64_t displacement = 0;
    int32_t wide;
    if (in->mod == 1) {
        displacement = (int8_t)at[length];
        length += 1;
    } else if (in->mod == 2) {
        memcpy(&wide, at + length, sizeof wide);
        displacement = wide;
        length += sizeof wide;
    }
    in->address = (char *)(uintptr_t)(general(gregs, base) + (uint64_t)displacement);
    in->length += length;
    return true;
}

static bool decode(const uint8_t *at, const greg_t *gregs, instruction *ret)
{
    if (at[0] != 0xc4 || (at[1] & 0x1f) != 2 || (at[2] & 0x84) != 0) /* 0F38, W0, 128 */
        return false;
    const unsigned r = !(at[1] & 0x80), x = !(at[1] & 0x40), b = !(at[1] & 0x20);
    *ret = (instruction){.prefix = at[2] & 3,
                         .opcode = at[3],
                         .mod = at[4] >> 6,
                         .reg = (at[4] >> 3 & 7) | r << 3,
                         .rm = at[4] & 7,
                         .vvvv = ~at[2] >> 3 & 15,
                         .length = 5};
    if (ret->mod == 3)
        ret->rm |= b << 3;
    return ret->mod == 3 || decode_memory(at + 5, gregs, x, b, ret);
}

static bool run(const instruction *in)
{
    const bool memory = in->mod != 3;
    const int tile = (int)in->reg, a = (int)in->rm, b = (int)in->vvvv;
    switch (in->opcode << 4 | in->prefix << 1 | memory) {
    case 0x491: amx_emulated_loadconfig(in->address); return true;
    case 0x490: amx_emulated_release(); return true;
    case 0x496: amx_emulated_zero(tile); return true;
    case 0x4b7: amx_emulated_loadd(tile, in->address, in->index); return true;
    case 0x4b5: amx_emulated_stored(tile, in->address, in->index); return true;
    case 0x5c4: amx_emulated_dpbf16ps(tile, a, b); return true;
    case 0x5e0: amx_emulated_dpb(tile, a, b, false, false); return true;
    case 0x5e2: amx_emulated_dpb(tile, a, b, false, true); return true;
    case 0x5e4: amx_emulated_dpb(tile, a, b, true, false); return true;
    case 0x5e6: amx_emulated_dpb(tile, a, b, true, true); return true;
    default: return false;
    }
}

/* Traps come from the instruction itself, so this runs like a function that it calls. */
static void trapped(int signal_number, siginfo_t *info, void *context)
{
    (void)signal_number;
    (void)info;
    greg_t *gregs = ((ucontext_t *)context)->uc_mcontext.gregs;
    instruction in;
    if (!decode((const uint8_t *)(uintptr_t)gregs[REG_RIP], gregs, &in) || !run(&in))
        abort();
    gregs[REG_RIP] += (greg_t)in.length;
    count++;
}

static void multiply(const vx_product *product, const vx_conv *c, const vx_panels *p, size_t row0, size_t row1,
                     float *y, size_t ld)
{
    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO | SA_NODEFER}, before;
    if (sigaction(SIGILL, &action, &before) != 0)
        abort();
    product->multiply(c, p, row0, row1, y, ld);
    (void)sigaction(SIGILL, &before, NULL);
}
static void multiply_bf16(const vx_conv *c, const vx_panels *p, size_t row0, size_t row1, float *y, size_t ld)
{
    multiply(&vx_bf16_amx, c, p, row0, row1, y, ld);
}
static void multiply_int8(const vx_conv *c, const vx_panels *p, size_t row0, size_t row1, float *y, size_t ld)
{
    multiply(&vx_int8_amx, c, p, row0, row1, y, ld);
}

const vx_product *amx_trapped(vx_number number)
{
    static vx_product products[VX_NUMBERS];
    if (vx_isa_available(VX_ISA_AMX) || !vx_isa_available(VX_ISA_AVX512_BF16))
        return NULL;
    products[VX_NUMBER_BF16] = vx_bf16_amx;
    products[VX_NUMBER_BF16].multiply = multiply_bf16;
    products[VX_NUMBER_INT8] = vx_int8_amx;
    products[VX_NUMBER_INT8].multiply = multiply_int8;
    return number == VX_NUMBER_F32 ? NULL : &products[number];
}

size_t amx_trap_count(void)
{
    return count;
}
#else
const vx_product *amx_trapped(vx_number number)
{
    (void)number;
    return NULL;
}
size_t amx_trap_count(void)
{
    return 0;
}
#endif
