"""Zero-shot accuracy by images processed, of four ways of learning (CLIP paper, section 2.3 and Figure 2)."""
