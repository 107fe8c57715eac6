"""Which training pictures are (nearly) a set's own (paper, section 5 and appendix C): described, searched, aligned, told."""
