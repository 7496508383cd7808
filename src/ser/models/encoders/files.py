"""A speech encoder's files on this machine: where they lie, what they are, and a hash of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ser.errors import EncoderError
from ser.project import in_project

INSTALL = "Run `pip install 'ser-platform[pretrained]'`"
CONFIG = "config.json"
#: What determines an encoder's output beside its weights; one of the latter two is there.
SETTINGS = (CONFIG, "preprocessor_config.json", "processor_config.json")
SAFE, PICKLED = "model*.safetensors", "pytorch_model*.bin"
#: Of weights in several files.
INDICES = "*.index.json"


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


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files of the weights: safetensors where there are any; raises EncoderError."""
    for pattern in (SAFE, PICKLED):
        if files := sorted(folder.glob(pattern)):
            return tuple(files)
    raise EncoderError(
        f"{folder} holds no weights; expected model.safetensors. Fetch the encoder again."
    )


def folder_sha256(folder: Path) -> str:
    """Hash over all files that an encoder's output depends on."""
    digest = hashlib.sha256()
    settings = [folder / name for name in SETTINGS if (folder / name).is_file()]
    for path in (*settings, *weight_files(folder)):
        with path.open("rb") as file:
            digest.update(path.name.encode() + b"\0")
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def missing(package: str) -> EncoderError:
    return EncoderError(f"Speech encoders need {package}, which is not installed. {INSTALL}.")


@contextmanager
def quiet() -> Iterator[None]:
    """transformers without its announcements and bars; its settings are put back after."""
    try:
        from transformers.utils import logging
    except ImportError as error:
        raise missing("transformers") from error
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
