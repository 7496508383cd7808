"""Loading speech encoders of the Hugging Face hub, from this machine's cache or a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ser.errors import EncoderError
from ser.models.encoders.encoder import SpeechEncoder
from ser.models.encoders.files import (
    CONFIG,
    PICKLED,
    SAFE,
    encoder_folder,
    folder_sha256,
    missing,
    quiet,
    weight_files,
)
from ser.models.encoders.reference import EncoderReference

#: Weights that a checkpoint may lack: those that nothing here uses.
UNUSED = ("masked_spec_embed", "decoder.")


def load_encoder(
    name: str, *, download: bool = False, revision: str | None = None, device: str | None = None
) -> SpeechEncoder:
    """The encoder that `name` names: a folder, or a name on the hub.

    device : None: a GPU where there is one.

    Nothing is fetched unless `download`, and no code of the hub's ever runs: weights are
    safetensors, or a torch file of which tensors alone are read. Raises EncoderError.
    """
    folder = encoder_folder(name, download=download, revision=revision)
    if not (folder / CONFIG).is_file():
        raise EncoderError(
            f"{folder} is no encoder: it has no {CONFIG}. Name a folder that save_pretrained wrote."
        )
    sha256 = folder_sha256(folder)
    model, extractor = _loaded(name, folder)
    config = model.config
    raw = extractor.model_input_names[0] == "input_values" and hasattr(config, "conv_kernel")
    if not (raw or config.model_type == "whisper"):
        raise EncoderError(
            f"The encoder {name!r} is a {config.model_type}, which does not take waveforms as "
            "wav2vec 2.0, HuBERT, WavLM, data2vec or Whisper do. Name one of these."
        )
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return SpeechEncoder(
        reference=EncoderReference(name, revision, sha256, int(extractor.sampling_rate)),
        model=model.to(device).eval().requires_grad_(False),
        extractor=extractor,
        n_layers=int(config.num_hidden_layers) + 1,
        dim=int(config.hidden_size),
    )


def load_referenced(reference: EncoderReference) -> SpeechEncoder:
    """The encoder of `reference`, from this machine; raises EncoderError where it is not here."""
    return checked(load_encoder(reference.name, revision=reference.revision), reference)


def checked(encoder: SpeechEncoder, reference: EncoderReference) -> SpeechEncoder:
    """The encoder, if it is the one of `reference`; raises EncoderError on another one."""
    found = encoder.reference
    if found.sha256 != reference.sha256:
        raise EncoderError(
            f"The encoder {found.name!r} has SHA-256 {found.sha256[:12]}…, but the model was "
            f"trained on {reference.sha256[:12]}… ({reference.name}). Fetch that one, or train "
            "again."
        )
    return encoder


def _loaded(name: str, folder: Path) -> tuple[Any, Any]:
    """The model, or its encoder where it has a decoder, and its feature extractor."""
    try:
        from transformers import AutoFeatureExtractor, AutoModel
    except ImportError as error:
        raise missing("transformers") from error
    safe = weight_files(folder)[0].match(SAFE)
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            extractor = AutoFeatureExtractor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            model, report = AutoModel.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=safe,
                weights_only=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as error:
        # A foreign folder makes transformers raise nearly anything.
        first = str(error).strip().splitlines() or [""]
        kind = "" if safe else f" ({PICKLED} may hold tensors alone: save it as safetensors)"
        raise EncoderError(
            f"The encoder {name!r} cannot be loaded{kind}: {type(error).__name__}: {first[0]}"
        ) from error
    lacking = [key for key in report["missing_keys"] if not key.startswith(UNUSED)]
    if lacking:
        raise EncoderError(
            f"The encoder {name!r} lacks {len(lacking)} of its weights, {sorted(lacking)[0]} for "
            "one; random ones would be of no use. Fetch the encoder again."
        )
    return (model.get_encoder() if model.config.model_type == "whisper" else model), extractor
