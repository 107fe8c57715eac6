"""Visual n-grams (Li et al. 2017) beside CLIP, as in the paper's Table 1."""
