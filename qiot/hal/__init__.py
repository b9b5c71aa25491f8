"""The hardware abstraction: the contract, the registry, one package per platform, imported when chosen."""
