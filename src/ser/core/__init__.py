"""Pure: arrays and tables in, arrays and tables out. No files, clock, environment or network."""
