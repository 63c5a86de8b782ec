"""A network with 8-bit weights: the tensors of model_int8.safetensors, which strategy `quantized` runs.

Each convolution over frames is quantised but the first, whose input (features in dB) has the widest tails: with it the
worst clip fell to cosine 0.985, without it to 0.9997. Dense layers see one vector an utterance and stay as they are.
Activations have 7 bits, so that the 8-bit products of every instruction set sum without saturation and give the same
integers; 8 bits measured no better. Their ranges are those of the given features, with as much again above: ReLU's tail
is open, and what clips costs far more than a coarser step. Needs torch and numpy.

The file holds, for a quantised convolution NAME ("mfa.conv.conv") and k = channel * taps + tap:
  NAME.weight        I8  [n_out, k padded with zeros to a multiple of 64], -63 .. 63
  NAME.weight_scale  F32 [n_out]
  NAME.input_scale   F32 [n_in]     q = clamp(round(x * input_scale + input_zero), 0, 127)
  NAME.input_zero    F32 [n_in]
  NAME.bias          F32 [n_out]
so that y = weight_scale * (sum weight * q - sum weight * input_zero) + bias; every other tensor is as in
model.safetensors. Of the attention's first layer the part that sees frames is quantised; the part that sees the
utterance's mean and deviation is asp.tdnn.conv.conv.context, F32 [attention, 2 * mfa].
"""

import numpy as np
import torch
from ecapa import tensors_of

ACTIVATION_LEVELS = 127
WEIGHT_LEVELS = 63
HEADROOM = 1.0
ROW_MULTIPLE = 64
ATTENTION_IN = "asp.tdnn.conv.conv"


def is_quantised(name):
    """Whether a convolution of the network, by its name, sees frames that are not features."""
    return name.startswith(("blocks.1.", "blocks.2.", "blocks.3.", "mfa.", "asp.")) and "se_block" not in name


def quantised_convolutions(model):
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Conv1d) and is_quantised(name)
    }


def conditions(samples, seed=1):
    """A clip as it is, noisy, as a telephone passes it, and both: ranges must hold for more than clean recordings."""
    noise = torch.randn(samples.shape, generator=torch.Generator().manual_seed(seed)) * samples.std()
    spectrum = torch.fft.rfft(samples)
    spectrum[int(len(spectrum) * 3400 / 8000) :] = 0
    telephone = torch.fft.irfft(spectrum, len(samples))
    return [samples, samples + 0.2 * noise, telephone, telephone + 0.05 * noise]


def input_ranges(model, fbank, clips):
    """name -> (least, greatest) of each input channel over the clips (float tensors of 16 kHz samples)."""
    ranges = {}

    def watch(name, n_in):
        def hook(_, inputs):
            x = inputs[0][0, :n_in]
            low, high = x.amin(1), x.amax(1)
            if name in ranges:
                low, high = torch.minimum(low, ranges[name][0]), torch.maximum(high, ranges[name][1])
            ranges[name] = (low, high)

        return hook

    hooks = [
        module.register_forward_pre_hook(watch(name, frames_in(name, module)))
        for name, module in quantised_convolutions(model).items()
    ]
    with torch.inference_mode():
        for clip in clips:
            for samples in conditions(clip):
                model(fbank(samples[None]))
    for hook in hooks:
        hook.remove()
    return ranges


def frames_in(name, module):
    """Input channels that change from frame to frame."""
    return module.in_channels // 3 if name == ATTENTION_IN else module.in_channels


def quantise_convolution(weight, low, high):
    """weight [n_out, n_in, taps] -> (int8 [n_out, padded], weight_scale, input_scale, input_zero)."""
    span = (1 + HEADROOM) * (high - low).clamp(min=1e-6)
    input_scale = ACTIVATION_LEVELS / span
    input_zero = -low * input_scale
    scaled = (weight / input_scale[None, :, None]).reshape(weight.shape[0], -1)
    # A row of zeros has no largest weight; any scale will do for it.
    weight_scale = scaled.abs().amax(1).clamp(min=1e-30) / WEIGHT_LEVELS
    rows = torch.round(scaled / weight_scale[:, None]).to(torch.int8)
    rows = torch.nn.functional.pad(rows, (0, -rows.shape[1] % ROW_MULTIPLE))
    return rows, weight_scale, input_scale, input_zero


def quantised_tensors(model, fbank, clips):
    """The file as ecapa_folder.safetensors_pieces takes it: name -> (shape, bytes), and the types that are not F32."""
    ranges = input_ranges(model, fbank, clips)
    tensors, types = tensors_of(model), {}

    def put(name, value, numpy_type="<f4"):
        array = np.ascontiguousarray(value.detach().numpy().astype(numpy_type))
        tensors[name] = (tuple(array.shape), array.tobytes())

    for name, module in quantised_convolutions(model).items():
        n_in = frames_in(name, module)
        weight = module.weight.detach()
        rows, weight_scale, input_scale, input_zero = quantise_convolution(weight[:, :n_in], *ranges[name])
        put(name + ".weight", rows, "i1")
        types[name + ".weight"] = "I8"
        put(name + ".weight_scale", weight_scale)
        put(name + ".input_scale", input_scale)
        put(name + ".input_zero", input_zero)
        if n_in < module.in_channels:
            put(name + ".context", weight[:, n_in:, 0])
    return tensors, types
