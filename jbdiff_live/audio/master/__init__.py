"""What measures the output: filters, true peaks, loudness. No thread, no device."""
