"""What all commands share: their exit statuses, and the project they work in."""

from __future__ import annotations

#: Exit statuses: every file answered, some file failed, nothing could be done.
SOME_FAILED, USER_ERROR = 1, 2
