"""The networks: U-Nets, the joint denoiser with its echoes, anchor and detail, the finishers."""
