/* plugin_torch.cpp - the network by libtorch: TorchScript on the CPU, CUDA or Apple's MPS. The project's only C++.
 * Owns:   reading a module from memory, its proof, libtorch's threads and precision; every exception ends here.
 *         Does not: hash, compute features, normalise (hosted.c). Activations lie in libtorch's own heap, which frees
 *         but does not wipe them.
 */
#include "shared/engine/network_plugin.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <memory>
#include <new>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <caffe2/serialize/read_adapter_interface.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/runtime/jit_exception.h>
#include <torch/script.h>
#include <torch/version.h>

struct vx_network {
    torch::jit::Module module;
    torch::Device device;
    bool bf16;
    int threads;
    int64_t bands, dim;
};

namespace
{

/* ---- errors ---- */

/* What this file itself has against a network. */
struct refusal : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/* Where the sentence starts in what an exception says. A failing script is told as a trace that quotes its source and
 * ends in "RuntimeError: sentence"; a failed assertion names libtorch's source file first. Allocates nothing: it runs
 * in handlers, whose own exceptions nobody would catch. */
const char *sentence_in(const char *what)
{
    static constexpr char assertion[] = "please report a bug to PyTorch. ", place[] = "<--- HERE", kind[] = "Error: ";
    if (const char *at = std::strstr(what, assertion))
        return at + sizeof assertion - 1;
    const char *sentence = what;
    while (const char *at = std::strstr(sentence, place))
        sentence = at + sizeof place - 1;
    if (sentence != what)
        if (const char *at = std::strstr(sentence, kind))
            return at + sizeof kind - 1;
    return what;
}

/* One line of printable characters, cut between two of them. */
void explain(char *ret_text, size_t cap, const char *prefix, const char *what)
{
    const int whole = std::snprintf(ret_text, cap, "%s%s", prefix, sentence_in(what));
    if (whole > 0 && static_cast<size_t>(whole) >= cap) {
        size_t end = cap - 1;
        while (end > 0 && (ret_text[end - 1] & 0xc0) == 0x80)
            end--;
        if (end > 0 && (ret_text[end - 1] & 0x80) != 0)
            end--;
        ret_text[end] = '\0';
    }
    ret_text[std::strcspn(ret_text, "\n")] = '\0';
    for (char *c = ret_text; *c; c++)
        if (static_cast<unsigned char>(*c) < ' ' || *c == 0x7f)
            *c = ' ';
}

/* libtorch has no type for it: the CPU's and CUDA's allocators say it in words. */
bool is_out_of_memory(const char *what)
{
    return std::strstr(what, "can't allocate memory") || std::strstr(what, "out of memory");
}

/* Runs body; no exception leaves.
 * on_throw [in] what an exception of libtorch means here, and prefix what to say before its text */
template <typename Body>
vx_err fenced(vx_err on_throw, const char *prefix, char *ret_text, size_t cap, Body body) noexcept
{
    try {
        body();
        return VX_OK;
    } catch (const refusal &e) {
        explain(ret_text, cap, "", e.what());
        return on_throw;
    } catch (const std::bad_alloc &) {
        return VX_ERR_NOMEM;
    } catch (const torch::jit::JITException &e) {
        /* The script's own `raise`, whatever it was given. */
        explain(ret_text, cap, "", e.what());
        return VX_ERR_ENGINE;
    } catch (const c10::Error &e) {
        explain(ret_text, cap, prefix, e.what_without_backtrace());
        return is_out_of_memory(ret_text) ? VX_ERR_NOMEM : on_throw;
    } catch (const std::exception &e) {
        explain(ret_text, cap, prefix, e.what());
        return is_out_of_memory(ret_text) ? VX_ERR_NOMEM : on_throw;
    } catch (...) {
        explain(ret_text, cap, prefix, "an exception that says nothing");
        return on_throw;
    }
}

std::string text_of(at::IntArrayRef sizes)
{
    std::ostringstream text;
    text << sizes;
    return text.str();
}

/* ---- libtorch's state ---- */

/* For the whole process, in which nobody else uses libtorch. */
void set_up_once()
{
    static const bool done = [] {
        /* Else the first two runs are spied on for the sake of fusers that an encoder of convolutions has little use
         * for. With 20.8 M parameters on one core of a Zen 5, without against with: the proof and the first clip of
         * 3 s together 180 against 370 ms (f32), 145 against 240 ms (bf16); later clips 130 and 130, 50 and 48 ms. */
        torch::jit::getProfilingMode() = false;
        at::set_num_interop_threads(1);
        return true;
    }();
    static_cast<void>(done);
}

/* OpenMP counts threads for each calling thread, OpenBLAS for the process, and libtorch tells the first of its choice
 * only: "one thread" took two cores, since 1x1 convolutions on one thread go to OpenBLAS. Asked for at each run, because
 * callers come and go, and another engine of this process may want another number. */
void bind_threads(int threads)
{
    static const auto set_blas_threads =
        reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
    if (at::get_num_threads() != threads)
        at::set_num_threads(threads);
    if (set_blas_threads)
        set_blas_threads(threads);
}

/* Products in bfloat16 for as long as it lives, on this thread. */
class autocast
{
  public:
    explicit autocast(torch::Device device) : on_cpu(device.is_cpu()) { enable(true); }
    ~autocast() { enable(false); }
    autocast(const autocast &) = delete;
    autocast &operator=(const autocast &) = delete;

  private:
    void enable(bool enabled) const
    {
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
        const auto type = on_cpu ? at::kCPU : at::kCUDA;
        at::autocast::set_autocast_dtype(type, at::kBFloat16);
        at::autocast::set_autocast_enabled(type, enabled);
#else
        if (on_cpu) {
            at::autocast::set_autocast_cpu_dtype(at::kBFloat16);
            at::autocast::set_cpu_enabled(enabled);
        } else {
            at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
            at::autocast::set_enabled(enabled);
        }
#endif
    }

    bool on_cpu;
};

/* ---- opening ---- */

torch::Device device_for(const vx_network_request &request)
{
    const std::string name = request.device;
    torch::Device device(torch::kCPU);
    if (name == "cuda") {
        if (!at::CUDAHooksRegistry()->Has("CUDAHooks"))
            throw refusal("this libtorch was built without CUDA");
        if (!at::hasCUDA())
            throw refusal("no CUDA device");
        device = torch::Device(torch::kCUDA, 0);
    } else if (name == "mps") {
        if (!at::hasMPS())
            throw refusal("no MPS device, or this libtorch was built without MPS");
        device = torch::Device(torch::kMPS, 0);
    } else if (name != "cpu") {
        throw refusal("no device of this name");
    }
    if (request.bf16 && device.is_cpu() && !at::hasMKLDNN())
        throw refusal("this libtorch has no bf16 products on the CPU: it was built without oneDNN");
    if (request.bf16 && !device.is_cpu() && !device.is_cuda())
        throw refusal("bf16 is for the CPU and for CUDA");
    return device;
}

/* The artefact where it lies: libtorch copies tensors out of it, and so needs no copy of the file. */
class artefact : public caffe2::serialize::ReadAdapterInterface
{
  public:
    artefact(const void *data, size_t len) : bytes(static_cast<const char *>(data)), n(len) {}
    size_t size() const override { return n; }
    size_t read(uint64_t pos, void *ret, size_t want, const char *) const override
    {
        if (pos >= n)
            return 0;
        const size_t got = std::min(want, n - static_cast<size_t>(pos));
        std::memcpy(ret, bytes + pos, got);
        return got;
    }
    /* The bytes are about to go, and a module that kept its reader must not find that out by a crash. */
    void end() { n = 0; }

  private:
    const char *bytes;
    size_t n;
};

torch::jit::Module read_module(const vx_network_request &request, torch::Device device)
{
    const auto source = std::make_shared<artefact>(request.data, request.len);
    torch::jit::Module module = torch::jit::load(source, device);
    source->end();
    module.eval();
    if (!module.find_method("forward"))
        throw refusal("has no method 'forward'");
    return module;
}

/* ---- running ---- */

/* Features to what the network makes of them, [n_clips, dim] on the CPU. */
torch::Tensor forward(vx_network &network, const float *features, int64_t n_clips, int64_t n_frames)
{
    const c10::InferenceMode no_gradients;
    std::optional<autocast> bf16;
    bind_threads(network.threads);
    if (network.bf16)
        bf16.emplace(network.device);
    const torch::Tensor input =
        torch::from_blob(const_cast<float *>(features), {n_clips, n_frames, network.bands}, torch::kFloat);
    const torch::IValue result = network.module.forward({input.to(network.device)});
    if (!result.isTensor())
        throw refusal("gives a " + result.tagKind() + " where a tensor is expected");
    const torch::Tensor raw = result.toTensor().to(torch::kCPU, torch::kFloat).contiguous();
    if (raw.dim() != 2 || raw.size(0) != n_clips || raw.size(1) != network.dim)
        throw refusal("gives " + text_of(raw.sizes()) + " where the manifest asks for " +
                      text_of({n_clips, network.dim}));
    return raw;
}

/* Another length with another number of clips, since a trace may have either built in. What the numbers are is the
 * self-test's affair: silence may give no finite ones. */
vx_err prove(vx_network &network, char *ret_text, size_t cap) noexcept
{
    static constexpr struct {
        int64_t clips, frames;
    } shapes[] = {{1, 40}, {2, 50}};
    for (const auto &shape : shapes) {
        char prefix[80];
        std::snprintf(prefix, sizeof prefix, "takes no [%lld, %lld, %lld] input: ", static_cast<long long>(shape.clips),
                      static_cast<long long>(shape.frames), static_cast<long long>(network.bands));
        const vx_err err = fenced(VX_ERR_MODEL_SHAPE, prefix, ret_text, cap, [&] {
            const std::vector<float> silence(static_cast<size_t>(shape.clips * shape.frames * network.bands));
            forward(network, silence.data(), shape.clips, shape.frames);
        });
        if (err != VX_OK)
            return err;
    }
    return VX_OK;
}

/* ---- the table ---- */

vx_err open_network(const vx_network_request *request, vx_network **ret_network, char *ret_text, size_t cap)
{
    std::unique_ptr<vx_network> network;
    vx_err err = fenced(VX_ERR_UNSUPPORTED, "", ret_text, cap, [&] {
        set_up_once();
        network.reset(new vx_network{{},
                                     device_for(*request),
                                     request->bf16,
                                     request->threads,
                                     static_cast<int64_t>(request->bands),
                                     static_cast<int64_t>(request->dim)});
    });
    if (err == VX_OK)
        err = fenced(VX_ERR_MODEL_CORRUPT, "is no TorchScript: ", ret_text, cap,
                     [&] { network->module = read_module(*request, network->device); });
    if (err == VX_OK)
        err = prove(*network, ret_text, cap);
    if (err == VX_OK)
        *ret_network = network.release();
    return err;
}

/* On the CPU a batch gains up to here (two clips of 3 s go through 10 to 20 % faster, sixteen no faster or slower), and
 * activations of the 20.8 M network take 80 kB a frame. */
constexpr size_t cpu_frames = 640;

vx_err run_network(vx_network *network, const float *features, size_t n_clips, size_t n_frames, float *ret_raw,
                   char *ret_text, size_t cap)
{
    return fenced(VX_ERR_ENGINE, "", ret_text, cap, [&] {
        const size_t one = n_frames * static_cast<size_t>(network->bands);
        const size_t at_once = network->device.is_cpu() ? std::max<size_t>(1, cpu_frames / n_frames) : n_clips;
        std::vector<torch::Tensor> parts; /* all of them before the first is handed out */
        for (size_t i = 0; i < n_clips; i += at_once)
            parts.push_back(forward(*network, features + i * one, static_cast<int64_t>(std::min(at_once, n_clips - i)),
                                    static_cast<int64_t>(n_frames)));
        for (const torch::Tensor &part : parts) {
            std::memcpy(ret_raw, part.data_ptr<float>(), part.nbytes());
            ret_raw += part.numel();
        }
    });
}

void close_network(vx_network *network)
{
    delete network;
}

} // namespace

extern "C" __attribute__((visibility("default"))) const vx_network_plugin vx_network_plugin_table = {
    VX_NETWORK_PLUGIN_ABI, "libtorch " TORCH_VERSION, open_network, run_network, close_network,
};
