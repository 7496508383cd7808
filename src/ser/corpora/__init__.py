"""What is known of each corpus: file names to rows, licence, citation; never samples."""
