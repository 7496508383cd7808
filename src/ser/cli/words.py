"""What all commands share: their exit statuses, and the project they work in."""

from __future__ import annotations

#: Exit statuses: some file failed, nothing could be done, stopped by Ctrl-C.
SOME_FAILED, USER_ERROR, INTERRUPTED = 1, 2, 130
