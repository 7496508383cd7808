import numpy as np
import torch

from ser.models.encoders.layer_stats import Stats, layer_stats, merged


def stats_of(x: np.ndarray) -> Stats:
    """x (n_layers, n_frames, dim)."""
    return Stats(x.mean(axis=1), x.std(axis=1), x.shape[1])


def test_parts_of_any_lengths_merge_to_what_the_whole_gives():
    rng = np.random.default_rng(0)
    whole = rng.normal(size=(3, 40, 5)) + np.linspace(-9, 9, 40)[:, None]
    parts = [stats_of(part) for part in np.split(whole, [3, 27, 28], axis=1)]
    expected = np.concatenate([whole.mean(axis=1), whole.std(axis=1)], axis=1)
    np.testing.assert_allclose(merged(parts), expected, rtol=1e-5)


def test_what_lies_behind_the_sound_does_not_count_whatever_it_is():
    rng = np.random.default_rng(0)
    states = [torch.from_numpy(rng.normal(size=(2, 9, 4))).float() for _ in range(3)]
    frames = torch.tensor([9, 4])
    for state in states:
        state[1, 4:] = torch.nan
    mean, deviation = layer_stats(states, frames)
    for layer, state in enumerate(states):
        for row, n in enumerate(frames.tolist()):
            sound = state[row, :n].numpy()
            np.testing.assert_allclose(mean[row, layer], sound.mean(axis=0), atol=1e-6)
            np.testing.assert_allclose(deviation[row, layer], sound.std(axis=0), atol=1e-6)


def test_a_single_frame_has_a_gradient():
    state = torch.ones(1, 1, 4, requires_grad=True)
    torch.cat(layer_stats([state], torch.tensor([1]))).sum().backward()
    assert torch.isfinite(state.grad).all()
