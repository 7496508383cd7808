"""MLflow: its store, runs, versions and their lineage."""

from ser.io.web.quiet import set_quiet

# MLflow reads this when it is imported, and only modules of this room import it.
set_quiet()
