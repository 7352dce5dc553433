"""The denoiser run by another library than torch on a CPU: a model folder's export in, the call of `denoise` out."""
