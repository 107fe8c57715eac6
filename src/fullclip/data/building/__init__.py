"""From web pages to shards: the stages of WebImageText (CLIP, Radford et al. 2021, section 2.2), each a folder of parts.

A stage is a pure function over partitions of its input; an engine runs it in processes of this machine or on Ray, and what
comes out is the same. Knows nothing of models: an embedding function is passed in.
"""
