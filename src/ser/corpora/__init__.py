"""What is known of each corpus: file names to rows, licence, citation. Names only, never samples."""
