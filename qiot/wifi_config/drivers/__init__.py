"""Drivers know media and no protocol: they feed a codec and carry out what it says."""
