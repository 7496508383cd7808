"""The promoted model behind HTTP and WebSocket: `ser serve`."""
