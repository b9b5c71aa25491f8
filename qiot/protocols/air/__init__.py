"""Codecs of what is in the air: radiotap, IEEE 802.11, and the methods that hide their data in it."""
