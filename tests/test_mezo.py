"""MeZO on the memory: its two-point estimate on a quadratic, and its steps by a plain program."""

from itertools import islice, pairwise

import pytest
import torch
from tiny_models import VOCABULARY, tiny

from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.memory import Memory
from deepthink.engine.refinements import mezo
from deepthink.engine.refinements._left_out import left_out_loss

IDS = [(7 * i * i + 3 * i + 5) % VOCABULARY for i in range(23)]
SPANS = (range(1, 8), range(8, 15), range(15, 23))
ANSWERS = (range(6, 8), range(14, 15), range(20, 23))


def shown(name: str = "llama", seed: int = 0) -> Demonstrations:
    return Demonstrations(tiny(name), IDS, SPANS, ANSWERS, seed)


def drawn(seed: int, layers: int = 2) -> Memory:
    generator = torch.Generator().manual_seed(seed)
    zeros = tuple(torch.zeros(2, 5, 3, dtype=torch.float64) for _ in range(layers))
    return mezo.noise(Memory(zeros, zeros, 1), generator)


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 10.0])
def test_the_two_point_estimate_is_exact_on_a_quadratic(epsilon: float) -> None:
    """ℓ(θ) = Σ c θ² + b θ has the derivative Σ (2cθ + b) z along z, whatever ε is."""
    theta, z, c, b = (drawn(seed) for seed in range(4))

    def loss(memory: Memory) -> torch.Tensor:
        parts = zip(c.tensors, b.tensors, memory.tensors, strict=True)
        return torch.stack([(p * x * x + q * x).sum() for p, q, x in parts]).sum()

    parts = zip(c.tensors, b.tensors, theta.tensors, z.tensors, strict=True)
    expected = sum(((2 * p * x + q) * y).sum().item() for p, q, x, y in parts)
    assert mezo.slope_along(loss, theta, z, epsilon) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_small_estimate_is_the_gradient_along_z(name: str) -> None:
    demonstrations = shown(name)
    loss, memory = left_out_loss(demonstrations, "it"), demonstrations.read()
    z = mezo.noise(memory, torch.Generator().manual_seed(0))
    leaves = memory.leaves()
    gradient = leaves.gradient(loss(leaves))
    along = sum((g * d).sum().item() for g, d in zip(gradient.tensors, z.tensors, strict=True))
    assert mezo.slope_along(loss, memory, z, 1e-3) == pytest.approx(along, rel=1e-3)


def test_three_steps_are_those_of_a_plain_program() -> None:
    """One flat vector of numbers, the noise drawn anew from a seed for each use, as MeZO does."""
    demonstrations = shown(seed=4)
    loss = left_out_loss(demonstrations, "it")
    memories = list(islice(mezo.refine(demonstrations, learning_rate=0.02, epsilon=0.05), 4))
    theta = [tensor.clone() for tensor in memories[0].tensors]
    layers = len(memories[0].keys)
    generator = torch.Generator().manual_seed(4)

    def moved(by: float) -> None:
        again = torch.Generator()
        again.set_state(state)
        for tensor in theta:
            noise = torch.randn(tensor.shape, generator=again, dtype=torch.float64)
            tensor += by * noise
        generator.set_state(again.get_state())

    def now() -> float:
        return loss(Memory(tuple(theta[:layers]), tuple(theta[layers:]), 1)).item()

    for memory in memories[1:]:
        state = generator.get_state()
        moved(0.05)
        ahead = now()
        moved(-0.1)
        behind = now()
        moved(0.05)
        moved(-0.02 * (ahead - behind) / 0.1)
        for ours, theirs in zip(memory.tensors, theta, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_a_step_costs_two_forwards_of_the_loss() -> None:
    demonstrations = shown()
    steps, counted = mezo.refine(demonstrations), []
    for _ in range(3):
        next(steps)
        counted.append(demonstrations.operations)
    left_out_loss(demonstrations, "it")(demonstrations.read())
    reading = counted[0]
    one = demonstrations.operations - counted[2] - reading
    assert [b - a for a, b in pairwise(counted)] == [2 * one, 2 * one]


def test_the_noise_is_normal_and_another_at_each_step() -> None:
    generator = torch.Generator().manual_seed(0)
    zeros = (torch.zeros(4, 50, 50),)
    first, second = (mezo.noise(Memory(zeros, zeros, 1), generator) for _ in range(2))
    numbers = torch.cat([tensor.flatten() for tensor in (*first.tensors, *second.tensors)])
    assert numbers.mean().item() == pytest.approx(0, abs=0.02)
    assert numbers.std().item() == pytest.approx(1, abs=0.02)
    assert len({tensor.sum().item() for tensor in (*first.tensors, *second.tensors)}) == 4
