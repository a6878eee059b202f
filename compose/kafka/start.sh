#!/bin/sh
# Gives an empty volume the form that Kafka wants, then becomes the server.
set -eu
config=/etc/pillion-kafka/server.properties
if [ ! -f /var/lib/kafka/data/meta.properties ]; then
    # 22 letters of base64, that is 16 bytes; none that an option begins with.
    id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | cut -c 1-22)
    /opt/kafka/bin/kafka-storage.sh format --cluster-id "$id" --config "$config"
fi
exec /opt/kafka/bin/kafka-server-start.sh "$config"
