"""Any list of words as a classifier."""
