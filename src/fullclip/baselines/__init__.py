"""What the paper compares CLIP with: other ways of learning from the same pairs, at a scale that a processor carries.

figure2/ scale/ ngrams/ masked/   one comparison each, by its command's name: what is learned and asked (comparison), its page
ways/      the four ways of Figure 2, of which the other comparisons take CLIP
learning/  what every comparison shares: settings, pairs, a way of learning, its loop, a question, a curve
results/   the folder of a comparison, its parts, how many images one curve saves against another
"""
