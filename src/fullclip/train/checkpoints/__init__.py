"""What of a run is kept, where, and when it is whole."""
