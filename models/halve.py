"""A network with bfloat16 weights: the tensors of model_bf16.safetensors, which strategy `half` runs.

The weights of every convolution over frames are rounded to bfloat16 (to the nearest, ties to even), as strategy `native`
does it when it opens with that precision. Here it is done once: the file is little more than half as large, is read and
proven in half the time, and nothing is left to convert. Dense layers see one vector an utterance and stay as they are.
Needs torch and numpy.

The file holds NAME.weight as BF16 [n_out, n_in, taps] for such a convolution NAME ("mfa.conv.conv"); every other tensor is
as in model.safetensors. Of the attention's first layer that is the part that sees frames; the part that sees the
utterance's mean and deviation is asp.tdnn.conv.conv.context, F32 [attention, 2 * mfa].
"""

import numpy as np
import torch
from ecapa import tensors_of
from quantise import ATTENTION_IN, frames_in


def is_over_frames(name):
    return "se_block" not in name and not name.startswith("fc.")


def halved_tensors(model):
    """The file as ecapa_folder.safetensors_pieces takes it: name -> (shape, bytes), and the types that are not F32."""
    tensors, types = tensors_of(model), {}
    for name, module in model.named_modules():
        if not isinstance(module, torch.nn.Conv1d) or not is_over_frames(name):
            continue
        weight, n_in = module.weight.detach(), frames_in(name, module)
        # Two products share a lane, so a row has whole pairs; another stays as it is and is converted at the start.
        if n_in * weight.shape[2] % 2 != 0:
            continue
        rounded = weight[:, :n_in].contiguous().to(torch.bfloat16).view(torch.int16).numpy().astype("<i2")
        tensors[name + ".weight"] = (tuple(rounded.shape), rounded.tobytes())
        types[name + ".weight"] = "BF16"
        if name == ATTENTION_IN:
            context = np.ascontiguousarray(weight[:, n_in:, 0].numpy().astype("<f4"))
            tensors[name + ".context"] = (tuple(context.shape), context.tobytes())
    return tensors, types
