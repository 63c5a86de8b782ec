"""ECAPA-TDNN and its front end in PyTorch, as SpeechBrain lays them out (Desplanques et al., 2020).

Owns the reference network of training, scoring and export. Parameter names follow SpeechBrain's state dict
(blocks.0.conv.conv.weight, ...), so that its public checkpoints load into this module and this module's weights into
SpeechBrain. Checked against SpeechBrain's own code: largest difference 1.5e-7 in an embedding, 3e-4 dB in features.
"""

import math
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

# The model folder's layout is shared with the programs one folder up, which run without PyTorch.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from ecapa_folder import (  # noqa: E402
    FRONTEND,
    RES2_SCALE,
    WEIGHTS,
    FolderError,
    check_ecapa,
    check_frontend,
    read_safetensors,
)

SAMPLE_RATE = 16000
STD_FLOOR = 1e-12


class Conv(nn.Module):
    """1-d convolution that keeps the length, by reflect padding. [B, C, T] -> [B, C', T]."""

    def __init__(self, c_in, c_out, kernel=1, dilation=1):
        super().__init__()
        self.pad = dilation * (kernel - 1) // 2
        self.conv = nn.Conv1d(c_in, c_out, kernel, dilation=dilation)

    def forward(self, x):
        if self.pad > 0:
            x = F.pad(x, (self.pad, self.pad), mode="reflect")
        return self.conv(x)


class Norm(nn.Module):
    """Batch normalisation, one level deeper for SpeechBrain's names."""

    def __init__(self, c):
        super().__init__()
        self.norm = nn.BatchNorm1d(c)

    def forward(self, x):
        return self.norm(x)


class TDNN(nn.Module):
    """Convolution, ReLU, batch norm, in that order."""

    def __init__(self, c_in, c_out, kernel=1, dilation=1):
        super().__init__()
        self.conv = Conv(c_in, c_out, kernel, dilation)
        self.norm = Norm(c_out)

    def forward(self, x):
        return self.norm(F.relu(self.conv(x)))


class Res2Net(nn.Module):
    """Eighths of the channels, each convolved after adding the result of the one before; the first passes through."""

    def __init__(self, c, kernel, dilation):
        super().__init__()
        part = c // RES2_SCALE
        self.blocks = nn.ModuleList([TDNN(part, part, kernel, dilation) for _ in range(RES2_SCALE - 1)])

    def forward(self, x):
        parts = torch.chunk(x, RES2_SCALE, dim=1)
        out, y = [parts[0]], None
        for block, part in zip(self.blocks, parts[1:]):
            y = block(part if y is None else part + y)
            out.append(y)
        return torch.cat(out, 1)


class SE(nn.Module):
    """Squeeze and excitation: a gain for each channel from its mean over time."""

    def __init__(self, c, hidden):
        super().__init__()
        self.conv1 = Conv(c, hidden)
        self.conv2 = Conv(hidden, c)

    def forward(self, x):
        s = x.mean(2, keepdim=True)
        return torch.sigmoid(self.conv2(F.relu(self.conv1(s)))) * x


class SERes2Net(nn.Module):
    def __init__(self, c, dilation, se):
        super().__init__()
        self.tdnn1 = TDNN(c, c)
        self.res2net_block = Res2Net(c, 3, dilation)
        self.tdnn2 = TDNN(c, c)
        self.se_block = SE(c, se)

    def forward(self, x):
        return x + self.se_block(self.tdnn2(self.res2net_block(self.tdnn1(x))))


class ASP(nn.Module):
    """Attentive statistics pooling with global context. [B, C, T] -> [B, 2C, 1]."""

    def __init__(self, c, attention):
        super().__init__()
        self.tdnn = TDNN(3 * c, attention)
        self.conv = Conv(attention, c)

    def forward(self, x):
        t = x.shape[2]
        mean = x.mean(2, keepdim=True)
        std = torch.sqrt(((x - mean) ** 2).mean(2, keepdim=True).clamp(min=STD_FLOOR))
        context = torch.cat([x, mean.expand(-1, -1, t), std.expand(-1, -1, t)], 1)
        weight = F.softmax(self.conv(torch.tanh(self.tdnn(context))), 2)
        mean = (weight * x).sum(2)
        std = torch.sqrt((weight * (x - mean.unsqueeze(2)) ** 2).sum(2).clamp(min=STD_FLOOR))
        return torch.cat([mean, std], 1).unsqueeze(2)


class ECAPA(nn.Module):
    """[B, T, bands] features -> [B, dim] embedding, not L2-normalised."""

    def __init__(self, channels=1024, mfa=None, attention=128, se=128, dim=192, bands=80):
        super().__init__()
        mfa = mfa or 3 * channels
        blocks = [TDNN(bands, channels, 5)] + [SERes2Net(channels, dilation, se) for dilation in (2, 3, 4)]
        self.blocks = nn.ModuleList(blocks)
        self.mfa = TDNN(3 * channels, mfa)
        self.asp = ASP(mfa, attention)
        self.asp_bn = Norm(2 * mfa)
        self.fc = Conv(2 * mfa, dim)

    def forward(self, x):
        x = self.blocks[0](x.transpose(1, 2))
        a = self.blocks[1](x)
        b = self.blocks[2](a)
        c = self.blocks[3](b)
        x = self.mfa(torch.cat([a, b, c], 1))
        return self.fc(self.asp_bn(self.asp(x))).squeeze(2)


class Fbank(nn.Module):
    """[B, N] samples at 16 kHz, full scale 1.0 -> [B, 1 + N // 160, bands] mean-normalised dB features."""

    def __init__(self, bands=80, n_fft=400, hop=160):
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        self.register_buffer("window", torch.hamming_window(n_fft))
        top = 2595.0 * math.log10(1.0 + SAMPLE_RATE / 2 / 700.0)
        hz = 700.0 * (10.0 ** (torch.linspace(0.0, top, bands + 2) / 2595.0) - 1.0)
        # Both sides of a triangle have the width of the gap below its centre: SpeechBrain's bands, not the usual ones.
        width, centre = (hz[1:] - hz[:-1])[:-1], hz[1:-1]
        f = torch.linspace(0, SAMPLE_RATE // 2, n_fft // 2 + 1)
        slope = (f[:, None] - centre[None]) / width[None]
        self.register_buffer("bank", torch.clamp(torch.minimum(slope + 1, 1 - slope), min=0.0))

    def forward(self, x):
        s = torch.stft(
            x, self.n_fft, self.hop, self.n_fft, self.window, center=True, pad_mode="constant", return_complex=True
        )
        power = (s.real**2 + s.imag**2).transpose(1, 2) @ self.bank
        db = 10.0 * torch.log10(power.clamp(min=1e-10))
        db = torch.maximum(db, db.amax((1, 2), keepdim=True) - 80.0)
        return db - db.mean(1, keepdim=True)


def fbank_of(frontend):
    """The front end of a manifest, where this reference has it: SpeechBrain's, in any size."""
    sizes = ("bands", "window_samples", "n_fft", "hop_samples")
    for key, value in FRONTEND.items():
        if key not in frontend:
            raise FolderError(f"the manifest's front end lacks '{key}'")
        if key not in sizes and frontend[key] != value:
            raise FolderError(f"the PyTorch reference has no front end with {key}: {frontend[key]}, only {value}")
    check_frontend(frontend)
    return Fbank(frontend["bands"], frontend["n_fft"], frontend["hop_samples"])


def load_model(folder):
    """The network of a model folder, in evaluation mode."""
    tensors = read_safetensors(Path(folder) / WEIGHTS)
    sizes = check_ecapa({name: shape for name, (shape, _) in tensors.items()})
    state = {
        name: torch.from_numpy(np.frombuffer(data, "<f4").reshape(shape).copy())
        for name, (shape, data) in tensors.items()
    }
    model = ECAPA(**sizes).eval()
    # Our files lack num_batches_tracked, which only training with a cumulative average would read.
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    return model


def tensors_of(model):
    """The network's weights as ecapa_folder.write_folder takes them."""
    return {
        name: (tuple(value.shape), value.detach().cpu().numpy().astype("<f4").tobytes())
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
