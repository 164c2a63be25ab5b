"""Every loss of the catalogue as its formula in plain Python, one sample at a time: slow, and easy to hold against a
paper. Nothing here is shared with the catalogue."""

from __future__ import annotations

import math

import torch
from scipy.optimize import brentq


def softmax(z):
    shares = [math.exp(value - max(z)) for value in z]
    return [share / sum(shares) for share in shares]


def p_of(z, y):
    return softmax(z)[y]


def entropy(p):
    return -sum(share * math.log(share) for share in p if share > 0)


def one_hot(y, num_classes):
    return [float(k == y) for k in range(num_classes)]


def ce(z, y):
    return math.log(sum(math.exp(value - max(z)) for value in z)) + max(z) - z[y]


def margins(z, y):
    return [z[k] - z[y] for k in range(len(z)) if k != y]


def signed(z, y):
    return [(1 if k == y else -1) * z[k] for k in range(len(z))]


def squares(a, b):
    return sum((u - v) ** 2 for u, v in zip(a, b, strict=True))


def label_smoothing(z, y, eps):
    t = [(1 - eps) * hot + eps / len(z) for hot in one_hot(y, len(z))]
    return -sum(share * math.log(p) for share, p in zip(t, softmax(z), strict=True))


def logit_norm(z, y, tau):
    length = math.sqrt(sum(value**2 for value in z)) + 1e-7
    return ce([value / (tau * length) for value in z], y)


def keras_kl(z, y):
    t = [min(max(value, 1e-7), 1.0) for value in one_hot(y, len(z))]
    p = [min(max(value, 1e-7), 1.0) for value in softmax(z)]
    return sum(a * math.log(a / b) for a, b in zip(t, p, strict=True))


def tanimoto(z, y):
    p, t = softmax(z), one_hot(y, len(z))
    inner = sum(a * b for a, b in zip(p, t, strict=True))
    return 1 - inner / (sum(a * a for a in p) + sum(b * b for b in t) - inner)


def exponential(z, y):
    # 1/p - 1 up to 10 nats of cross-entropy, its tangent in them beyond.
    nats = ce(z, y)
    if nats <= 10:
        return sum(math.exp(value) for value in margins(z, y))
    return math.exp(10) - 1 + math.exp(10) * (nats - 10)


def arcface(z, y, s, m):
    turned = list(z)
    if m > 0 and z[y] > -math.cos(m):
        sin = math.sqrt(max(1 - min(max(z[y], -1), 1) ** 2, 1e-6))
        turned[y] = z[y] * math.cos(m) - sin * math.sin(m)
    elif m > 0:
        turned[y] = z[y] - m * math.sin(m)
    return ce([s * value for value in turned], y)


def without(z, y, amount):
    return [value - (amount if k == y else 0) for k, value in enumerate(z)]


def js(z, y, pi):
    p, t = softmax(z), one_hot(y, len(z))
    mixture = [pi * a + (1 - pi) * b for a, b in zip(t, p, strict=True)]
    return (entropy(mixture) - pi * entropy(t) - (1 - pi) * entropy(p)) / -((1 - pi) * math.log(1 - pi))


def phuber_ce(z, y, tau):
    p = p_of(z, y)
    return -math.log(p) if p > 1 / tau else 1 + math.log(tau) - tau * p


def spherical(z, y, alpha):
    p = softmax(z)
    return 1 - (p[y] / sum(share**alpha for share in p) ** (1 / alpha)) ** (alpha - 1)


def tsallis_score(z, y, beta):
    p = softmax(z)
    return sum(share ** (1 + beta) for share in p) - (1 + 1 / beta) * p[y] ** beta + 1 / beta


def log_t(x, t):
    return math.log(x) if t == 1 else (x ** (1 - t) - 1) / (1 - t)


def exp_t(x, t):
    return math.exp(x) if t == 1 else max(0.0, 1 + (1 - t) * x) ** (1 / (1 - t))


def bi_tempered(z, y, t1, t2):
    # q = exp_t2(z - lambda), where lambda lies between the largest logit and where that class alone has all.
    far = max(z) + (len(z) if t2 == 1 else (len(z) ** (t2 - 1) - 1) / (t2 - 1)) + 1
    threshold = brentq(lambda at: sum(exp_t(value - at, t2) for value in z) - 1, max(z), far, xtol=1e-14)
    q, t = [exp_t(value - threshold, t2) for value in z], one_hot(y, len(z))
    total = 0.0
    for a, b in zip(t, q, strict=True):
        total += a * (log_t(a, t1) - log_t(b, t1)) if a else 0.0
        total -= (a ** (2 - t1) - b ** (2 - t1)) / (2 - t1)
    return total


def entmax(z, y, alpha):
    c = alpha - 1

    def shares(at):
        return [max(0.0, c * value - at) ** (1 / c) for value in z]

    top = c * max(z)
    q = shares(brentq(lambda at: sum(shares(at)) - 1, top - 1 - 1e-9, top, xtol=1e-14))
    fit = sum((a - b) * value for a, b, value in zip(q, one_hot(y, len(z)), z, strict=True))
    return fit + (1 - sum(share**alpha for share in q)) / (alpha * c)


def fdiv_fy(z, y, alpha, counts):
    r = [count / sum(counts) for count in counts]
    if abs(alpha - 1) < 1e-12:
        return ce([value + math.log(share) for value, share in zip(z, r, strict=True)], y)
    c = alpha - 1

    def shares(at):
        # p_k = r_k f'^-1(z_k - at) with f'(u) = (u^c - 1)/c
        bases = [1 + c * (value - at) for value in z]
        return [share * base ** (1 / c) if base > 0 else 0.0 for share, base in zip(r, bases, strict=True)]

    low = max(z) + (0 if c > 0 else 1 / c) - (min(r) ** -c / c if c > 0 else 0)
    low = low - 1 if c > 0 else low + 1e-9
    p = shares(brentq(lambda at: sum(shares(at)) - 1, low, max(z) + 1e-9, xtol=1e-15, rtol=1e-15))

    def divergence(q):
        def f(u):
            return (u**alpha - alpha * u + alpha - 1) / (alpha * c)

        return sum(share * f(a / share) for a, share in zip(q, r, strict=True))

    t = one_hot(y, len(z))
    return sum((a - b) * value for a, b, value in zip(p, t, z, strict=True)) - divergence(p) + divergence(t)


def class_weight(counts, y, beta):
    weights = [(1 - beta) / (1 - beta**count) for count in counts]
    return weights[y] * len(counts) / sum(weights)


def ldam(z, y, max_m, s, counts):
    rarest = min(counts) ** -0.25
    return ce([s * value for value in without(z, y, max_m * counts[y] ** -0.25 / rarest)], y)


FORMULAS = {
    "absolute": lambda z, y: sum(abs(a - b) for a, b in zip(z, one_hot(y, len(z)), strict=True)),
    "agce": lambda z, y, a, q: ((a + 1) ** q - (a + p_of(z, y)) ** q) / q,
    "apl": lambda z, y, alpha, beta: alpha * ce(z, y) / sum(ce(z, k) for k in range(len(z))) + beta * (1 - p_of(z, y)),
    "arcface": arcface,
    "bi_tempered": bi_tempered,
    "brier": lambda z, y: squares(softmax(z), one_hot(y, len(z))),
    "class_balanced": lambda z, y, beta, counts: class_weight(counts, y, beta) * ce(z, y),
    "confidence_penalty": lambda z, y, b: ce(z, y) - b * entropy(softmax(z)),
    "cosface": lambda z, y, s, m: ce([s * value for value in without(z, y, m)], y),
    "cosine_softmax": lambda z, y, s: ce([s * value for value in z], y),
    "cross_entropy": ce,
    "crammer_singer": lambda z, y, margin: max(0.0, margin + max(margins(z, y))),
    "dropout": lambda z, y, rate: ce(z, y),
    "entmax": entmax,
    "exponential": exponential,
    "fdiv_fy": fdiv_fy,
    "final_layer_l2": lambda z, y, lam: ce(z, y),
    "focal": lambda z, y, gamma: (1 - p_of(z, y)) ** gamma * ce(z, y),
    "gce": lambda z, y, q: (1 - p_of(z, y) ** q) / q if q else ce(z, y),
    "js": js,
    "keras_kl_divergence": keras_kl,
    "kl_divergence": ce,
    "label_smoothing": label_smoothing,
    "ldam": ldam,
    "log_cosh": lambda z, y: sum(
        math.log(math.cosh(p - t)) for p, t in zip(softmax(z), one_hot(y, len(z)), strict=True)
    ),
    "logit_adjusted": lambda z, y, tau, counts: ce(
        [value + tau * math.log(count / sum(counts)) for value, count in zip(z, counts, strict=True)], y
    ),
    "logit_norm": logit_norm,
    "logit_penalty": lambda z, y, b: ce(z, y) + b / 2 * sum(value**2 for value in z),
    "mae": lambda z, y: sum(abs(p - t) for p, t in zip(softmax(z), one_hot(y, len(z)), strict=True)) / 2,
    "maxsup": lambda z, y, a: ce(z, y) + a * (max(z) - sum(z) / len(z)),
    "nce": lambda z, y: ce(z, y) / sum(ce(z, k) for k in range(len(z))),
    "ovr_hinge": lambda z, y, power: sum(max(0.0, 1 - value) ** power for value in signed(z, y)),
    "phuber_ce": phuber_ce,
    "poly1": lambda z, y, eps: ce(z, y) + eps * (1 - p_of(z, y)),
    # The reverse cross-entropy as published: -sum_k p_k log t_k, with log 0 = -4.
    "sce": lambda z, y, alpha, beta: alpha * ce(z, y) + beta * sum(4 * p for k, p in enumerate(softmax(z)) if k != y),
    "sigmoid_bce": lambda z, y: sum(math.log1p(math.exp(-abs(v))) + max(-v, 0.0) for v in signed(z, y)),
    "spherical": spherical,
    "square": lambda z, y, k, M: (k * (z[y] - M) ** 2 + sum(v**2 for j, v in enumerate(z) if j != y)) / len(z),
    "squared_log": lambda z, y: ce(z, y) ** 2,
    "squentropy": lambda z, y: ce(z, y) + sum(v**2 for j, v in enumerate(z) if j != y) / (len(z) - 1),
    "tanimoto": tanimoto,
    "taylor_ce": lambda z, y, order: sum((1 - p_of(z, y)) ** i / i for i in range(1, order + 1)),
    "tsallis_score": tsallis_score,
    "weston_watkins": lambda z, y, margin, power: sum(max(0.0, margin + v) ** power for v in margins(z, y)),
    "z_loss": lambda z, y, lam: ce(z, y) + lam * (ce(z, y) + z[y]) ** 2,
}


def oracle(name):
    """Return the loss of that name with the signature of the catalogue's functions."""

    def function(logits_NC, target_N, counts_C=None, **hyperparameters):
        counts = {} if counts_C is None else {"counts": counts_C.tolist()}
        rows = zip(logits_NC.tolist(), target_N.tolist(), strict=True)
        values = [FORMULAS[name](z, y, **hyperparameters, **counts) for z, y in rows]
        return torch.tensor(values, dtype=torch.float64)

    return function
