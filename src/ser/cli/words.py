"""Exit statuses of all commands: some file failed, nothing could be done, stopped by Ctrl-C."""

SOME_FAILED, USER_ERROR, INTERRUPTED = 1, 2, 130
