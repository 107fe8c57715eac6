"""The last stage: rows with pictures in, tar shards in a shuffled order and a card of the whole out."""
