"""Every error a user can meet, one line each: what was found, what was expected, what to do.

SerError
├── ParamsError          params.yaml is missing, malformed or holds an unknown key
├── CorpusError
│   ├── UnknownCorpus    no adapter has this name
│   ├── MissingCorpus    the corpus is not in data/raw
│   └── UnknownEmotion   a label code that the corpus does not define
├── FetchError           a download failed, or its bytes are not those promised
├── AudioError
│   ├── EmptyAudio       no samples
│   ├── CorruptAudio     bytes that are not the audio they claim to be
│   ├── RefusedAudio     more bytes, seconds, channels or samples a second than are read
│   │   └── TooLongAudio more seconds than one utterance lasts
│   ├── CancellingAudio  channels of which nothing is left when they are mixed
│   ├── MissingDecoder   the format needs a package that is not installed
│   └── ChangedAudio     bytes differ from those the manifest recorded
├── TableError           a manifest, folds or predictions table breaks its contract
├── DamagedFeatures      stored features whose bytes are not those that were recorded
├── DamagedCache         DVC's cache holds other bytes than it says
├── LeakageError         a speaker or recording stands in two splits
├── BundleError          a model directory that cannot be read, or must not be
├── EncoderError         a speech encoder that is not here, not known or not to be trusted
├── RegistryError
│   └── NoChampion       nothing has been promoted yet
└── StageError           a pipeline stage failed
"""


class SerError(Exception):
    """Base of all errors whose message is written for the user."""


class ParamsError(SerError):
    pass


class CorpusError(SerError):
    pass


class UnknownCorpus(CorpusError):
    pass


class MissingCorpus(CorpusError):
    pass


class UnknownEmotion(CorpusError):
    pass


class FetchError(SerError):
    pass


class AudioError(SerError):
    pass


class EmptyAudio(AudioError):
    pass


class CorruptAudio(AudioError):
    pass


class RefusedAudio(AudioError):
    pass


class TooLongAudio(RefusedAudio):
    pass


class CancellingAudio(AudioError):
    pass


class MissingDecoder(AudioError):
    pass


class ChangedAudio(AudioError):
    pass


class TableError(SerError):
    pass


class DamagedFeatures(SerError):
    pass


class DamagedCache(SerError):
    pass


class LeakageError(SerError):
    pass


class BundleError(SerError):
    pass


class EncoderError(SerError):
    pass


class RegistryError(SerError):
    pass


class NoChampion(RegistryError):
    pass


class StageError(SerError):
    pass
