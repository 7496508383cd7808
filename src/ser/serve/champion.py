"""Which model to serve: a bundle that was named, or whoever is champion, again and again.

The last good model goes on serving while the registry is away or a new champion cannot be loaded.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from ser.bundle import bundle_sha256
from ser.errors import DamagedVersion, NoChampion, SerError
from ser.serve.logs import event, log
from ser.serve.state import State
from ser.serve.workers.generation import Served
from ser.watch.look_file import read_look

#: Polls before a champion that could not be loaded is tried again.
PATIENCE = 12


def from_folder(bundle: Path) -> Served:
    """The model of a bundle's folder."""
    return Served(bundle, bundle_sha256(bundle))


def look(root: Path, serving: tuple[str, int | None]) -> Served | None:
    """The champion, fetched and checked; None where `serving`, hash and version, is it already.

    Raises RegistryError: NoChampion, DamagedVersion, or the registry is away.
    """
    from ser.io.tracking.registry.bundles import fetch_bundle
    from ser.io.tracking.registry.versions import resolve

    version = resolve(root, otherwise=", or name a bundle's folder with --model")
    if (version.bundle_sha256, version.version) == serving:
        return None
    bundle = fetch_bundle(root, version)
    return Served(bundle, version.bundle_sha256, version.version, dict(version.tags))


class Watch:
    """Polls the registry and swaps the model that serves."""

    def __init__(self, root: Path, state: State) -> None:
        self.root, self.state = root, state
        self._failed, self._since, self._told = "", 0, ""

    async def run(self) -> None:
        while True:
            await self.once()
            await asyncio.sleep(self.state.params.poll_seconds)

    async def once(self) -> None:
        """Look once; whatever goes wrong, what serves goes on."""
        served = self.state.served
        if served is not None:
            document = await asyncio.to_thread(read_look, self.root)
            self.state.metrics.looked(document, served.bundle_sha256)
        serving = (served.bundle_sha256, served.version) if served else ("", None)
        try:
            found = await asyncio.to_thread(look, self.root, serving)
        except NoChampion as error:
            self.state.metrics.registry_up.set(1)
            self._wait("No version is promoted yet.", error)
            return
        except DamagedVersion as error:
            self.state.metrics.registry_up.set(1)
            self.state.metrics.swaps.labels("failed").inc()
            self._wait("The champion's files are damaged.", error)
            return
        # Whatever the registry, or a library that speaks to it, fails with.
        except Exception as error:
            self.state.metrics.registry_up.set(0)
            self._wait("The registry is away.", error)
            return
        self.state.metrics.registry_up.set(1)
        if found is None:
            self._failed, self._told = "", ""
            return
        if found.bundle_sha256 == self._failed and self._since < PATIENCE:
            self._since += 1
            return
        try:
            await self.state.pool.serve(found)
        except SerError as error:
            self._failed, self._since = found.bundle_sha256, 0
            self.state.metrics.swaps.labels("failed").inc()
            self._wait("The champion cannot be loaded.", error)
            return
        self._failed, self._told = "", ""
        serves(self.state)

    def _wait(self, why: str, error: Exception) -> None:
        """Note why no other model is taken: for anybody `why`, for the log all of it, once."""
        self.state.waits_for, self.state.detail = why, str(error)
        if self._told == str(error):
            return
        self._told = str(error)
        no_fault = isinstance(error, NoChampion) and self.state.served is None
        own = isinstance(error, SerError)
        log.log(
            logging.INFO if no_fault else logging.ERROR,
            "model_not_taken",
            exc_info=None if own else error,
            extra={"fields": {"reason": str(error), "version": self.state.version}},
        )


def serves(state: State) -> None:
    """Record which model serves from now on."""
    served = state.served
    assert served is not None
    state.metrics.serves(served.version, served.bundle_sha256)
    state.metrics.swaps.labels("done").inc()
    event("model", version=served.version, bundle_sha256=served.bundle_sha256)
