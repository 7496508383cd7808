"""Changes of a waveform that rooms, channels and other sounds make. Pure.

Each is f(y, sr=…, …, rng=…) of float32 y (n_samples,) and gives as many samples. The level of y is
kept as it is, and nothing is clipped unless a function says so. Augmentation and the stress suite
share them, with parameters of their own.
"""
