"""A network with 8-bit weights: the tensors of model_int8.safetensors, which strategy `quantized` runs.

Each convolution over frames is quantised but the first, whose input (features in dB) has the widest tails: with it the
worst clip fell to cosine 0.985, without it to 0.9997. Dense layers see one vector an utterance and stay as they are.
Weights and activations have 7 bits, so that on every instruction set sums of four products fit in 16 bits and give the
same integers; 8 bits of either measured no better. Activations' ranges are those of the given features, with as much
again above: ReLU's tail is open, and what clips costs far more than a coarser step. Needs torch and numpy.

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
from gptq import round_weights

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


class InputStatistics:
    """What a convolution saw: the range of each channel, and mean and covariance of the k inputs of an output."""

    def __init__(self, convolution, n_in):
        k = n_in * convolution.kernel_size[0]
        self.convolution, self.n_in, self.n = convolution, n_in, 0
        self.low, self.high = torch.full((n_in,), torch.inf), torch.full((n_in,), -torch.inf)
        self.sum, self.products = torch.zeros(k, dtype=torch.double), torch.zeros(k, k, dtype=torch.double)

    def add(self, x):
        """x [channels, frames], padded as the convolution takes it."""
        x = x[: self.n_in]
        taps, dilation = self.convolution.kernel_size[0], self.convolution.dilation[0]
        frames = x.shape[1] - (taps - 1) * dilation
        seen = torch.stack([x[:, tap * dilation : tap * dilation + frames] for tap in range(taps)], 1)
        # In single precision the variance of an input that hardly varies would be lost in the square of its mean.
        seen = seen.flatten(0, 1).double()
        self.low, self.high = torch.minimum(self.low, x.amin(1)), torch.maximum(self.high, x.amax(1))
        self.sum += seen.sum(1)
        self.products += seen @ seen.T
        self.n += frames

    def mean(self):
        return self.sum / self.n

    def covariance(self):
        mean = self.mean()
        # An input that never changes has no variance, whatever rounding left of it.
        constant = (self.high - self.low <= 1e-6).repeat_interleave(self.convolution.kernel_size[0])
        covariance = self.products / self.n - mean[:, None] * mean
        covariance[constant] = 0
        covariance[:, constant] = 0
        return covariance


def input_statistics(model, fbank, clips):
    """name -> InputStatistics of each quantised convolution over the clips (float tensors of 16 kHz samples)."""
    statistics, hooks = {}, []
    for name, module in quantised_convolutions(model).items():
        statistics[name] = InputStatistics(module, frames_in(name, module))
        hooks.append(module.register_forward_pre_hook(lambda _, inputs, to=statistics[name]: to.add(inputs[0][0])))
    with torch.inference_mode():
        for clip in clips:
            for samples in conditions(clip):
                model(fbank(samples[None]))
    for hook in hooks:
        hook.remove()
    return statistics


def frames_in(name, module):
    """Input channels that change from frame to frame."""
    return module.in_channels // 3 if name == ATTENTION_IN else module.in_channels


def quantise_convolution(weight, bias, statistics):
    """weight [n_out, n_in, taps] -> (int8 [n_out, padded], weight_scale, input_scale, input_zero, bias)."""
    span = (1 + HEADROOM) * (statistics.high - statistics.low).clamp(min=1e-6)
    input_scale = ACTIVATION_LEVELS / span
    input_zero = -statistics.low * input_scale
    scale = input_scale.repeat_interleave(weight.shape[2])
    scaled = weight.flatten(1) / scale
    # A row of zeros has no largest weight; any scale will do for it.
    weight_scale = scaled.abs().amax(1).clamp(min=1e-30) / WEIGHT_LEVELS
    covariance = statistics.covariance() * scale[:, None] * scale
    rows = round_weights(scaled, weight_scale, WEIGHT_LEVELS, covariance)
    # What rounding does to the mean output, the bias takes back.
    error = scaled - rows * weight_scale[:, None]
    bias = bias + (error.double() @ (statistics.mean() * scale)).float()
    rows = torch.nn.functional.pad(rows.to(torch.int8), (0, -rows.shape[1] % ROW_MULTIPLE))
    return rows, weight_scale, input_scale, input_zero, bias


def quantised_tensors(model, fbank, clips):
    """The file as ecapa_folder.safetensors_pieces takes it: name -> (shape, bytes), and the types that are not F32."""
    statistics = input_statistics(model, fbank, clips)
    tensors, types = tensors_of(model), {}

    def put(name, value, numpy_type="<f4"):
        array = np.ascontiguousarray(value.detach().numpy().astype(numpy_type))
        tensors[name] = (tuple(array.shape), array.tobytes())

    for name, module in quantised_convolutions(model).items():
        n_in = frames_in(name, module)
        weight = module.weight.detach()
        rows, weight_scale, input_scale, input_zero, bias = quantise_convolution(
            weight[:, :n_in], module.bias.detach(), statistics[name]
        )
        put(name + ".weight", rows, "i1")
        types[name + ".weight"] = "I8"
        put(name + ".weight_scale", weight_scale)
        put(name + ".input_scale", input_scale)
        put(name + ".input_zero", input_zero)
        put(name + ".bias", bias)
        if n_in < module.in_channels:
            put(name + ".context", weight[:, n_in:, 0])
    return tensors, types
