"""What staff's scripts ask of us, in JSON."""
