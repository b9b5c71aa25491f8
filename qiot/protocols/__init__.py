"""Codecs: one per wire, device side and phone side, without I/O, clock or log."""
