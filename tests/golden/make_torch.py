"""Make the goldens: what PyTorch says, kept as files, so that no test needs PyTorch.

``pip install torch==2.13.0 numpy`` in an environment of its own, then ``python tests/golden/make_torch.py``.

Weights are drawn here, with no zero among them, given to PyTorch in its layout (rows are gates, two biases) and kept in
saiki's (columns are gates, one bias where the gates do not keep their parts apart). PyTorch computes in float64.
"""

import itertools
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
B, T, F, H = 4, 6, 3, 5
LENGTHS = [4, 6, 1, 5]
CELLS = {
    "simple-tanh": (torch.nn.RNN, {"nonlinearity": "tanh"}, 1),
    "simple-relu": (torch.nn.RNN, {"nonlinearity": "relu"}, 1),
    "lstm": (torch.nn.LSTM, {}, 4),
    "gru": (torch.nn.GRU, {}, 3),
}


def draw(rng, *shape):
    """Draw numbers away from zero."""
    return rng.uniform(0.1, 0.7, shape) * rng.choice([-1.0, 1.0], shape)


def columns(weight):
    """Turn PyTorch's rows into columns."""
    return weight.detach().numpy().T.copy()


def to_saiki(of_suffix):
    """Return weights (or their gradients) turned round, and both biases; ``of_suffix(kind)`` gives PyTorch's."""
    values = {"Wx": columns(of_suffix("weight_ih")), "Wh": columns(of_suffix("weight_hh"))}
    input_bias, hidden_bias = of_suffix("bias_ih").detach().numpy(), of_suffix("bias_hh").detach().numpy()
    return values, input_bias, hidden_bias


def merge(name, values, input_bias, hidden_bias, gradients):
    """Make one bias of two, apart from the candidate of a GRU; their gradients are the same number twice."""
    if name == "gru":
        both = input_bias[: 2 * H] + (0 if gradients else hidden_bias[: 2 * H])
        return values | {"b": np.concatenate([both, input_bias[2 * H :]]), "bh": hidden_bias[2 * H :]}
    return values | {"b": input_bias + (0 if gradients else hidden_bias)}


def make_layer(name, bidirectional, ragged, seed):
    """Run one layer forward and backward and return every array by name."""
    rng = np.random.default_rng(seed)
    kind, options, n_gates = CELLS[name]
    layer = kind(F, H, batch_first=True, bidirectional=bidirectional, dtype=torch.float64, **options)
    ways = ["", "_reverse"] if bidirectional else [""]
    with torch.no_grad():
        for way in ways:
            for key, shape in (
                ("weight_ih", (n_gates * H, F)),
                ("weight_hh", (n_gates * H, H)),
                ("bias_ih", (n_gates * H,)),
                ("bias_hh", (n_gates * H,)),
            ):
                getattr(layer, f"{key}_l0{way}").copy_(torch.from_numpy(draw(rng, *shape)))
    n_states = 2 if name == "lstm" else 1
    x = torch.from_numpy(draw(rng, B, T, F)).requires_grad_()
    initial = [torch.from_numpy(draw(rng, len(ways), B, H)).requires_grad_() for _ in range(n_states)]
    state = tuple(initial) if n_states == 2 else initial[0]
    if ragged:
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
        packed_out, final = layer(packed, state)
        out, _ = torch.nn.utils.rnn.pad_packed_sequence(packed_out, batch_first=True, total_length=T)
    else:
        out, final = layer(x, state)
    final = list(final) if n_states == 2 else [final]
    dout = torch.from_numpy(draw(rng, *out.shape))
    dfinal = [torch.from_numpy(draw(rng, *f.shape)) for f in final]
    ((out * dout).sum() + sum((f * d).sum() for f, d in zip(final, dfinal, strict=True))).backward()

    arrays = {"X": x.detach().numpy(), "dX": x.grad.numpy(), "H": out.detach().numpy(), "dH": dout.numpy()}
    for i, (f, d, s) in enumerate(zip(final, dfinal, initial, strict=True)):
        for j in range(len(ways)):
            arrays[f"final.{j}.{i}"], arrays[f"dfinal.{j}.{i}"] = f[j].detach().numpy(), d[j].numpy()
            arrays[f"initial.{j}.{i}"], arrays[f"dinitial.{j}.{i}"] = s[j].detach().numpy(), s.grad[j].numpy()
    for j, way in enumerate(ways):
        prefix = ("forward/", "backward/")[j] if bidirectional else ""
        params = merge(name, *to_saiki(lambda key, way=way: getattr(layer, f"{key}_l0{way}")), False)
        grads = merge(name, *to_saiki(lambda key, way=way: getattr(layer, f"{key}_l0{way}").grad), True)
        arrays |= {f"params/{prefix}{k}": v for k, v in params.items()}
        arrays |= {f"grads/{prefix}{k}": v for k, v in grads.items()}
    return arrays


def make_optimizers():
    """Run ten updates of every optimizer on the same gradients."""
    rng = np.random.default_rng(99)
    start, gradients = draw(rng, 3, 2), draw(rng, 10, 3, 2)
    kinds = {
        "sgd": lambda p: torch.optim.SGD(p, 0.1),
        "momentum": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
        "nesterov": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
        "adagrad": lambda p: torch.optim.Adagrad(p, 0.1),
        "rmsprop": lambda p: torch.optim.RMSprop(p, 0.1),
        "adam": lambda p: torch.optim.Adam(p, 0.1),
        "adamw": lambda p: torch.optim.AdamW(p, 0.1),
    }
    arrays = {"start": start, "gradients": gradients}
    for name, make in kinds.items():
        param = torch.tensor(start, requires_grad=True)
        optimizer = make([param])
        path = []
        for gradient in gradients:
            param.grad = torch.from_numpy(gradient.copy())
            optimizer.step()
            path.append(param.detach().numpy().copy())
        arrays[name] = np.stack(path)
    return arrays


def make_losses():
    """Run every loss, with a weight for each target where PyTorch has one."""
    rng = np.random.default_rng(98)
    logits, numbers = draw(rng, 20, 4) * 5, draw(rng, 20, 4)
    classes, soft = rng.integers(4, size=20), rng.dirichlet(np.ones(4), 20)
    cases = {
        "squared_error": (lambda v: torch.nn.functional.mse_loss(v, torch.tensor(numbers)) / 2),
        "absolute_error": (lambda v: torch.nn.functional.l1_loss(v, torch.tensor(numbers))),
        "huber": (lambda v: torch.nn.functional.huber_loss(v, torch.tensor(numbers))),
        "logistic": (lambda v: torch.nn.functional.binary_cross_entropy_with_logits(v, torch.tensor(soft))),
        "cross_entropy": (lambda v: torch.nn.functional.cross_entropy(v, torch.tensor(classes))),
        "cross_entropy-soft": (lambda v: torch.nn.functional.cross_entropy(v, torch.tensor(soft))),
        "cross_entropy-smoothed": (
            lambda v: torch.nn.functional.cross_entropy(v, torch.tensor(classes), label_smoothing=0.1)
        ),
    }
    arrays = {"logits": logits, "numbers": numbers, "classes": classes, "soft": soft}
    for name, function in cases.items():
        v = torch.tensor(logits, requires_grad=True)
        value = function(v)
        value.backward()
        arrays |= {f"{name}/value": value.detach().numpy(), f"{name}/slope": v.grad.numpy()}
    return arrays


if __name__ == "__main__":
    cases = itertools.product(CELLS, (False, True), (False, True))
    for seed, (name, bidirectional, ragged) in enumerate(cases):
        parts = [name, *["both"] * bidirectional, *["ragged"] * ragged]
        np.savez_compressed(HERE / f"{'-'.join(parts)}.npz", **make_layer(name, bidirectional, ragged, seed))
    np.savez_compressed(HERE / "optimizers.npz", **make_optimizers())
    np.savez_compressed(HERE / "losses.npz", **make_losses())
    print(f"made with PyTorch {torch.__version__}, NumPy {np.__version__}")
