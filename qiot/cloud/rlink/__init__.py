"""rlink, the cloud behind thing.network: what a device connects and binds to after `thing.network.set`.

Sources: Protco's documents `mqtt/mqtt.md` and `mqtt/dynamic_registration.md` (protco-tech/protco_docs), and
Sentino's `reference/ref-mqtt-en.md` (sentino-jp/iot-docs).
"""
