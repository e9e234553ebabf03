"""Training data: clips cut from sound files, stems and their mixes."""
