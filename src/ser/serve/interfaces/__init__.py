"""What clients speak: REST, WebSocket, and who may."""
