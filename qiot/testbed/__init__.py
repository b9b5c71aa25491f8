"""The other two ends, speaking the real wire: a phone and a cloud for tests, samples and demonstrations."""
