"""The generations of the read store: filled beside each other, and one of them live."""
