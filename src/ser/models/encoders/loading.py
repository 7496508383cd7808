"""Speech encoders of the Hugging Face hub: found in a folder or in this machine's cache, loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ser.errors import EncoderError
from ser.models.encoders.encoder import SpeechEncoder
from ser.models.encoders.reference import EncoderReference
from ser.project import in_project

INSTALL = "Run `pip install 'ser-platform[pretrained]'`"
CONFIG = "config.json"
#: What determines an encoder's output beside its weights; one of the latter two is there.
SETTINGS = (CONFIG, "preprocessor_config.json", "processor_config.json")
SAFE, PICKLED = "model*.safetensors", "pytorch_model*.bin"
#: Of weights in several files.
INDICES = "*.index.json"
#: Weights that a checkpoint may lack: nothing here uses them.
UNUSED = ("masked_spec_embed", "decoder.")


def load_encoder(
    name: str, *, download: bool = False, revision: str | None = None
) -> SpeechEncoder:
    """The encoder that `name` names, a folder or a name on the hub; on a GPU where there is one.

    Nothing is fetched unless `download`, and no code of the hub's ever runs: weights are
    safetensors, or a torch file of which tensors alone are read. Raises EncoderError.
    """
    folder = encoder_folder(name, download=download, revision=revision)
    if not (folder / CONFIG).is_file():
        raise EncoderError(
            f"{folder} is no encoder: it has no {CONFIG}. Name a folder that save_pretrained wrote."
        )
    sha256 = _sha256(folder)
    model, extractor = _loaded(name, folder)
    config = model.config
    raw = extractor.model_input_names[0] == "input_values" and hasattr(config, "conv_kernel")
    if not (raw or config.model_type == "whisper"):
        raise EncoderError(
            f"The encoder {name!r} is a {config.model_type}, which does not take waveforms as "
            "wav2vec 2.0, HuBERT, WavLM, data2vec or Whisper do. Name one of these."
        )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return SpeechEncoder(
        reference=EncoderReference(name, revision, sha256, int(extractor.sampling_rate)),
        model=model.to(device).eval().requires_grad_(False),
        extractor=extractor,
        n_layers=int(config.num_hidden_layers) + 1,
        dim=int(config.hidden_size),
    )


def load_referenced(reference: EncoderReference) -> SpeechEncoder:
    """The encoder of `reference`, from this machine.

    Raises EncoderError where it is not here, or other files have its name.
    """
    encoder = load_encoder(reference.name, revision=reference.revision)
    found = encoder.reference.sha256
    if found != reference.sha256:
        raise EncoderError(
            f"The encoder {reference.name!r} has SHA-256 {found[:12]}…, but the model was trained "
            f"on {reference.sha256[:12]}…. Fetch that one, or train again."
        )
    return encoder


def _loaded(name: str, folder: Path) -> tuple[Any, Any]:
    """The model, or its encoder where it has a decoder, and its feature extractor."""
    try:
        from transformers import AutoFeatureExtractor, AutoModel
    except ImportError as error:
        raise missing("transformers") from error
    safe = _weight_files(folder)[0].match(SAFE)
    try:
        with _quiet(), torch.random.fork_rng(devices=[]):
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


def encoder_folder(name: str, *, download: bool = False, revision: str | None = None) -> Path:
    """The folder of an encoder's files.

    name : a folder (a relative one starts at the project's root), or the encoder's name on the
    hub, which this machine's cache then holds.
    download : ask the hub for what the cache lacks. revision : a commit or branch of the hub's.
    Raises EncoderError.
    """
    if in_project(name).is_dir():
        return in_project(name)
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise missing("huggingface-hub") from error

    def snapshot(*patterns: str) -> Path:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=list(patterns),
                local_files_only=not download,
            )
        )

    try:
        folder = snapshot(*SETTINGS, SAFE, INDICES)
        if not any(folder.glob(SAFE)):
            folder = snapshot(*SETTINGS, PICKLED, INDICES)
    except Exception as error:
        # The hub's client raises errors of several trees, and of the network's.
        way = (
            f"the hub did not give it ({type(error).__name__}); check the name and the network"
            if download
            else "name a folder that holds its files, or set machine.download: true once"
        )
        raise EncoderError(f"The encoder {name!r} is not on this machine: {way}.") from error
    return folder


def _weight_files(folder: Path) -> tuple[Path, ...]:
    """The files of the weights: safetensors where there are any; raises EncoderError."""
    for pattern in (SAFE, PICKLED):
        if files := sorted(folder.glob(pattern)):
            return tuple(files)
    raise EncoderError(
        f"{folder} holds no weights; expected model.safetensors. Fetch the encoder again."
    )


def _sha256(folder: Path) -> str:
    """Hash over all files that an encoder's output depends on."""
    digest = hashlib.sha256()
    settings = [folder / name for name in SETTINGS if (folder / name).is_file()]
    for path in (*settings, *_weight_files(folder)):
        with path.open("rb") as file:
            digest.update(path.name.encode() + b"\0")
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def missing(package: str) -> EncoderError:
    return EncoderError(f"Speech encoders need {package}, which is not installed. {INSTALL}.")


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers without its announcements and bars; its settings are put back after."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
