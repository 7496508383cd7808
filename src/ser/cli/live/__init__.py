"""Commands that go on until Ctrl-C: the server, and live speech in the terminal."""
