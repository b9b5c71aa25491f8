"""`python -m qiot.sniff`: decodes what phones send through the air, from a capture or live."""
