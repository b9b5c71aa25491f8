"""Codecs of messages that go over IP, in the device's access point or in the home network."""
