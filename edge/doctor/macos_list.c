/* macos_list.c - what a Mac's owner runs in ten minutes, and what should be seen.
 * Owns:   the text. Does not: run anything: it can be read on any system. docs/macos.md says what has been run where.
 *
 * An order in which each step needs only those before it, and permissions are asked for when they are first needed. A step
 * is one action and one thing to see, so that a report can say "step 9: ..." and nothing more.
 */
#include "edge/doctor/doctor.h"

const char vx_mac_before[] =
    "Ten minutes with voxlock on a Mac. No part of it has been run on one yet: whatever you see is news.\n"
    "\n"
    "Use an account whose password you can change afterwards. Work in Terminal, in the folder of\n"
    "voxlock's source; in every new one, begin with: export PATH=\"$PWD/build/release:$PATH\"\n"
    "You need Homebrew, a microphone, and a quiet room. Steps 11 to 16 lock the screen: your password and\n"
    "Touch ID work all the time.\n";

const vx_mac_step vx_mac_steps[] = {
    /* build */
    {"sw_vers; uname -m; sysctl -n machdep.cpu.brand_string",
     "three versions and a processor: the first lines of a report"},
    {"scripts/setup.sh build && make -j, and the export from above", "it ends without a warning or an error"},
    {"make unit",
     "the last line says 0 failed; tests that fail allocations are skipped, as Apple's linker has no --wrap"},
    /* what needs no permission */
    {"voxlock status", "a strategy that opened; with Accelerate, gemm is blas; the self test cosine is 0.999 or more"},
    {"voxlock doctor",
     "no line says failed but, for now, that of the microphone; phrase warns that nothing recognises words"},
    /* the microphone */
    {"voxlock listen --seconds 10, and talk",
     "macOS asks once whether Terminal may use the microphone: allow it. A bar moves with your voice, and a "
     "line says how long you spoke"},
    {"System Settings > Privacy & Security > Microphone: switch Terminal off, quit Terminal and open it "
     "again; voxlock listen --seconds 5; then switch it on and open Terminal once more",
     "while it is off, a sentence says that macOS gives silence and names Terminal as the program that lacks "
     "the permission"},
    {"voxlock listen --seconds 20, and meanwhile connect a headset, talk, and disconnect it",
     "change lines with the headset's name and rate, speech from it, and no end of the program"},
    /* a profile */
    {"voxlock enroll me --arm --accept-starter-model, and say the five sentences",
     "each is called good, or you are told what to change; then a profile with 5 recordings. In Keychain "
     "Access there is an entry of service voxlock, and no window asked you for anything"},
    {"voxlock verify me, and say a sentence; then let somebody else say it",
     "for you, CHALLENGE or AUTHENTICATE and 'the voice is accepted'; for the other voice, REJECT"},
    /* the screen */
    {"voxlock password keep, then: sleep 8; voxlock password test, and lock the screen (Control-Command-Q) "
     "within the eight seconds; unlock by hand",
     "kept, and it can be read back; then 'can be read now'. -25308 instead means that the keychain locks "
     "itself with the screen"},
    {"sleep 8; voxlock unlock me, with the screen locked as above; speak after the eight seconds",
     "it stays locked, and afterwards the output names System Settings > Privacy & Security > Accessibility"},
    {"allow Terminal there, open a new one, and do the same",
     "after AUTHENTICATE the display wakes, dots appear, and the screen opens within two seconds; or it "
     "stays locked, and the sentence names the build of macOS. After CHALLENGE nothing is typed: a Mac has "
     "no recogniser for digits"},
    {"put an empty document of TextEdit in front, do the same, and open the screen by Touch ID while the "
     "dots appear",
     "opened_otherwise, and at most one character in the document"},
    {"do the same, and switch to another user while the dots appear",
     "state_unknown, and nothing in the other user's session"},
    {"do the same after typing xyz into the locked field by hand", "it opens: the field was cleared first"},
    /* the agent */
    {"voxlock agent install, log out and in, voxlock agent status",
     "installed, up_to_date, running and answers are all yes; System Settings > General > Login Items names "
     "voxlock"},
    /* the end */
    {"voxlock doctor", "the agent's line says ok, with the same version; microphone is ok"},
    {"voxlock agent remove; voxlock password forget; voxlock profiles remove me",
     "each says so; Keychain Access has no login password of voxlock's any more"},
};
const size_t vx_n_mac_steps = sizeof vx_mac_steps / sizeof *vx_mac_steps;

const char vx_mac_after[] =
    "To report: open an issue with the output of step 1, that of `voxlock doctor --json`, and one line\n"
    "for each step that showed something else: its number, and what was seen. A first error message of a\n"
    "compiler is worth as much as a screen that opened. Leave out recordings and the data folder: nobody\n"
    "needs them, and they are your voice.\n";
