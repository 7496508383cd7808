"""Speech emotion recognition: recordings in, a trusted, traceable, promoted model out.

>>> import ser
>>> ser.load("models/bundle").predict("clip.wav").emotion  # doctest: +SKIP
'happiness'
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ser.api import Model as Model
    from ser.api import load as load

__version__ = "0.1.0"
__all__ = ["Model", "__version__", "load"]


def __getattr__(name: str) -> Any:
    # Imported when they are asked for: `import ser` alone costs nothing.
    if name in ("Model", "load"):
        from ser import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
