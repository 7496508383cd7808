"""E-mail for Prefect's automations, which come with blocks for Slack and webhooks alone.

Prefect's server finds the block by the entry point `prefect.collections` of this package.
"""

from __future__ import annotations

from prefect.blocks.notifications import AbstractAppriseNotificationBlock
from pydantic import Field, SecretStr


class Mail(AbstractAppriseNotificationBlock):
    """Sends e-mail through an SMTP server, by Apprise."""

    _block_type_name = "SER Mail"
    _block_type_slug = "ser-mail"

    url: SecretStr = Field(
        description="Apprise's address, such as mailtos://user:password@smtp.example.org"
        "?from=ser@example.org&to=me@example.org"
    )

    def block_initialization(self) -> None:
        self._start_apprise_client(self.url)
