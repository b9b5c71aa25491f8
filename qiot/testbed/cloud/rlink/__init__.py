"""rlink, the cloud behind thing.network, as the local cloud plays it.

Written from the vendors' documents (Protco's mqtt.md and dynamic_registration.md, Sentino's ref-mqtt-en.md
and ref-rest-api-en.md), and sharing no code with qiot's own side of it.
"""
