"""Everything outside the process: audio files, tables on disk, MLflow."""
