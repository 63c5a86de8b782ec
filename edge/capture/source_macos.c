/* source_macos.c - microphones of macOS, through AudioQueue; on other systems there are none.
 * Owns:   one queue on one device, following the default device and its rate, the name of the program whose permission
 *         counts. Does not: pass samples between threads (handover.c), put advice into words (advice.c).
 * Source: Apple's documentation of AudioQueueNewInput and AudioObjectAddPropertyListener (AudioToolbox, CoreAudio).
 *
 * Without permission a queue starts and gives zeros: that is no error, so that capture.c must notice it.
 */
#include "edge/capture/capture_private.h"

#if defined(__APPLE__)

#include <AudioToolbox/AudioToolbox.h>
#include <CoreAudio/CoreAudio.h>
#include <dlfcn.h>
#include <libproc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "edge/capture/handover.h"
#include "shared/base/bytes.h"
#include "shared/base/clock.h"

#define NS_PER_MS 1000000u
enum {
    ELEMENT = 0, /* the whole device; its name changed between SDKs */
    BUFFERS = 4,
    BUFFER_MS = 20,
    BLOCK_SAMPLES = 8192,
    BEHIND_SAMPLES = 1 << 20, /* so far a reader may fall back before sound is lost: 10 s of stereo at 48 kHz */
    DEVICES_MAX = 64,
    NAME_CAP = 256,
};

typedef struct {
    char wish[NAME_CAP]; /* "": the default device */
    AudioObjectID device;
    AudioQueueRef queue;
    AudioQueueBufferRef buffers[BUFFERS];
    double rate;
    UInt32 channels;
    vx_handover *handover; /* lives as long as this: a listener that is taken off may still be under way */
    atomic_bool changed;   /* by a listener's word: the device, or what it does, may be another */
    char name[NAME_CAP], program[NAME_CAP];
    float samples[BLOCK_SAMPLES];
} mac;

/* ---- properties --------------------------------------------------------------------------------------------------- */

static AudioObjectPropertyAddress address_of(AudioObjectPropertySelector selector, AudioObjectPropertyScope scope)
{
    return (AudioObjectPropertyAddress){.mSelector = selector, .mScope = scope, .mElement = ELEMENT};
}

static bool get(AudioObjectID object, AudioObjectPropertySelector selector, AudioObjectPropertyScope scope, void *ret,
                UInt32 size)
{
    const AudioObjectPropertyAddress address = address_of(selector, scope);
    return AudioObjectHasProperty(object, &address) &&
           AudioObjectGetPropertyData(object, &address, 0, NULL, &size, ret) == noErr;
}

static AudioObjectID default_device(AudioObjectPropertySelector selector)
{
    AudioObjectID device = kAudioObjectUnknown;
    return get(kAudioObjectSystemObject, selector, kAudioObjectPropertyScopeGlobal, &device, sizeof device)
               ? device
               : kAudioObjectUnknown;
}

static void name_of(AudioObjectID device, char ret_name[NAME_CAP])
{
    CFStringRef name = NULL;
    ret_name[0] = '\0';
    if (!get(device, kAudioObjectPropertyName, kAudioObjectPropertyScopeGlobal, &name, sizeof name) || name == NULL)
        return;
    if (!CFStringGetCString(name, ret_name, NAME_CAP, kCFStringEncodingUTF8))
        ret_name[0] = '\0';
    CFRelease(name);
}

/* 0: it is no microphone. */
static UInt32 input_channels(AudioObjectID device)
{
    const AudioObjectPropertyAddress address =
        address_of(kAudioDevicePropertyStreamConfiguration, kAudioDevicePropertyScopeInput);
    UInt32 size = 0, channels = 0;
    if (AudioObjectGetPropertyDataSize(device, &address, 0, NULL, &size) != noErr || size < sizeof(AudioBufferList))
        return 0;
    AudioBufferList *list = calloc(1, size);
    if (list != NULL && AudioObjectGetPropertyData(device, &address, 0, NULL, &size, list) == noErr)
        for (UInt32 i = 0; i < list->mNumberBuffers; i++)
            channels += list->mBuffers[i].mNumberChannels;
    free(list);
    return channels;
}

/* All devices; their number. */
static size_t all_devices(AudioObjectID ret_devices[DEVICES_MAX])
{
    const AudioObjectPropertyAddress address =
        address_of(kAudioHardwarePropertyDevices, kAudioObjectPropertyScopeGlobal);
    UInt32 size = DEVICES_MAX * sizeof *ret_devices;
    if (AudioObjectGetPropertyData(kAudioObjectSystemObject, &address, 0, NULL, &size, ret_devices) != noErr)
        return 0;
    return size / sizeof *ret_devices;
}

static AudioObjectID find_device(const char *wish)
{
    if (*wish == '\0')
        return default_device(kAudioHardwarePropertyDefaultInputDevice);
    AudioObjectID devices[DEVICES_MAX];
    const size_t n = all_devices(devices);
    for (size_t i = 0; i < n; i++) {
        char name[NAME_CAP];
        name_of(devices[i], name);
        if (strcmp(name, wish) == 0 && input_channels(devices[i]) > 0)
            return devices[i];
    }
    return kAudioObjectUnknown;
}

/* ---- permission --------------------------------------------------------------------------------------------------- */

/* macOS asks for the program that is responsible for this one: the terminal that it was started in, or itself when launchd
 * started it. Which one that is only a function without a header tells; without it, the parent is the best guess. */
static void find_program(char ret_name[NAME_CAP])
{
    typedef pid_t responsible_fn(pid_t pid);
    union {
        void *symbol;
        responsible_fn *call;
    } responsible = {.symbol = dlsym(RTLD_DEFAULT, "responsibility_get_pid_responsible_for_pid")};
    pid_t pid = responsible.symbol != NULL ? responsible.call(getpid()) : getppid();
    if (pid <= 1)
        pid = getpid();
    if (proc_name(pid, ret_name, NAME_CAP) <= 0)
        snprintf(ret_name, NAME_CAP, "voxlock");
}

/* ---- the queue ---------------------------------------------------------------------------------------------------- */

static void on_buffer(void *arg, AudioQueueRef queue, AudioQueueBufferRef buffer, const AudioTimeStamp *start,
                      UInt32 n_packets, const AudioStreamPacketDescription *packets)
{
    mac *m = arg;
    (void)start, (void)n_packets, (void)packets;
    vx_handover_put(m->handover, buffer->mAudioData, buffer->mAudioDataByteSize / sizeof(float));
    /* Fails once the queue is being stopped, which is fine. */
    (void)AudioQueueEnqueueBuffer(queue, buffer, 0, NULL);
}

static OSStatus on_change(AudioObjectID object, UInt32 n, const AudioObjectPropertyAddress *addresses, void *arg)
{
    mac *m = arg;
    (void)object, (void)n, (void)addresses;
    atomic_store(&m->changed, true);
    vx_handover_wake(m->handover);
    return noErr;
}

static void watch(mac *m, AudioObjectID object, AudioObjectPropertySelector selector, bool on)
{
    const AudioObjectPropertyAddress address = address_of(selector, kAudioObjectPropertyScopeGlobal);
    if (on)
        (void)AudioObjectAddPropertyListener(object, &address, on_change, m);
    else
        (void)AudioObjectRemovePropertyListener(object, &address, on_change, m);
}

static void watch_device(mac *m, bool on)
{
    watch(m, m->device, kAudioDevicePropertyNominalSampleRate, on);
    watch(m, m->device, kAudioDevicePropertyDeviceIsAlive, on);
}

/* Disposing frees the buffers; what they hold goes first. */
static void end_queue(mac *m)
{
    if (m->queue == NULL)
        return;
    watch_device(m, false);
    (void)AudioQueueStop(m->queue, true);
    for (int i = 0; i < BUFFERS; i++)
        if (m->buffers[i] != NULL)
            vx_wipe(m->buffers[i]->mAudioData, m->buffers[i]->mAudioDataBytesCapacity);
    (void)AudioQueueDispose(m->queue, true);
    memset(m->buffers, 0, sizeof m->buffers);
    m->queue = NULL;
    bool gap;
    while (vx_handover_take(m->handover, m->samples, BLOCK_SAMPLES, 1, 0, &gap) > 0)
        ; /* of another format than what comes next */
}

static OSStatus lay_on_device(mac *m)
{
    CFStringRef uid = NULL;
    if (!get(m->device, kAudioDevicePropertyDeviceUID, kAudioObjectPropertyScopeGlobal, &uid, sizeof uid))
        return kAudioHardwareBadDeviceError;
    const OSStatus status = AudioQueueSetProperty(m->queue, kAudioQueueProperty_CurrentDevice, &uid, sizeof uid);
    CFRelease(uid);
    return status;
}

static OSStatus fill_queue(mac *m)
{
    const UInt32 frame = m->channels * (UInt32)sizeof(float), bytes = (UInt32)(m->rate * BUFFER_MS / 1000) * frame;
    OSStatus status = noErr;
    for (int i = 0; i < BUFFERS && status == noErr; i++) {
        status = AudioQueueAllocateBuffer(m->queue, bytes, &m->buffers[i]);
        if (status == noErr)
            status = AudioQueueEnqueueBuffer(m->queue, m->buffers[i], 0, NULL);
    }
    return status;
}

/* In the device's own rate and channels. */
static vx_err begin_queue(mac *m, vx_errinfo *info)
{
    m->device = find_device(m->wish);
    if (m->device == kAudioObjectUnknown)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "there is no such microphone");
    m->channels = input_channels(m->device);
    if (m->channels == 0 || !get(m->device, kAudioDevicePropertyNominalSampleRate, kAudioObjectPropertyScopeGlobal,
                                 &m->rate, sizeof m->rate))
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "the device is no microphone");
    name_of(m->device, m->name);
    const UInt32 frame = m->channels * (UInt32)sizeof(float);
    const AudioStreamBasicDescription format = {
        .mSampleRate = m->rate,
        .mFormatID = kAudioFormatLinearPCM,
        .mFormatFlags = kAudioFormatFlagIsFloat | kAudioFormatFlagIsPacked,
        .mBytesPerPacket = frame,
        .mFramesPerPacket = 1,
        .mBytesPerFrame = frame,
        .mChannelsPerFrame = m->channels,
        .mBitsPerChannel = 32,
    };
    OSStatus status = AudioQueueNewInput(&format, on_buffer, m, NULL, NULL, 0, &m->queue);
    if (status != noErr)
        return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "AudioQueue refuses the device (status %d)", (int)status);
    watch_device(m, true);
    status = lay_on_device(m);
    if (status == noErr)
        status = fill_queue(m);
    if (status == noErr)
        status = AudioQueueStart(m->queue, NULL);
    if (status == noErr)
        return VX_OK;
    end_queue(m);
    return vx_errinfo_set(info, VX_ERR_NOT_FOUND, "the microphone cannot be started (status %d)", (int)status);
}

/* ---- the source --------------------------------------------------------------------------------------------------- */

static void watch_default(mac *m, bool on)
{
    if (m->wish[0] == '\0')
        watch(m, kAudioObjectSystemObject, kAudioHardwarePropertyDefaultInputDevice, on);
}

static void close_mac(void *self)
{
    mac *m = self;
    watch_default(m, false);
    end_queue(m);
    vx_handover_destroy(m->handover);
    vx_wipe(m->samples, sizeof m->samples);
    free(m);
}

static vx_err open_mac(const vx_capture_options *wish, void **ret_self, vx_errinfo *info)
{
    mac *m = calloc(1, sizeof *m);
    if (m == NULL)
        return VX_ERR_NOMEM;
    if (wish->device != NULL)
        snprintf(m->wish, sizeof m->wish, "%s", wish->device);
    find_program(m->program);
    vx_err err = vx_handover_create(BEHIND_SAMPLES, &m->handover);
    if (err == VX_OK)
        err = begin_queue(m, info);
    if (err != VX_OK) {
        close_mac(m);
        return err;
    }
    watch_default(m, true);
    *ret_self = m;
    return VX_OK;
}

/* Whether the queue still lies on the right device, at its rate. */
static bool is_right(const mac *m)
{
    UInt32 alive = 0;
    double rate = 0;
    return find_device(m->wish) == m->device &&
           get(m->device, kAudioDevicePropertyDeviceIsAlive, kAudioObjectPropertyScopeGlobal, &alive, sizeof alive) &&
           alive != 0 &&
           get(m->device, kAudioDevicePropertyNominalSampleRate, kAudioObjectPropertyScopeGlobal, &rate, sizeof rate) &&
           rate == m->rate && input_channels(m->device) == m->channels;
}

/* Whether the loudspeaker sounds. Of a headset, one device for both ways, it cannot be told: it runs because we listen. */
static void look_at_playback(const mac *m, vx_capture_block *block)
{
    const AudioObjectID out = default_device(kAudioHardwarePropertyDefaultOutputDevice);
    UInt32 running = 0;
    block->has_playback = out != kAudioObjectUnknown && out != m->device &&
                          get(out, kAudioDevicePropertyDeviceIsRunningSomewhere, kAudioObjectPropertyScopeGlobal,
                              &running, sizeof running);
    block->playback = block->has_playback && running != 0;
}

static vx_err read_mac(void *self, int timeout_ms, vx_capture_block *ret_block, vx_errinfo *info)
{
    mac *m = self;
    UInt32 muted = 0;
    bool gap = false;
    if (atomic_exchange(&m->changed, false) && !is_right(m)) {
        end_queue(m);
        const vx_err err = begin_queue(m, info);
        if (err != VX_OK)
            return err;
    }
    const size_t n = vx_handover_take(m->handover, m->samples, BLOCK_SAMPLES, m->channels,
                                      vx_now_ns() + (uint64_t)timeout_ms * NS_PER_MS, &gap);
    vx_capture_block block = {
        .rate = (int)m->rate,
        .channels = (int)m->channels,
        .device = m->name,
        .samples = m->samples,
        .n_frames = n / m->channels,
        .gap = gap,
        .muted = get(m->device, kAudioDevicePropertyMute, kAudioDevicePropertyScopeInput, &muted, sizeof muted) &&
                 muted != 0,
        .program = m->program,
    };
    look_at_playback(m, &block);
    *ret_block = block;
    return VX_OK;
}

static vx_err list_devices(vx_capture_device_fn *fn, void *arg, vx_errinfo *info)
{
    (void)info;
    AudioObjectID devices[DEVICES_MAX];
    const AudioObjectID first = default_device(kAudioHardwarePropertyDefaultInputDevice);
    const size_t n = all_devices(devices);
    vx_err err = VX_OK;
    for (size_t i = 0; i < n && err == VX_OK; i++) {
        char name[NAME_CAP];
        name_of(devices[i], name);
        if (input_channels(devices[i]) > 0)
            err = fn(arg, "coreaudio", name, devices[i] == first);
    }
    return err;
}

const vx_capture_source *vx_capture_coreaudio(void)
{
    static const vx_capture_source source = {
        .abi = VX_CAPTURE_ABI,
        .name = "coreaudio",
        .live = true,
        .settle_ms = 1000,
        .open = open_mac,
        .close = close_mac,
        .read = read_mac,
        .devices = list_devices,
    };
    return &source;
}

#else

const vx_capture_source *vx_capture_coreaudio(void)
{
    return NULL;
}

#endif
