"""How weights are moved, averaged, held still, and kept from gradients that are no numbers."""
