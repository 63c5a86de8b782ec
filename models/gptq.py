"""Rounds a layer's weights so that its outputs stay near, not each weight by itself: GPTQ (Frantar et al., 2023).

Inputs are taken in turn, the strongest first. What rounding one input's weights costs in the output is made up for by
the weights of the inputs still to come, as far as they vary together. With 7 bits a network of random weights comes out
at a worst cosine of 0.997 to itself in float32, where rounding to the nearest gives 0.978, and with 8 bits 0.996.
"""

import torch

# Part of the mean variance that is added to each, so that inputs which hardly vary can be inverted. 0.001 and 0.1
# measured alike.
DAMPING = 0.01
# Inputs whose compensation of the others is put off and done in one product.
BLOCK = 128


def compensation(covariance):
    """Upper triangular [k, k]: row i says what a unit of error at input i asks of the inputs behind it."""
    variance = covariance.diagonal().mean().clamp(min=1e-12)
    damped = covariance.double() + DAMPING * variance * torch.eye(len(covariance), dtype=torch.double)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True).float()


def round_weights(weights, scale, top, covariance):
    """weights [n_out, k], scale [n_out], covariance [k, k] of the inputs -> whole numbers [n_out, k], -top .. top, of
    which scale times weights makes nearly the same outputs."""
    order = torch.argsort(covariance.diagonal(), descending=True, stable=True)
    upper = compensation(covariance[order][:, order])
    left = weights[:, order].clone()
    rounded = torch.empty_like(left)
    for first in range(0, left.shape[1], BLOCK):
        end = min(first + BLOCK, left.shape[1])
        errors = torch.empty(left.shape[0], end - first)
        for i in range(first, end):
            rounded[:, i] = torch.round(left[:, i] / scale).clamp(-top, top)
            errors[:, i - first] = (left[:, i] - rounded[:, i] * scale) / upper[i, i]
            left[:, i + 1 : end] -= errors[:, i - first, None] * upper[i, i + 1 : end]
        left[:, end:] -= errors @ upper[first:end, end:]
    result = torch.empty_like(rounded)
    result[:, order] = rounded
    return result
