"""Sound to latents and back: the VQ-VAE of Jukebox, and the band codec of pocket."""
