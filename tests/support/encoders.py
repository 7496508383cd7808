"""Small speech encoders with random weights, made on the spot and saved as the hub's are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

SR = 16_000
SIZE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": (16, 16, 16),
    "conv_kernel": (10, 8, 4),
    "conv_stride": (5, 8, 8),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    # A random encoder must still hear: the default spread all but silences it.
    "initializer_range": 0.2,
}
#: Name -> (class, settings of its config).
RAW = {
    "wav2vec2-group": ("Wav2Vec2", {"feat_extract_norm": "group"}),
    "wav2vec2-layer": (
        "Wav2Vec2",
        {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True},
    ),
    "hubert-group": ("Hubert", {"feat_extract_norm": "group"}),
    "hubert-layer": ("Hubert", {"feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    "hubert-batch-norm": ("Hubert", {"feat_extract_norm": "layer", "conv_pos_batch_norm": True}),
    "wavlm-group": ("WavLM", {"feat_extract_norm": "group"}),
    "wavlm-layer": ("WavLM", {"feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    "data2vec": ("Data2VecAudio", {"conv_pos_kernel_size": 5, "num_conv_pos_embeddings": 3}),
    "sew": ("SEW", {"feat_extract_norm": "group", "squeeze_factor": 2}),
}
WHISPER = "whisper"
NAMES = (*RAW, WHISPER)


def save_encoder(folder: Path, name: str, *, seed: int = 0, normalise: bool = True) -> Path:
    """Write the encoder `name`, (n_layers, dim) = (3, 32); Whisper's windows last 2 s."""
    import transformers

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name == WHISPER:
            config = transformers.WhisperConfig(
                d_model=32,
                encoder_layers=2,
                encoder_attention_heads=2,
                encoder_ffn_dim=48,
                decoder_layers=1,
                decoder_attention_heads=2,
                decoder_ffn_dim=48,
                max_source_positions=100,
                vocab_size=60,
                pad_token_id=0,
                bos_token_id=1,
                eos_token_id=2,
                decoder_start_token_id=1,
                init_std=0.2,
            )
            model = transformers.WhisperModel(config)
            extractor = transformers.WhisperFeatureExtractor(chunk_length=2)
        else:
            kind, settings = RAW[name]
            config = getattr(transformers, f"{kind}Config")(**{**SIZE, **settings})
            model = getattr(transformers, f"{kind}Model")(config)
            extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise)
            for module in model.modules():
                if isinstance(module, torch.nn.BatchNorm1d):  # a trained one has seen speech
                    torch.nn.init.normal_(module.running_mean)
    transformers.utils.logging.disable_progress_bar()
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder


def waveform(seconds: float, *, seed: int = 0, pitch: float = 150.0) -> np.ndarray:
    """A buzz in noise: float32 (n_samples,) at SR."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * SR)) / SR
    return (0.3 * np.sin(2 * np.pi * pitch * t) + 0.1 * rng.normal(size=t.size)).astype(np.float32)
