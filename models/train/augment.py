"""What happens to clean speech before the network hears it: rooms, channels, noise, masks.

Everything is computed on the device that trains, in batches, from one seeded torch generator state. There are no
measured room responses in the training data, so rooms are simulated.
"""

import math

import torch
import torch.nn.functional as F

SAMPLE_RATE = 16000


def uniform(batch, low, high, like):
    return torch.empty(batch, 1, device=like.device).uniform_(low, high)


def chance(batch, probability, like):
    """[batch, 1] of true and false."""
    return torch.rand(batch, 1, device=like.device) < probability


def room_responses(batch, like, n=8000):
    """[batch, n] impulse responses: direct path, sparse early echoes, exponentially decaying coloured tail."""
    t = torch.arange(n, device=like.device)[None] / SAMPLE_RATE
    rt60 = uniform(batch, 0.1, 0.8, like)
    tail = torch.randn(batch, n, device=like.device) * torch.exp(-6.9 * t / rt60)
    tail = tail - 0.7 * torch.roll(tail, 1, 1) * torch.rand(batch, 1, device=like.device)
    echo = torch.rand(batch, n, device=like.device) < 0.003
    early = 2 * echo * torch.randn(batch, n, device=like.device) * torch.exp(-t / 0.02)
    response = tail + early
    response = response / response.norm(dim=1, keepdim=True)
    # Direct to reverberant ratio, -3 to 12 dB.
    response[:, :1] = 10 ** (uniform(batch, -3, 12, like) / 20)
    return response / response.norm(dim=1, keepdim=True)


def convolve(x, response):
    n = 1 << (x.shape[1] + response.shape[1] - 1).bit_length()
    return torch.fft.irfft(torch.fft.rfft(x, n) * torch.fft.rfft(response, n), n)[:, : x.shape[1]]


def colour(x):
    """A smooth random magnitude response, and for some a telephone's band limits."""
    batch, n = x.shape
    bins = n // 2 + 1
    knots = torch.randn(batch, 1, 12, device=x.device) * 4.0
    db = F.interpolate(knots, size=bins, mode="linear", align_corners=True)[:, 0]
    f = torch.arange(bins, device=x.device)[None] * (SAMPLE_RATE / n)
    inside = (f > uniform(batch, 20, 300, x)) & (f < uniform(batch, 3400, 8000, x))
    band = torch.where(chance(batch, 0.3, x), inside.float() + 1e-3, torch.ones_like(db))
    gain = torch.where(chance(batch, 0.6, x), 10 ** (db / 20) * band, torch.ones_like(db))
    return torch.fft.irfft(torch.fft.rfft(x) * gain, n)


def add_noise(x, recorded):
    """Adds recorded noise, babble of the same batch, or noise of a random slope, at 0 to 22 dB; a quarter stays."""
    batch, n = x.shape
    babble = sum(x[torch.randperm(batch, device=x.device)] for _ in range(3))
    slope = torch.rand(batch, 1, device=x.device)
    falling = torch.arange(1, n // 2 + 2, device=x.device)[None].float().pow(slope)
    sloped = torch.fft.irfft(torch.fft.rfft(torch.randn(batch, n, device=x.device)) / falling, n)
    kind = torch.rand(batch, 1, device=x.device)
    noise = torch.where(kind < 0.35, recorded, torch.where(kind < 0.55, babble, sloped))
    snr = uniform(batch, 0, 22, x)
    level = x.norm(dim=1, keepdim=True) / noise.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return torch.where(kind < 0.75, x + level * 10 ** (-snr / 20) * noise, x)


def augment(x, recorded):
    """[B, N] clean crops and [B, N] of recorded noise -> [B, N] at random level, clipped as a loud microphone clips."""
    batch = x.shape[0]
    x = torch.where(chance(batch, 0.45, x), convolve(x, room_responses(batch, x)), x)
    x = add_noise(colour(x), recorded)
    peak = x.abs().amax(1, keepdim=True).clamp(min=1e-6)
    return (x / peak * uniform(batch, 0.02, 1.6, x)).clamp(-1, 1)


def mask_features(features, times=2, max_frames=12, max_bands=9):
    """SpecAugment: short stretches of time and of bands set to the mean."""
    batch, frames, bands = features.shape
    for _ in range(times):
        for size, widest, axis in ((frames, max_frames, 1), (bands, max_bands, 2)):
            width = torch.randint(0, widest, (batch, 1), device=features.device)
            start = (torch.rand(batch, 1, device=features.device) * (size - width)).long()
            i = torch.arange(size, device=features.device)[None]
            features = features.masked_fill(((i >= start) & (i < start + width)).unsqueeze(3 - axis), 0.0)
    return features


def margin_loss(cosine, label, margin, scale):
    """Additive angular margin softmax (Deng et al., 2019)."""
    sine = torch.sqrt((1 - cosine * cosine).clamp(min=1e-6))
    shifted = cosine * math.cos(margin) - sine * math.sin(margin)
    # Beyond pi - margin the shifted cosine would rise again.
    fallback = cosine - math.sin(math.pi - margin) * margin
    shifted = torch.where(cosine > math.cos(math.pi - margin), shifted, fallback)
    one_hot = F.one_hot(label, cosine.shape[1]).to(cosine.dtype)
    return F.cross_entropy(scale * torch.where(one_hot > 0, shifted, cosine), label)
