"""What knows nothing of CLIP: the nouns, settings, storage, logs and processes that every other room stands on."""
