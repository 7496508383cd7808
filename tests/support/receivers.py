"""Servers on this machine that keep what they are sent: a web, a mail server, and Slack's."""

from __future__ import annotations

import json
import socketserver
import ssl
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SLACK = "hooks.slack.com"


def web_server(posted: list[dict[str, str]]) -> HTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return HTTPServer(("127.0.0.1", 0), Handler)


def mail_server(mails: list[str]) -> socketserver.ThreadingTCPServer:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            for line in self.rfile:
                word = line.split()[0].upper() if line.split() else b""
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    body = iter(lambda: self.rfile.readline(), b".\r\n")
                    mails.append(b"".join(body).decode())
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")

    return socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)


def slack(posted: list[tuple[str, Any]], folder: Path) -> tuple[HTTPServer, Path]:
    """Slack's host behind a proxy of this machine: (path, JSON) of each message; its certificate.

    Slack is reached by https alone. Who trusts the certificate and takes this server for a proxy
    (HTTPS_PROXY) speaks TLS with it as with Slack.
    """
    certificate, context = folder / "slack.pem", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _write_certificate(SLACK, certificate)
    context.load_cert_chain(certificate)

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            if self.path != f"{SLACK}:443":
                self.send_error(403)
                return
            self.send_response(200)
            self.end_headers()
            self.connection = context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = (self.connection.makefile(m, 0) for m in ("rb", "wb"))
            # The next request of this connection is for Slack.
            self.close_connection = False

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.path, json.loads(content)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def finish(self) -> None:
            super().finish()
            self.connection.close()

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler), certificate


def _write_certificate(host: str, path: Path) -> None:
    """A self-signed certificate of the host, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
