"""Bytes and strings -> tensors, exactly as the models were trained to see them."""
