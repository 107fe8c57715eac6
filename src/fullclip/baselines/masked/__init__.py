"""Masked patches (Dosovitskiy et al. 2021, section 4.6) beside contrast, probed."""
