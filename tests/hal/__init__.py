"""Tests of the platforms and of the simulated world."""
