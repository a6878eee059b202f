#!/bin/sh
exec java ${KAFKA_HEAP_OPTS:--Xmx256M} ${KAFKA_LOG4J_OPTS:-} ${KAFKA_OPTS:-} -cp '/opt/kafka/libs/*' kafka.tools.StorageTool "$@"
