#!/bin/sh
# The options are words apart by spaces, as the official script takes them.
exec java ${KAFKA_HEAP_OPTS:--Xmx1G} ${KAFKA_LOG4J_OPTS:-} ${KAFKA_OPTS:-} -cp '/opt/kafka/libs/*' kafka.Kafka "$@"
