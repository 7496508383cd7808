"""Where a version comes from: its record, and its reproduction."""
