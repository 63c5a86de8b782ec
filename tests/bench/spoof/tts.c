/* tts.c - kinds of the group "synthetic": sentences said by programs that are installed.
 * Owns:   the sentences, the programs' voices and arguments. Does not: have the victim's voice; what an impostor's voice
 *         costs an attacker here is the speaker's embedding, and a detector must do without it.
 *
 * The voices of flite were cut from recordings of people (rms and awb: their statistics), espeak-ng computes its own by
 * formulas, festival's slt is a hidden Markov model that drives a vocoder. No person's voice is both in a kind that is
 * fitted to and in one that is held out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/audio/decode.h"
#include "shared/base/file.h"
#include "tests/bench/spoof/lab.h"
#include "tests/bench/spoof/lab_audio.h"
#include "tests/support/child.h"
#include "tests/support/scratch.h"

/* WANTED: letters of six seconds and more, so that a clip is cut out of them as out of the recordings of people. */
enum { TEXT_CAP = 512, WANTED = 110, PATH_CAP = 128, WAIT_MS = 30000, FILE_MOST = 16 << 20 };

static const char *const SENTENCES[] = {
    "Unlock my screen.",
    "Please unlock my computer now.",
    "Open the laptop, it is me.",
    "My voice is my password.",
    "Let me in.",
    "Wake up and show me my mail.",
    "Computer, unlock the screen.",
    "It's me, open up.",
    "Start the day and read me the news.",
    "Four, seven, one, nine, zero.",
    "Eight, two, six, three, five.",
    "Nine, zero, four, one, six.",
    "Turn the lights off in the kitchen.",
    "Call my brother at home.",
    "What is the weather going to be tomorrow?",
    "Set an alarm for half past six.",
    "Remind me to buy milk and bread.",
    "Play the song that I liked yesterday.",
    "Send a message that I am running late.",
    "How long does it take to drive to the station?",
    "The birch canoe slid on the smooth planks.",
    "Glue the sheet to the dark blue background.",
    "It's easy to tell the depth of a well.",
    "These days a chicken leg is a rare dish.",
    "Rice is often served in round bowls.",
    "The juice of lemons makes fine punch.",
    "The box was thrown beside the parked truck.",
    "Four hours of steady work faced us.",
    "A large size in stockings is hard to sell.",
    "The boy was there when the sun rose.",
    "A rod is used to catch pink salmon.",
    "The source of the huge river is the clear spring.",
    "Kick the ball straight and follow through.",
    "Help the woman get back to her feet.",
    "A pot of tea helps to pass the evening.",
    "Smoky fires lack flame and heat.",
    "The soft cushion broke the man's fall.",
    "The salt breeze came across from the sea.",
    "The girl at the booth sold fifty bonds.",
    "The small pup gnawed a hole in the sock.",
    "The fish twisted and turned on the bent hook.",
    "Press the pants and sew a button on the vest.",
    "The swan dive was far short of perfect.",
    "The beauty of the view stunned the young boy.",
    "Two blue fish swam in the tank.",
    "Her purse was full of useless trash.",
    "The colt reared and threw the tall rider.",
    "It snowed, rained, and hailed the same morning.",
    "Read verse out loud for pleasure.",
    "Hoist the load to your left shoulder.",
    "Take the winding path to reach the lake.",
    "Note closely the size of the gas tank.",
    "Wipe the grease off his dirty face.",
    "Mend the coat before you go out.",
    "The wrist was badly strained and hung limp.",
    "The stray cat gave birth to kittens.",
    "The young girl gave no clear response.",
    "The meal was cooked before the bell rang.",
    "What joy there is in living.",
    "A king ruled the state in the early days.",
};

static void compose(uint64_t *seed, char ret_text[TEXT_CAP])
{
    size_t used = 0;
    while (used < WANTED) {
        const char *sentence = SENTENCES[lab_pick(seed, sizeof SENTENCES / sizeof *SENTENCES)];
        used += (size_t)snprintf(ret_text + used, TEXT_CAP - used, "%s ", sentence);
    }
}

/* Runs a program that writes `wav`, and decodes that. */
static bool run(const char *const argv[], const char *wav, vx_audio *ret_audio)
{
    child c = {0};
    vx_buf file = {0};
    /* posix_spawn takes its arguments as char *, and changes none. */
    const bool ok = child_start((char *const *)argv, CHILD_STDOUT, &c) && child_end(&c, WAIT_MS) == 0 &&
                    vx_file_read(wav, FILE_MOST, &file, NULL) == VX_OK &&
                    vx_audio_decode(file.data, file.len, VX_FORMAT_WAV, 0, ret_audio, NULL) == VX_OK;
    vx_buf_done(&file);
    return ok;
}

/* One way of saying a text with a voice: its program's arguments. pace: 1 is the voice's own; pitch: the same. */
typedef bool synthesiser(const char *voice, const char *text, const char *wav, double pace, double pitch,
                         vx_audio *ret_audio);

static bool by_espeak(const char *voice, const char *text, const char *wav, double pace, double pitch,
                      vx_audio *ret_audio)
{
    char words[16], height[16];
    (void)snprintf(words, sizeof words, "%.0f", 165 * pace);
    (void)snprintf(height, sizeof height, "%.0f", 50 + 100 * (pitch - 1));
    const char *argv[] = {"espeak-ng", "-v", voice, "-s", words, "-p", height, "-w", wav, "-f", text, NULL};
    return run(argv, wav, ret_audio);
}

static bool by_flite(const char *voice, const char *text, const char *wav, double pace, double pitch,
                     vx_audio *ret_audio)
{
    char stretch[48];
    (void)pitch;
    (void)snprintf(stretch, sizeof stretch, "duration_stretch=%.3f", 1 / pace);
    const char *argv[] = {"flite", "-voice", voice, "--setf", stretch, "-f", text, "-o", wav, NULL};
    return run(argv, wav, ret_audio);
}

static bool by_festival(const char *voice, const char *text, const char *wav, double pace, double pitch,
                        vx_audio *ret_audio)
{
    char choose[128];
    (void)pitch;
    (void)snprintf(choose, sizeof choose, "(begin (voice_%s) (Parameter.set 'Duration_Stretch %.3f))", voice, 1 / pace);
    const char *argv[] = {"text2wave", "-eval", choose, "-o", wav, text, NULL};
    return run(argv, wav, ret_audio);
}

/* "said.txt" of a scratch folder goes in as a file: no text becomes an option. */
static bool say_so(synthesiser *by, const char *voice, const char *text, double pace, double pitch, vx_audio *ret_audio)
{
    scratch s = scratch_make();
    char in[PATH_CAP], out[PATH_CAP];
    scratch_write(&s, "said.txt", text, strlen(text));
    const bool ok = by(voice, scratch_path(&s, "said.txt", in, sizeof in),
                       scratch_path(&s, "said.wav", out, sizeof out), pace, pitch, ret_audio);
    scratch_done(&s);
    return ok;
}

static bool make(synthesiser *by, const char *const *voices, size_t n_voices, const lab_original *original,
                 uint64_t *seed, lab_clip *clip)
{
    const char *voice = voices[lab_pick(seed, n_voices)];
    const double pace = lab_uniform(seed, 0.85, 1.2), pitch = lab_uniform(seed, 0.75, 1.25);
    char text[TEXT_CAP];
    compose(seed, text);
    vx_audio audio = {0};
    if (!say_so(by, voice, text, pace, pitch, &audio))
        return false;
    float *samples = lab_alloc(audio.n, sizeof *samples);
    memcpy(samples, audio.samples, audio.n * sizeof *samples);
    lab_take(clip, samples, audio.n);
    lab_note(clip, "voice=%s pace=%.2f", voice, pace);
    if (by == by_espeak)
        lab_note(clip, "pitch=%.2f", pitch);
    vx_audio_done(&audio);
    lab_deliver(original, seed, clip);
    return true;
}

/* Whether every voice of a kind says something. */
static bool speaks(synthesiser *by, const char *const *voices, size_t n_voices, char ret_why[LAB_PARAMETERS])
{
    for (size_t i = 0; i < n_voices; i++) {
        vx_audio audio = {0};
        const bool ok = say_so(by, voices[i], SENTENCES[0], 1, 1, &audio);
        vx_audio_done(&audio);
        if (!ok) {
            (void)snprintf(ret_why, LAB_PARAMETERS, "the voice %s is not installed", voices[i]);
            return false;
        }
    }
    return true;
}

static const char *const ESPEAK[] = {
    "en-us",    "en-gb",       "en-gb-scotland", "en-us+f1",  "en-us+f2",     "en-gb+f3",
    "en-us+f4", "en-gb+f5",    "en-us+m1",       "en-gb+m2",  "en-us+m3",     "en-gb+m5",
    "en-us+m7", "en-us+linda", "en-gb+steph",    "en-us+max", "en-gb+travis",
};
static const char *const KLATT[] = {"en-us+klatt", "en-gb+klatt2", "en-us+klatt3", "en-us+klatt4", "en-gb+klatt6"};
static const char *const FLITE[] = {"awb", "kal16", "rms"};
static const char *const FLITE_SLT[] = {"slt"};
static const char *const FESTIVAL[] = {"cmu_us_slt_arctic_hts", "ked_diphone"};

#define VOICES(list) (list), sizeof(list) / sizeof *(list)
#define SYNTHETIC(name, by, list)                                                                                      \
    static bool make_##name(const lab_original *original, uint64_t *seed, lab_clip *clip)                              \
    {                                                                                                                  \
        return make(by, VOICES(list), original, seed, clip);                                                           \
    }                                                                                                                  \
    static bool name##_ready(char ret_why[LAB_PARAMETERS])                                                             \
    {                                                                                                                  \
        return speaks(by, VOICES(list), ret_why);                                                                      \
    }
SYNTHETIC(espeak, by_espeak, ESPEAK)
SYNTHETIC(klatt, by_espeak, KLATT)
SYNTHETIC(flite, by_flite, FLITE)
SYNTHETIC(flite_slt, by_flite, FLITE_SLT)
SYNTHETIC(festival, by_festival, FESTIVAL)

#define ROW(name, out)                                                                                                 \
    {                                                                                                                  \
        .kind = "tts_" #name, .group = "synthetic", .spoof = true, .held_out = (out), .make = make_##name,             \
        .ready = name##_ready                                                                                          \
    }
const lab_kind lab_synthetic_kinds[] = {
    ROW(espeak, false), ROW(flite, false), ROW(klatt, true), ROW(flite_slt, true), ROW(festival, true), {0},
};
